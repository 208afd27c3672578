// Package usage counts what tenants use: meters, the events that are recorded for them,
// and the totals of each period, which are at every moment the sum of the accepted
// events. It owns billing.meters, meter_sources, billing_cycles, usage_periods,
// usage_records, usage_keys, usage_values, usage_totals, usage_daily and usage_drift. What
// a tenant may use is not its business, nor is deciding: quota's.
package usage

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
)

// Aggregation says what a period's total is of the amounts recorded in it.
type Aggregation string

// The aggregations. Level is what there is now; no period ends it.
const (
	Sum    Aggregation = "sum"
	Count  Aggregation = "count"
	Max    Aggregation = "max"
	Unique Aggregation = "unique" // how many different values
	Level  Aggregation = "level"
)

// MostEvents is how many events Record takes at once.
const MostEvents = 10_000

// Event is something that was used.
type Event struct {
	Tenant id.Tenant
	Meter  string
	Key    string          // the idempotency key, 1 to 255 characters; each of a tenant's is one event
	Amount decimal.Decimal // at least 0; whoever takes events in puts 1 where none is given
	Value  string          // of a meter that counts different values, which looks at no amount; empty otherwise
	At     time.Time       // zero: now, by the database's clock
}

// Status says what became of an event.
type Status string

// What can become of an event.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // the same event was counted before
	Refused   Status = "refused"
)

// Outcome is what became of the event at the same index.
type Outcome struct {
	Status Status
	Code   string // of a refusal, for programs; empty otherwise
	Reason string // of a refusal, for people
}
