package usage_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

// batches are how many events come at once.
var batches = []int{1, 100, 1000, 10_000}

// fill makes n events whose keys are new.
func fill(events []usage.Event, tenants []id.Tenant) {
	for i := range events {
		events[i] = usage.Event{Tenant: tenants[i%len(tenants)], Meter: "compute_hours", Key: uuid.NewString(), Amount: decimal.New(15, -1)}
	}
}

// measure times work alone, not the making of its events.
func measure(b *testing.B, n int, prepare, work func()) {
	for b.Loop() {
		b.StopTimer()
		prepare()
		b.StartTimer()
		work()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkRecord(b *testing.B) {
	db := pgtest.Database(b).Pool(b, "nself_server")
	tenants := make([]id.Tenant, 1000)
	for i := range tenants {
		tenants[i] = pgtest.NewTeam(b, db).ID
	}
	for name, among := range map[string][]id.Tenant{"one_tenant": tenants[:1], "thousand_tenants": tenants} {
		for _, n := range batches {
			events := make([]usage.Event, n)
			record := func() {
				if _, err := usage.Record(b.Context(), db, pgtest.Operator, events); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("%s/new/%d", name, n), func(b *testing.B) { measure(b, n, func() { fill(events, among) }, record) })
			b.Run(fmt.Sprintf("%s/known/%d", name, n), func(b *testing.B) { measure(b, n, func() {}, record) })
		}
	}
}

// BenchmarkBareSQL runs the statement of Record with what it is given, laid out before.
func BenchmarkBareSQL(b *testing.B) {
	db := pgtest.Database(b).Pool(b, "nself_server")
	team := pgtest.NewTeam(b, db)
	for _, n := range batches {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tenants, meters, contents, amounts := slices.Repeat([]id.Tenant{team.ID}, n), slices.Repeat([]string{"compute_hours"}, n), make([]int64, n), slices.Repeat([]string{"1.5"}, n)
			keys, hashes, none := make([]string, n), make([][16]byte, n), make([]*string, n)
			measure(b, n, func() {
				for i := range keys {
					keys[i] = uuid.NewString()
				}
				slices.SortFunc(keys, func(a, b string) int {
					one, other := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
					return slices.Compare(one[:], other[:])
				})
				for i, key := range keys {
					sum := sha256.Sum256([]byte(key))
					hashes[i] = [16]byte(sum[:16])
				}
			}, func() {
				_, err := db.Exec(b.Context(), `SELECT place, code FROM billing.record(@tenants, @meters, @key_hashes, @keys, @contents, @amounts::text[]::numeric[], @values, @ats::timestamptz[], 'record')`,
					pgx.NamedArgs{"tenants": tenants, "meters": meters, "key_hashes": hashes, "keys": keys, "contents": contents, "amounts": amounts, "values": none, "ats": make([]*string, n)})
				if err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
