package quota_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a database with meters of every kind.
type world struct {
	*pgtest.DB
	pool  *pgxpool.Pool // as nself_server
	super *pgxpool.Pool
}

const metersSQL = `
INSERT INTO billing.meters (code, name, unit, aggregation, deciding, lease_size, on_outage) VALUES
	('calls', 'Calls', 'calls', 'count', 'strict', 1, 'refuse'),
	('minutes', 'Minutes', 'minutes', 'sum', 'strict', 1, 'allow'),
	('peak', 'Peak', '', 'max', 'strict', 1, 'allow'),
	('visitors', 'Visitors', '', 'unique', 'strict', 1, 'allow'),
	('hits', 'Hits', 'hits', 'count', 'leased', 100, 'refuse'),
	('views', 'Views', 'views', 'sum', 'leased', 50, 'allow'),
	('bulk', 'Bulk', '', 'count', 'leased', 1000000, 'refuse')`

func newWorld(t testing.TB) world {
	t.Helper()
	db := pgtest.Database(t)
	w := world{db, db.Pool(t, "nself_server"), db.Superuser(t)}
	w.exec(t, metersSQL)
	return w
}

func (w world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.super.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// tenant makes a tenant on the plan without limits.
func (w world) tenant(t testing.TB) id.Tenant {
	t.Helper()
	return pgtest.NewTeam(t, w.pool).ID
}

const limitSQL = `
INSERT INTO billing.tenant_limits (tenant_id, meter, "limit", enforcement) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, meter) DO UPDATE SET "limit" = excluded."limit", enforcement = excluded.enforcement`

func (w world) limit(t testing.TB, tenant id.Tenant, meter string, limit int64) {
	t.Helper()
	w.exec(t, limitSQL, tenant, meter, limit, entitlement.Hard)
}

func (w world) softLimit(t testing.TB, tenant id.Tenant, meter string, limit int64) {
	t.Helper()
	w.exec(t, limitSQL, tenant, meter, limit, entitlement.Soft)
}

// total is what a tenant has of a meter, as text: used and held.
func (w world) total(t testing.TB, tenant id.Tenant, meter string) (used, held decimal.Decimal) {
	t.Helper()
	err := w.super.QueryRow(t.Context(), `SELECT coalesce(sum(used), 0), coalesce(sum(held), 0) FROM billing.usage_totals WHERE tenant_id = $1 AND meter = $2`, tenant, meter).Scan(&used, &held)
	if err != nil {
		t.Fatal(err)
	}
	return used, held
}

// records is the sum of the records, which the total has to be equal to.
func (w world) records(t testing.TB, tenant id.Tenant, meter string) (sum decimal.Decimal) {
	t.Helper()
	err := w.super.QueryRow(t.Context(), `SELECT coalesce(sum(amount), 0) FROM billing.usage_records WHERE tenant_id = $1 AND meter = $2`, tenant, meter).Scan(&sum)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// stands checks what a tenant has of a meter, and that the records add up to it.
func (w world) stands(t testing.TB, tenant id.Tenant, meter string, used, held int64) {
	t.Helper()
	gotUsed, gotHeld := w.total(t, tenant, meter)
	if !gotUsed.Equal(decimal.NewFromInt(used)) || !gotHeld.Equal(decimal.NewFromInt(held)) {
		t.Errorf("%s: used %s, held %s; want %d and %d", meter, gotUsed, gotHeld, used, held)
	}
	if sum := w.records(t, tenant, meter); !sum.Equal(gotUsed) {
		t.Errorf("%s: the records add up to %s, the total says %s", meter, sum, gotUsed)
	}
}

// changes hands notifications on as a listener would.
type changes struct {
	mu   sync.Mutex
	told []func(string)
}

func (c *changes) Subscribe(handOn func(string)) { c.told = append(c.told, handOn) }

func (c *changes) say(payload string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tell := range c.told {
		tell(payload)
	}
}

// process is a Decider with a pool of its own that runs until the test ends, or stop.
type process struct {
	*quota.Decider
	changes *changes
	stop    func()
}

func start(t testing.TB, pool *pgxpool.Pool) process {
	t.Helper()
	p := process{changes: &changes{}}
	p.Decider = quota.New(quota.DeciderConfig{DB: pool, Changes: p.changes, Holder: t.Name(), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("hand back: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func ask(tenant id.Tenant, meter string, amount int64) quota.Ask {
	return quota.Ask{Tenant: tenant, Meter: meter, Amount: decimal.NewFromInt(amount)}
}

// taker is a Decider, or the function Take over a pool.
type taker interface {
	Take(ctx context.Context, ask quota.Ask) (quota.Decision, error)
}

type plain struct{ db pg.DB }

func (p plain) Take(ctx context.Context, ask quota.Ask) (quota.Decision, error) {
	return quota.Take(ctx, p.db, ask)
}

func must(t testing.TB, by taker, ask quota.Ask) quota.Decision {
	t.Helper()
	d, err := by.Take(t.Context(), ask)
	if err != nil {
		t.Fatalf("take %s of %s: %v", ask.Amount, ask.Meter, err)
	}
	return d
}

// eventually waits for what another goroutine or process brings about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// tenantOf is a tenant with a limit.
func (w world) tenantOf(t testing.TB, meter string, limit int64) id.Tenant {
	t.Helper()
	tenant := w.tenant(t)
	w.limit(t, tenant, meter, limit)
	return tenant
}

const tenantsSQL = `
INSERT INTO tenants.tenants (name, slug, plan, owner_user_id)
SELECT 'Many', 'many-' || n, 'enterprise', $1 FROM generate_series(1, $2::int) n RETURNING id`

// tenants makes many at once, past the rules of who is in them.
func (w world) tenants(t testing.TB, many int) (all []id.Tenant) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), w.super, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		rows, _ := tx.Query(t.Context(), tenantsSQL, pgtest.User(t, w.pool), many)
		var err error
		all, err = pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
