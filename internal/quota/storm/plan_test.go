package storm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/usage"
)

// meters are one of each aggregation of events, and one that nobody has defined.
const (
	summed   = "gigabytes"
	counted  = "calls"
	greatest = "peak"
	distinct = "visitors"
	unheard  = "unheard_of"
)

// plan is which events there are and in which order they are delivered. It is the same in
// each process that is given the same seed.
type plan struct {
	Seed    uint64
	Events  int
	Tenants []id.Tenant
	Until   time.Time // the events are of the minute before
}

// event is the i-th.
func (p plan) event(i int) usage.Event {
	r := rand.New(rand.NewPCG(p.Seed, uint64(i)))
	e := usage.Event{Tenant: p.Tenants[r.IntN(len(p.Tenants))], Key: fmt.Sprintf("event %d", i), Amount: decimal.NewFromInt(1),
		At: p.Until.Add(-time.Duration(r.Int64N(int64(time.Minute)))).Truncate(time.Microsecond)}
	switch k := r.IntN(100); {
	case k < 30:
		e.Meter, e.Amount = summed, decimal.New(r.Int64N(1e12), -9)
	case k < 60:
		e.Meter, e.Amount = counted, decimal.NewFromInt(1+r.Int64N(9))
	case k < 75:
		e.Meter, e.Amount = greatest, decimal.New(r.Int64N(1e9), -3)
	case k < 98:
		e.Meter, e.Value = distinct, fmt.Sprintf("visitor %d", r.IntN(1+p.Events/20))
	default:
		e.Meter = unheard
	}
	return e
}

// order is every event one to five times, shuffled.
func (p plan) order() []int {
	r := rand.New(rand.NewPCG(p.Seed, math.MaxUint64))
	var all []int
	for i := range p.Events {
		for range 1 + r.IntN(5) {
			all = append(all, i)
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// sum is a total of a tenant and meter.
type sum struct {
	used   decimal.Decimal
	events int64
}

type place struct {
	tenant id.Tenant
	meter  string
}

// totals are what has to be counted of the plan, however its events are delivered.
func (p plan) totals() map[place]sum {
	sums, seen := map[place]sum{}, map[string]bool{}
	for i := range p.Events {
		e := p.event(i)
		at := place{e.Tenant, e.Meter}
		s := sums[at]
		s.events++
		switch e.Meter {
		case summed, counted:
			s.used = s.used.Add(e.Amount)
		case greatest:
			s.used = decimal.Max(s.used, e.Amount)
		case distinct:
			if value := e.Tenant.String() + e.Value; !seen[value] {
				seen[value] = true
				s.used = s.used.Add(decimal.NewFromInt(1))
			}
		case unheard:
			continue
		}
		sums[at] = s
	}
	return sums
}
