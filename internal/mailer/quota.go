package mailer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nself/tenancy/internal/queue"
)

// quota is what a warning of a limit says.
type quota struct {
	Meter, Used, Limit string // amounts as people read them, the limit with its unit
	Reached            bool   // the limit; otherwise 80 % of it
	Hard               bool   // more than the limit is refused
	Resets             string // a time as people read it; empty of a level
}

var (
	amountForm = regexp.MustCompile(`^[0-9]{1,29}(\.[0-9]{1,9})?$`)
	wholeForm  = regexp.MustCompile(`^[0-9]{1,19}$`)
)

// readQuota reads the values of a warning; every other mail has none. No limit, -1, is
// refused like any other that is none.
func readQuota(m queue.Mail) (quota, error) {
	if m.Kind != queue.QuotaWarning {
		return quota{}, nil
	}
	v := m.Values
	wrong := func(field, needed string) error {
		return fmt.Errorf("the value %s is %.40q; %s is needed", field, v[field], needed)
	}
	switch {
	case !amountForm.MatchString(v[queue.Used]):
		return quota{}, wrong(queue.Used, "an amount in digits")
	case !wholeForm.MatchString(v[queue.Limit]):
		return quota{}, wrong(queue.Limit, "a whole number in digits")
	case v[queue.Percent] != "80" && v[queue.Percent] != "100":
		return quota{}, wrong(queue.Percent, "80 or 100")
	case v[queue.Enforcement] != "hard" && v[queue.Enforcement] != "soft":
		return quota{}, wrong(queue.Enforcement, "hard or soft")
	}
	resets, err := moment(v, queue.Resets)
	if err != nil {
		return quota{}, err
	}
	q := quota{Meter: line(v[queue.Meter], nameRunes), Reached: v[queue.Percent] == "100", Hard: v[queue.Enforcement] == "hard", Resets: resets}
	if unit := line(v[queue.Unit], nameRunes); unit == "bytes" {
		q.Used, q.Limit = size(v[queue.Used]), size(v[queue.Limit])
	} else {
		q.Used, q.Limit = grouped(v[queue.Used]), strings.TrimSpace(grouped(v[queue.Limit])+" "+unit)
	}
	return q, nil
}

// grouped sets commas between the thousands of an amount, and drops what is no figure of
// its fraction.
func grouped(amount string) string {
	whole, fraction, _ := strings.Cut(amount, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		return whole + "." + fraction
	}
	return whole
}

// size is a number of bytes in the unit that suits it, to at most one decimal.
func size(bytes string) string {
	n, _ := strconv.ParseFloat(bytes, 64) // digits, by their form
	if n < 1024 {
		return grouped(bytes) + " bytes"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for n /= 1024; n >= 1024 && unit < len(units)-1; n /= 1024 {
		unit++
	}
	return grouped(strconv.FormatFloat(n, 'f', 1, 64)) + " " + units[unit]
}
