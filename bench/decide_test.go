package bench

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/quota"
)

// askers ask at the same time, as the requests that a busy server has under way.
const askers = 64

// BenchmarkUsage makes the rows once and measures all that is measured on them.
func BenchmarkUsage(b *testing.B) {
	m := newMarket(b)
	b.Run("strict", m.strict)
	b.Run("leased", m.leased)
	b.Run("redis", m.besideRedis)
	b.Run("ingest", m.ingest)
}

// hotLoad is strict decisions for one tenant with so many requests this month.
func (m market) hotLoad(rows int) *load {
	return &load{askers: askers, each: 40, ask: func(int, int) error { return m.take(hot[rows], "strict") }}
}

// spreadLoad is strict decisions for a thousand tenants, in any order.
func (m market) spreadLoad() *load {
	return &load{askers: askers, each: 40, ask: func(int, int) error { return m.take(1+rand.IntN(tenants), "strict") }}
}

// plainLoad asks less often where counting takes long.
func (m market) plainLoad(rows int) *load {
	return &load{askers: 8, each: max(1, 100_000/rows), ask: func(int, int) error { return m.count(hot[rows]) }}
}

// strict compares decisions in the database, by many at once, with the plain alternative.
func (m market) strict(b *testing.B) {
	for _, rows := range slices.Sorted(maps.Keys(hot)) {
		b.Run(fmt.Sprintf("hot-%d", rows), func(b *testing.B) { m.besidePlain(b, m.hotLoad(rows), rows) })
	}
	b.Run("flat", func(b *testing.B) {
		few, many := m.hotLoad(10_000), m.hotLoad(1_000_000)
		all := compare(b, 1, few.side("10,000 rows"), many.side("1,000,000 rows"))
		b.ReportMetric(100*all.faster(1, many, 0, few), "%-of-rate-at-10000")
	})
	b.Run("spread", func(b *testing.B) { m.besidePlain(b, m.spreadLoad(), 100_000) })
}

func (m market) besidePlain(b *testing.B, ours *load, rows int) {
	plain := m.plainLoad(rows)
	all := compare(b, 1, ours.side("strict"), plain.side("count and insert"))
	b.ReportMetric(all.faster(0, ours, 1, plain), "x-plain-rate")
	b.ReportMetric(all.rate(0, ours), "decisions/s")
	b.ReportMetric(all.rate(1, plain), "plain/s")
	ours.reportLatency(b, "")
	plain.reportLatency(b, "plain-")
}

// leased compares decisions in memory, over parts of the limit, with the plain
// alternative, and uses a limit up.
func (m market) leased(b *testing.B) {
	for _, meter := range []string{"leased", "leased_small"} {
		b.Run(meter, func(b *testing.B) { m.leasedLoad(b, meter) })
	}
	b.Run("to-the-end", m.useUp)
}

func (m market) leasedLoad(b *testing.B, meter string) {
	ours := &load{askers: runtime.GOMAXPROCS(0), each: 100_000, every: 50, ask: func(int, int) error { return m.take(6, meter) }}
	crowd := m.leasedByMany(meter)
	plain := m.plainLoad(100_000)
	all := compare(b, 1, ours.side("leased"), crowd.side("leased, many askers"), plain.side("count and insert"))
	b.ReportMetric(all.faster(0, ours, 2, plain), "x-plain-rate")
	b.ReportMetric(all.rate(0, ours), "decisions/s")
	b.ReportMetric(all.rate(1, crowd), "decisions/s-of-64")
	ours.reportLatency(b, "")
}

// leasedByMany is decisions in memory for as many askers as a busy server has.
func (m market) leasedByMany(meter string) *load {
	return &load{askers: askers, each: 3000, every: 50, ask: func(int, int) error { return m.take(6, meter) }}
}

// useUp asks until everyone is refused, and counts what was granted over the limit.
func (m market) useUp(b *testing.B) {
	tenant := 7
	var granted, asked atomic.Int64
	began := time.Now()
	for b.Loop() {
		until := &load{askers: runtime.GOMAXPROCS(0), each: 1, ask: func(int, int) error {
			for {
				d, err := m.decider.Take(b.Context(), quota.Ask{Tenant: m.tenants[tenant], Meter: "scarce", Amount: one})
				asked.Add(1)
				if err != nil || !d.Allowed {
					return err
				}
				granted.Add(1)
			}
		}}
		if err := until.run(); err != nil {
			b.Fatal(err)
		}
		if overshoot := granted.Load() - scarce; overshoot > 0 {
			b.Fatalf("%d were granted over the limit", overshoot)
		}
		tenant++
		b.ReportMetric(float64(granted.Load()-scarce), "overshoot")
		granted.Store(0)
	}
	b.ReportMetric(float64(asked.Load())/time.Since(began).Seconds(), "decisions/s")
	b.ReportMetric(0, "ns/op")
}
