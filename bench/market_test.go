package bench

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
)

// The tenants that have used a meter so often this month. The others have not used it.
var hot = map[int]int{10_000: 3, 100_000: 4, 1_000_000: 5}

// marketSQL has a limit that nobody reaches on each meter but the last, and the table in
// which one who has no meters counts rows.
const marketSQL = `
INSERT INTO billing.meters (code, name, aggregation, deciding, lease_size, default_limit) VALUES
  ('strict', 'Strict', 'count', 'strict', 1, 1000000000000),
  ('leased', 'Leased', 'count', 'leased', 10000, 1000000000000),
  ('leased_small', 'Leased in small parts', 'count', 'leased', 200, 1000000000000),
  ('scarce', 'Scarce', 'count', 'leased', 10000, %d);
CREATE SCHEMA plain;
CREATE TABLE plain.requests (
  tenant_id uuid NOT NULL REFERENCES tenants.tenants, at timestamptz NOT NULL DEFAULT now(), amount bigint NOT NULL DEFAULT 1);
CREATE INDEX ON plain.requests (tenant_id, at)`

// historySQL is the month of a hot tenant, in both ways of keeping it: a microsecond
// between two requests, so that all of them are in the month.
const historySQL = `
INSERT INTO plain.requests (tenant_id, at)
  SELECT '%[1]s', now() - n * interval '1 microsecond' FROM generate_series(1, %[2]d) n;
INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used, events)
  SELECT '%[1]s', 'strict', p.starts_at, %[2]d, %[2]d FROM billing.period('%[1]s', now()) p;
INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
  SELECT '%[1]s', 'strict', p.starts_at, now() - n * interval '1 microsecond', 1, 'take'
  FROM billing.period('%[1]s', now()) p, generate_series(1, %[2]d) n`

// market is the database of the benchmarks of counting and deciding.
type market struct {
	db      *pgtest.DB
	server  *pgxpool.Pool
	plain   *pgxpool.Pool // as the role that no policy binds
	decider *quota.Decider
	tenants []id.Tenant // 1 to tenants
}

const scarce = 2_000_000 // the limit of the meter that is used up

func newMarket(b *testing.B) market {
	b.Helper()
	m := market{db: pgtest.Database(b)}
	owner, super := newReader(b, m.db, "nself_owner", session.Session{}), newReader(b, m.db, "postgres", session.Session{})
	run(b, owner, tenantsSQL, tenants)
	run(b, super, marketSQL, scarce)
	for n := range tenants + 1 {
		m.tenants = append(m.tenants, ownerOf(b, n).Tenant)
	}
	for rows, tenant := range hot {
		run(b, super, historySQL, m.tenants[tenant], rows)
	}
	run(b, super, `VACUUM ANALYZE plain.requests`)
	run(b, super, `VACUUM ANALYZE billing.usage_records`)
	m.server, m.plain = m.db.Pool(b, "nself_server"), m.db.Superuser(b)
	m.decider = decider(b, m.server)
	return m
}

// decider runs until the benchmark ends.
func decider(b *testing.B, server *pgxpool.Pool) *quota.Decider {
	b.Helper()
	d := quota.New(quota.DeciderConfig{DB: server, Holder: "bench", Log: slog.New(slog.DiscardHandler)})
	ctx, end := context.WithCancel(context.WithoutCancel(b.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		end()
		running.Wait()
	})
	return d
}

var one = decimal.NewFromInt(1)

// take asks for one unit, which there is.
func (m market) take(tenant int, meter string) error {
	d, err := m.decider.Take(context.Background(), quota.Ask{Tenant: m.tenants[tenant], Meter: meter, Amount: one})
	if err == nil && !d.Allowed {
		err = fmt.Errorf("refused: %+v", d)
	}
	return err
}

// countSQL is the plain alternative in its fastest form: one statement.
const countSQL = `
INSERT INTO plain.requests (tenant_id)
SELECT $1 WHERE (SELECT count(*) FROM plain.requests WHERE tenant_id = $1 AND at >= date_trunc('month', now())) < $2`

// count asks for one unit by counting the rows of the month and adding one.
func (m market) count(tenant int) error {
	tag, err := m.plain.Exec(context.Background(), countSQL, m.tenants[tenant].String(), int64(1e12))
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("refused: %s", tag)
	}
	return err
}
