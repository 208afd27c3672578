// Package quota decides whether a tenant may use more: checking and taking are one step
// in the database, so that what is granted never passes a hard limit, however many servers
// decide at once. It owns billing.quota_reservations, quota_leases and quota_notices. What
// was used is usage's, what may be used entitlement's.
package quota

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// Ask is one question: may the tenant use this much more?
type Ask struct {
	Tenant id.Tenant
	Meter  string
	Amount decimal.Decimal // at least 0, at most nine decimals and 10^18; whole where the meter counts
	Value  string          // of a meter that counts different values; empty of every other
}

// Decision is the answer to an Ask, with how things stand after it.
type Decision struct {
	Meter       string
	Name        string // the meter's, for people
	Unit        string // what it counts, for people; may be empty
	Allowed     bool
	Limit       int64            // -1: unlimited
	Used        decimal.Decimal  // in the period; of a level: now
	Held        decimal.Decimal  // reserved and leased
	Remaining   *decimal.Decimal // what is left of the limit, at least 0; nil: unlimited
	Enforcement string           // soft or hard
	ResetDate   time.Time        // when the period ends; zero of a level, which nothing resets
}

// Refusal is the fault quota-exceeded that tells a refusal; nil where it is allowed. Its
// details are meter, limit, current, remaining and, unless the meter is a level, resetDate
// (RFC 3339) and retryAfter (whole seconds until then, at least 1). Current is what is
// used and held.
func (d Decision) Refusal() *fault.Fault {
	if d.Allowed {
		return nil
	}
	what := strconv.FormatInt(d.Limit, 10)
	if d.Unit != "" {
		what += " " + d.Unit
	}
	current, remaining := d.Used.Add(d.Held), decimal.Zero
	if d.Remaining != nil {
		remaining = *d.Remaining
	}
	said := fmt.Sprintf("this would pass the quota of %s (meter %s): %s are used or reserved, %s remain", what, d.Meter, current, remaining)
	if !d.ResetDate.After(time.Now()) {
		return fault.New(fault.QuotaExceeded, "%s; free some or change the plan", said).
			With("meter", d.Meter).With("limit", d.Limit).With("current", figure(current)).With("remaining", figure(remaining))
	}
	reset := d.ResetDate.UTC().Format(time.RFC3339)
	return fault.New(fault.QuotaExceeded, "%s until %s; try again then or change the plan", said, reset).
		With("meter", d.Meter).With("limit", d.Limit).With("current", figure(current)).With("remaining", figure(remaining)).
		With("resetDate", reset).With("retryAfter", max(1, int64(math.Ceil(time.Until(d.ResetDate).Seconds()))))
}

// figure is an amount with every digit as a JSON number; decimal's own JSON is a string.
func figure(amount decimal.Decimal) json.Number { return json.Number(amount.String()) }
