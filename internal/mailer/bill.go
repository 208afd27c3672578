package mailer

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/text"
)

// bill is what a mail about money says.
type bill struct {
	Plan, Number     string
	Amount           string // with its currency, as people read it
	Deadline, PaidAt string // times as people read them
	Again            bool   // it is a reminder
	NeedsCard        bool   // there is no way to pay
	Unpaid           bool   // why service is suspended; otherwise the subscription ended
}

var (
	minorForm    = regexp.MustCompile(`^[0-9]{1,18}$`)
	currencyForm = regexp.MustCompile(`^[A-Za-z]{3}$`)
)

// readBill reads the values of mails about money; every other mail has none of them.
func readBill(m queue.Mail) (b bill, err error) {
	v := m.Values
	wrong := func(field, needed string) error {
		return fmt.Errorf("the value %s is %.40q; %s is needed", field, v[field], needed)
	}
	if amount := v[queue.Amount]; amount != "" {
		minor, err := strconv.ParseInt(amount, 10, 64)
		switch {
		case err != nil || !minorForm.MatchString(amount):
			return bill{}, wrong(queue.Amount, "a whole number of minor units, in digits,")
		case !currencyForm.MatchString(v[queue.Currency]):
			return bill{}, wrong(queue.Currency, "a currency's three letters")
		}
		b.Amount = text.Money(minor, v[queue.Currency])
	}
	if reminder := v[queue.Reminder]; reminder != "" {
		if !wholeForm.MatchString(reminder) {
			return bill{}, wrong(queue.Reminder, "a whole number in digits")
		}
		b.Again = reminder != "0"
	}
	if cause := v[queue.Cause]; cause != "" && cause != queue.CausePayment && cause != queue.CauseEnded {
		return bill{}, wrong(queue.Cause, queue.CausePayment+" or "+queue.CauseEnded)
	}
	if card := v[queue.NeedsCard]; card != "" && card != "true" {
		return bill{}, wrong(queue.NeedsCard, "true, or nothing,")
	}
	b.NeedsCard = v[queue.NeedsCard] != ""
	b.Unpaid = v[queue.Cause] == queue.CausePayment
	b.Plan, b.Number = line(v[queue.Plan], nameRunes), line(v[queue.Number], nameRunes)
	if b.Deadline, err = moment(v, queue.Deadline); err != nil {
		return bill{}, err
	}
	b.PaidAt, err = moment(v, queue.PaidAt)
	return b, err
}
