package usage

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Meter is something that is counted.
type Meter struct {
	Code         string      `db:"code"`
	Name         string      `db:"name"`
	Unit         string      `db:"unit"`
	Aggregation  Aggregation `db:"aggregation"`
	Deciding     string      `db:"deciding"`      // strict or leased
	LeaseSize    int64       `db:"lease_size"`    // the most that a server that dies keeps from others
	OnOutage     string      `db:"on_outage"`     // refuse or allow
	DefaultLimit int64       `db:"default_limit"` // of plans that say nothing of it; -1: unlimited
	BuiltIn      bool        `db:"built_in"`
	CreatedAt    time.Time   `db:"created_at"`
}

// How a meter is decided, and what it is while the database is away.
const (
	Strict = "strict"
	Leased = "leased"
	Refuse = "refuse"
	Allow  = "allow"
)

// MeterInput is what DefineMeter takes. Nil keeps what a meter has, or is the default of
// a new one: its code for the name, no unit, sum, strict, 100, refuse, unlimited.
type MeterInput struct {
	Code         string
	Name         *string
	Unit         *string
	Aggregation  *Aggregation
	Deciding     *string
	LeaseSize    *int64
	OnOutage     *string
	DefaultLimit *int64
}

const (
	longestName = 100
	longestUnit = 30
	largestPart = 1_000_000_000
)

// Validate tells what is wrong with the input by itself.
func (in MeterInput) Validate(problems *fault.Problems) {
	if !meterForm.MatchString(in.Code) {
		problems.Add("code", "must begin with a-z and hold only a-z, 0-9 and _ (at most 63); got %.70q", in.Code)
	}
	if in.Name != nil && (*in.Name == "" || utf8.RuneCountInString(*in.Name) > longestName) {
		problems.Add("name", "must have 1 to %d characters", longestName)
	}
	if in.Unit != nil && utf8.RuneCountInString(*in.Unit) > longestUnit {
		problems.Add("unit", "must have at most %d characters", longestUnit)
	}
	if in.Aggregation != nil && !slices.Contains([]Aggregation{Sum, Count, Max, Unique, Level}, *in.Aggregation) {
		problems.Add("aggregation", "must be sum, count, max, unique or level; got %.40q", *in.Aggregation)
	}
	if in.Deciding != nil && *in.Deciding != Strict && *in.Deciding != Leased {
		problems.Add("deciding", "must be strict or leased; got %.40q", *in.Deciding)
	}
	if in.LeaseSize != nil && (*in.LeaseSize < 1 || *in.LeaseSize > largestPart) {
		problems.Add("leaseSize", "must be from 1 to %d; got %d", largestPart, *in.LeaseSize)
	}
	if in.OnOutage != nil && *in.OnOutage != Refuse && *in.OnOutage != Allow {
		problems.Add("onOutage", "must be refuse or allow; got %.40q", *in.OnOutage)
	}
	if in.DefaultLimit != nil && *in.DefaultLimit < -1 {
		problems.Add("defaultLimit", "must be -1 (unlimited) or more; got %d", *in.DefaultLimit)
	}
}

const meterColumns = `code, name, unit, aggregation, deciding, lease_size, on_outage, default_limit, built_in, created_at`

// Whoever counts the meter for the first time waits for the lock.
const lockMeterSQL = `SELECT ` + meterColumns + ` FROM billing.meters WHERE code = @code FOR UPDATE`

const meterUsedAllTenantsSQL = `SELECT EXISTS (SELECT FROM billing.usage_totals WHERE meter = @code)`

const insertMeterSQL = `
INSERT INTO billing.meters (code, name, unit, aggregation, deciding, lease_size, on_outage, default_limit)
VALUES (@code, coalesce(@name, @code), coalesce(@unit, ''), coalesce(@aggregation, 'sum'), coalesce(@deciding, 'strict'),
	coalesce(@lease_size, 100), coalesce(@on_outage, 'refuse'), coalesce(@default_limit, -1))
ON CONFLICT DO NOTHING
RETURNING ` + meterColumns

const updateMeterSQL = `
UPDATE billing.meters SET name = coalesce(@name, name), unit = coalesce(@unit, unit), aggregation = coalesce(@aggregation, aggregation),
	deciding = coalesce(@deciding, deciding), lease_size = coalesce(@lease_size, lease_size),
	on_outage = coalesce(@on_outage, on_outage), default_limit = coalesce(@default_limit, default_limit)
WHERE code = @code
RETURNING ` + meterColumns

// DefineMeter makes a meter or changes one. The aggregation of one that is used or built
// in stays: changing it is an invalid-input fault, as is leasing what does not add up.
func DefineMeter(ctx context.Context, db pg.DB, actor session.Session, in MeterInput) (Meter, error) {
	args := pgx.NamedArgs{
		"code": in.Code, "name": in.Name, "unit": in.Unit, "aggregation": in.Aggregation, "deciding": in.Deciding,
		"lease_size": in.LeaseSize, "on_outage": in.OnOutage, "default_limit": in.DefaultLimit,
	}
	var after Meter
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		entry := audit.Entry{Action: "define_meter", Target: "meter:" + in.Code}
		var err error
		if after, err = pg.One[Meter](ctx, tx, insertMeterSQL, args); pg.NoRow(err) {
			var before Meter
			before, after, err = changeMeter(ctx, tx, in, args)
			entry.Before = before.audited()
		}
		if err != nil {
			return meterFault(err, in.Code)
		}
		entry.After = after.audited()
		return audit.Append(ctx, tx, actor, entry)
	})
	return after, err
}

func changeMeter(ctx context.Context, tx pgx.Tx, in MeterInput, args pgx.NamedArgs) (before, after Meter, err error) {
	if before, err = pg.One[Meter](ctx, tx, lockMeterSQL, args); err != nil {
		return before, after, err
	}
	if in.Aggregation != nil && *in.Aggregation != before.Aggregation {
		used, err := pg.Scalar[bool](ctx, tx, meterUsedAllTenantsSQL, args)
		if err != nil {
			return before, after, err
		}
		if used || before.BuiltIn {
			return before, after, fault.New(fault.InvalidInput,
				"the meter %s is used or built in: its aggregation stays %s; define another meter", in.Code, before.Aggregation)
		}
	}
	after, err = pg.One[Meter](ctx, tx, updateMeterSQL, args)
	return before, after, err
}

func meterFault(err error, code string) error {
	if pg.Constraint(err) == "meters_lease_what_adds_up" {
		return fault.New(fault.InvalidInput, "the meter %s cannot be leased: only sums and counts can", code)
	}
	return fmt.Errorf("define the meter %s: %w", code, err)
}

// audited is what the audit log keeps of a meter.
func (m Meter) audited() map[string]any {
	return map[string]any{
		"name": m.Name, "unit": m.Unit, "aggregation": m.Aggregation, "deciding": m.Deciding,
		"leaseSize": m.LeaseSize, "onOutage": m.OnOutage, "defaultLimit": m.DefaultLimit,
	}
}
