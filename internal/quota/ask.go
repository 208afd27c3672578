package quota

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// longestValue is how many characters a value has at most.
const longestValue = 255

const meterSQL = `
SELECT code, name, unit, aggregation, deciding, lease_size, on_outage, default_limit, built_in, created_at
FROM billing.meters WHERE code = @meter`

func readMeter(ctx context.Context, db pg.DB, code string) (usage.Meter, error) {
	if len(code) > 63 || strings.ContainsRune(code, 0) || !utf8.ValidString(code) {
		return usage.Meter{}, noMeter(code)
	}
	meter, err := pg.One[usage.Meter](ctx, db, meterSQL, pgx.NamedArgs{"meter": code})
	if pg.NoRow(err) {
		return usage.Meter{}, noMeter(code)
	}
	if err != nil {
		return usage.Meter{}, fmt.Errorf("read the meter %s: %w", code, pg.Explain(err))
	}
	return meter, nil
}

func noMeter(code string) error {
	return fault.New(fault.NotFound, "there is no meter %.64q", code)
}

// fit tells what is wrong with an ask of this meter, and makes it plain: the amount of a
// value that is counted is 1.
func (a *Ask) fit(meter usage.Meter) error {
	var problems fault.Problems
	if wrong := a.amount(); wrong != "" {
		problems.Add("amount", "%s", wrong)
	} else if meter.Aggregation == usage.Count && !a.Amount.IsInteger() {
		problems.Add("amount", "is %s; the meter %s counts, so it must be whole", a.Amount, meter.Code)
	}
	switch length := utf8.RuneCountInString(a.Value); {
	case meter.Aggregation != usage.Unique && length > 0:
		problems.Add("value", "is there, but the meter %s counts no values", meter.Code)
	case meter.Aggregation == usage.Unique && (length == 0 || length > longestValue || !utf8.ValidString(a.Value) || strings.ContainsRune(a.Value, 0)):
		problems.Add("value", "must have 1 to %d characters: the meter %s counts different ones", longestValue, meter.Code)
	}
	if meter.Aggregation == usage.Unique {
		a.Amount = one
	}
	return problems.Fault()
}

var one = decimal.NewFromInt(1)

// amount is usage.CheckAmount, which most amounts need not go through.
func (a *Ask) amount() string {
	if exponent := a.Amount.Exponent(); a.Amount.Sign() > 0 && exponent <= 0 && exponent >= -decimals && a.Amount.NumDigits() <= 18 {
		return ""
	}
	return usage.CheckAmount(&a.Amount)
}

// unfit refuses a meter with which something cannot be done.
func unfit(meter usage.Meter, instead string) error {
	var problems fault.Problems
	problems.Add("meter", "is %s, whose aggregation is %s: %s", meter.Code, meter.Aggregation, instead)
	return problems.Fault()
}

const statusSQL = `SELECT status FROM tenants.tenants WHERE id = @tenant_id`

// absent is why the database had nothing to say of a tenant and a meter: the fault
// not-found for what is not there, tenant-not-active for a tenant that is suspended or
// deleted.
func absent(ctx context.Context, db pg.DB, tenant id.Tenant, meter string) error {
	status, err := pg.Scalar[string](ctx, db, statusSQL, pgx.NamedArgs{"tenant_id": tenant})
	switch {
	case pg.NoRow(err):
		return fault.New(fault.NotFound, "there is no tenant %s", tenant)
	case err != nil:
		return fmt.Errorf("read the status of tenant %s: %w", tenant, pg.Explain(err))
	case status != "active":
		return fault.New(fault.TenantNotActive, "the tenant is %s", status).With("status", status)
	}
	return noMeter(meter)
}
