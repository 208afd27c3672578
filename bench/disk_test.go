package bench

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

const sizesSQL = `
SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('billing.usage_records'))::bigint,
  pg_total_relation_size('billing.usage_keys')`

// disk is what an event takes, its indexes included: as a record, which stays until its
// partition is dropped, and as a key, which stays 35 days.
func (m market) disk(b *testing.B) {
	const stored = 200_000
	var records, keys, recordsAfter, keysAfter int64
	if err := m.plain.QueryRow(b.Context(), sizesSQL).Scan(&records, &keys); err != nil {
		b.Fatal(err)
	}
	events := make([]usage.Event, usage.MostEvents)
	rounds := int64(0)
	for b.Loop() {
		for batch := range stored / len(events) {
			for i := range events {
				events[i] = usage.Event{Tenant: m.tenants[201+i%ingesting], Meter: metered, Amount: decimal.New(15, -1),
					Key: fmt.Sprintf("%s\n0a1b2c3d-%04d-4000-9000-%012d", source, rounds, batch*len(events)+i)}
			}
			if _, err := usage.Record(b.Context(), m.server, pgtest.Operator, events); err != nil {
				b.Fatal(err)
			}
		}
		rounds++
	}
	if err := m.plain.QueryRow(b.Context(), sizesSQL).Scan(&recordsAfter, &keysAfter); err != nil {
		b.Fatal(err)
	}
	each := float64(rounds * stored)
	b.ReportMetric(float64(recordsAfter-records)/each, "record-B/event")
	b.ReportMetric(float64(keysAfter-keys)/each, "key-B/event")
	b.ReportMetric(float64(recordsAfter-records+keysAfter-keys)/each, "B/event")
	b.ReportMetric(0, "ns/op")
}
