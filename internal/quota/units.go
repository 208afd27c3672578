package quota

import (
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/usage"
)

// Amounts over which a lease decides in memory are counted in billionths: no amount has
// more decimals.
const (
	decimals = 9
	billion  = 1_000_000_000
)

const (
	mostAsked = 1e18     // the greatest amount that is decided in memory; beyond it every decision is the database's
	mostUnits = 2 * 1e18 // of anything: two of them can still be added up
)

// toUnits is an amount that is not below 0 in billionths; false: it is more than mostUnits.
func toUnits(amount decimal.Decimal) (int64, bool) {
	if amount.NumDigits() > 18 || amount.Exponent() > decimals || amount.Exponent() < -decimals {
		return 0, amount.IsZero()
	}
	units := amount.CoefficientInt64()
	for range int(amount.Exponent()) + decimals {
		if units > mostUnits/10 {
			return 0, false
		}
		units *= 10
	}
	return units, true
}

func fromUnits(units int64) decimal.Decimal {
	if units%billion == 0 {
		return decimal.NewFromInt(units / billion)
	}
	return decimal.New(units, -decimals)
}

// bounded is an amount in billionths, or the most of them.
func bounded(amount decimal.Decimal) int64 {
	if units, fits := toUnits(amount.Abs()); fits {
		return int64(amount.Sign()) * units
	}
	return int64(amount.Sign()) * mostUnits
}

// tally is figures that go on while decisions are made in memory: in billionths where
// they are small enough, because that is ten times as fast.
type tally struct {
	figures
	used, held int64
	small      bool
}

func newTally(f figures) tally {
	used, usedFits := toUnits(f.Used.Abs())
	held, heldFits := toUnits(f.Held)
	return tally{f, used, held, usedFits && heldFits && !f.Used.IsNegative()}
}

// spend turns what is held into what is used.
func (t *tally) spend(units int64) {
	if t.small {
		t.used += units
		t.held -= units
		return
	}
	t.Used, t.Held = t.Used.Add(fromUnits(units)), t.Held.Sub(fromUnits(units))
}

// decide counts what this process can still grant of its lease as free, for to whoever
// asks here it is.
func (t *tally) decide(meter usage.Meter, allowed bool, left int64) Decision {
	if !t.small {
		free := t.figures
		free.Held = free.Held.Sub(fromUnits(left))
		d := free.decide(meter, allowed)
		d.Held = t.Held
		return d
	}
	d := Decision{
		Meter: meter.Code, Name: meter.Name, Unit: meter.Unit, Allowed: allowed, Limit: t.Limit,
		Used: fromUnits(t.used), Held: fromUnits(t.held), Enforcement: t.Enforcement, ResetDate: t.EndsAt,
	}
	if t.Limit != entitlement.Unlimited {
		d.Remaining = new(room(t.Limit, t.used+t.held-left))
	}
	return d
}

// room is what a limit has beside so many billionths, and 0 where they are more. No limit
// is too great for it.
func room(limit, units int64) decimal.Decimal {
	whole, part := limit-units/billion, units%billion
	switch {
	case part == 0:
		return decimal.NewFromInt(max(whole, 0))
	case whole <= mostUnits/billion:
		return fromUnits(max(whole*billion-part, 0))
	}
	return decimal.NewFromInt(whole).Sub(fromUnits(part))
}

// now is how the figures stand after all that was spent.
func (t *tally) now() figures {
	if t.small {
		t.Used, t.Held = fromUnits(t.used), fromUnits(t.held)
	}
	return t.figures
}
