package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const checkQuotaQuery = `query ($tenant: String, $meter: String!, $amount: numeric) {
	reply: checkQuota(tenant: $tenant, meter: $meter, amount: $amount) {
		meter allowed limit used held remaining enforcement reset_date: resetDate }
}`

// decision is whether an amount could be taken. Remaining is nil where the limit is -1,
// unlimited; ResetDate of a level.
type decision struct {
	Meter       string     `json:"meter"`
	Allowed     bool       `json:"allowed"`
	Limit       bigint     `json:"limit"`
	Used        amount     `json:"used"`
	Held        amount     `json:"held"`
	Remaining   *amount    `json:"remaining"`
	Enforcement string     `json:"enforcement"`
	ResetDate   *time.Time `json:"reset_date"`
}

func (p *program) checkQuotaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check <tenant> <meter> [amount]",
		Short: "Tell whether a tenant may use more of a meter",
		Long: `Tell whether a tenant may use an amount more of a meter; 1 where none is given. Nothing is
taken. The exit code is 1 where the limit leaves less; amounts are in the meter's own
unit, of storage in bytes.`,
		Example: `  nself usage check acme storage 1000
  nself usage check acme users && echo "there is room for one"`,
		Args: takes(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := typedAmount("1")
			if len(args) > 2 {
				asked, err = typedAmount(args[2])
			}
			if err != nil {
				return err
			}
			variables := map[string]any{"tenant": args[0], "meter": args[1], "amount": asked}
			told, err := act[decision](cmd.Context(), p, checkQuotaQuery, variables)
			if err != nil {
				return err
			}
			err = p.print(told, func(w *strings.Builder) {
				may := "may"
				if !told.Allowed {
					may = "may not"
				}
				fmt.Fprintln(w, p.mark(told.Allowed)+" "+clean(fmt.Sprintf("%s %s use %s more of %s", args[0], may, grouped(asked.Decimal), told.Meter)))
				describe(w, "  ", told.fields())
			})
			if err == nil && !told.Allowed {
				return errTold
			}
			return err
		},
	}
}

func (d decision) fields() []field {
	fields := []field{{"Used", grouped(d.Used.Decimal)}}
	if d.Held.IsPositive() {
		fields = append(fields, field{"Held", grouped(d.Held.Decimal)})
	}
	fields = append(fields, field{"Limit", limitInUnit(int64(d.Limit), "")})
	if d.Remaining != nil {
		fields[len(fields)-1].value += ", " + d.Enforcement
		fields = append(fields, field{"Remaining", grouped(d.Remaining.Decimal)})
	}
	return append(fields, field{"Resets", when(d.ResetDate)})
}
