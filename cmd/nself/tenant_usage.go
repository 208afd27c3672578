package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

const tenantUsageQuery = `query ($tenant: String, $at: timestamptz) {
	reply: tenantUsage(tenant: $tenant, at: $at) {
		tenant_id: tenantId plan period_start: periodStart period_end: periodEnd closed_at: closedAt
		meters { meter name unit aggregation used held limit enforcement source remaining percent reached reset_date: resetDate }
		charge_minor: chargeMinor currency
	}
}`

// usageReport is what a tenant used in a period, and what that costs by now.
type usageReport struct {
	TenantID    string     `json:"tenant_id"`
	Plan        string     `json:"plan"`
	PeriodStart time.Time  `json:"period_start"`
	PeriodEnd   time.Time  `json:"period_end"`
	ClosedAt    *time.Time `json:"closed_at"`
	Meters      []standing `json:"meters"`
	ChargeMinor bigint     `json:"charge_minor"`
	Currency    string     `json:"currency"`
}

// standing is one meter of a report. Remaining and Percent are nil where the limit is -1,
// unlimited; ResetDate of a level.
type standing struct {
	Meter       string     `json:"meter"`
	Name        string     `json:"name"`
	Unit        string     `json:"unit"`
	Aggregation string     `json:"aggregation"`
	Used        amount     `json:"used"`
	Held        amount     `json:"held"`
	Limit       bigint     `json:"limit"`
	Enforcement string     `json:"enforcement"`
	Source      string     `json:"source"`
	Remaining   *amount    `json:"remaining"`
	Percent     *amount    `json:"percent"`
	Reached     int        `json:"reached"`
	ResetDate   *time.Time `json:"reset_date"`
}

func (p *program) usageOfTenantCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "usage <tenant>",
		Short: "Show what a tenant uses, its limits and the estimated charge",
		Long: `Show what a tenant uses of each meter in the running month or billing period, what it
may use, and the charge estimated so far: the plan's price and what soft limits were
passed by. What is reserved is told as held. --at shows the period of a day
(2026-10-31) or of a time (2026-10-31T12:00:00Z).`,
		Example: `  nself tenant usage acme
  nself tenant usage acme --at 2026-10-31
  nself tenant usage acme --json`,
		Args: takes(1, 1),
	}
	cmd.Flags().StringVar(&at, "at", "", "the period of this day or time (the running one)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0]}
		if err := given(cmd, variables, "at"); err != nil {
			return err
		}
		if at != "" {
			moment, err := periodMoment(at, time.Now())
			if err != nil {
				return err
			}
			variables["at"] = moment.Format(time.RFC3339Nano)
		}
		report, err := act[usageReport](cmd.Context(), p, tenantUsageQuery, variables)
		if err != nil {
			return err
		}
		slices.SortStableFunc(report.Meters, func(a, b standing) int { return cmp.Compare(a.rank(), b.rank()) })
		return p.print(report, func(w *strings.Builder) { alignLabels(w, report.fields()) })
	}
	return cmd
}

// builtInMeters are the meters that every installation has, in the order they are shown.
var builtInMeters = []string{"api_requests", "storage", "compute_hours", "users"}

// rank puts the built-in meters first and leaves the others in their order.
func (s standing) rank() int {
	if at := slices.Index(builtInMeters, s.Meter); at >= 0 {
		return at
	}
	return len(builtInMeters)
}

func (r usageReport) fields() []field {
	fields := []field{{"Month", monthOf(r.PeriodStart, r.PeriodEnd)}, {"Ends", when(&r.PeriodEnd)}}
	if r.ClosedAt != nil {
		fields[1] = field{"Closed", when(r.ClosedAt)}
	}
	fields = append(fields, field{"Plan", r.Plan})
	for _, s := range r.Meters {
		fields = append(fields, field{s.label(), s.figures()})
	}
	return append(fields, field{"Estimated charge", text.Money(int64(r.ChargeMinor), r.Currency)})
}

// monthOf names a period that is a calendar month, in whichever time zone it is one, and
// tells of any other the days (UTC) it begins and ends on.
func monthOf(starts, ends time.Time) string {
	const east, west = 14 * time.Hour, 12 * time.Hour // where a day begins first, and last
	onTheFirst := func(t time.Time) (time.Time, bool) {
		t = t.UTC().Add(east)
		return t, t.Sub(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)) <= east+west
	}
	start, startsAMonth := onTheFirst(starts)
	end, endsAMonth := onTheFirst(ends)
	if startsAMonth && endsAMonth && start.Month()%12+1 == end.Month() {
		return start.Format("January 2006")
	}
	return starts.UTC().Format(time.DateOnly) + " to " + ends.UTC().Format(time.DateOnly)
}

// label names the meter, with its unit where the name does not hold it.
func (s standing) label() string {
	switch {
	case s.Meter == "users":
		return "Active users"
	case s.Meter == "compute_hours":
		return "Compute hours"
	case s.Unit == "" || s.Unit == bytesUnit || strings.Contains(strings.ToLower(s.Name), strings.ToLower(s.Unit)):
		return s.Name
	}
	return s.Name + " (" + s.Unit + ")"
}

// figures are "used / limit (percent)", and what else there is to say of them.
func (s standing) figures() string {
	used := inUnit(s.Used.Decimal, s.Unit)
	if s.Unit == bytesUnit && s.Limit == unlimited {
		used += " GiB"
	}
	shown := used + " / " + limitInUnit(int64(s.Limit), s.Unit)
	if s.Percent != nil {
		shown += " (" + s.Percent.StringFixed(1) + " %)"
	}
	if s.Enforcement == "soft" && s.Limit != unlimited {
		shown += ", soft"
	}
	if s.Held.IsPositive() {
		shown += ", " + inUnit(s.Held.Decimal, s.Unit)
		if s.Unit == bytesUnit {
			shown += " GiB"
		}
		shown += " held"
	}
	return shown
}

// alignLabels writes a label and its value a line, the values aligned.
func alignLabels(w *strings.Builder, fields []field) {
	widest := 0
	for i := range fields {
		fields[i].label = clean(fields[i].label)
		widest = max(widest, cells(fields[i].label))
	}
	for _, f := range fields {
		fmt.Fprintln(w, f.label+strings.Repeat(" ", widest-cells(f.label)+3)+clean(f.value))
	}
}

// periodMoment is a moment in the period that --at means. A day is its noon, UTC, when it
// is that day nearly everywhere; of today it is not later than now.
func periodMoment(typed string, now time.Time) (time.Time, error) {
	if moment, err := time.Parse(time.RFC3339, typed); err == nil {
		return moment.UTC(), nil
	}
	day, err := time.Parse(time.DateOnly, typed)
	if err != nil {
		return day, usagef("--at %q is neither a day (2026-10-31) nor a time (2026-10-31T12:00:00Z)", shorten(typed))
	}
	noon := day.Add(12 * time.Hour)
	if noon.After(now) && !day.After(now) {
		return now.UTC(), nil
	}
	return noon, nil
}
