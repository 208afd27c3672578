package usage_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

// begin opens a transaction that the test ends itself.
func begin(t *testing.T, db *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

// beside has work go on until it is done, or waits for what the test has locked; what it
// returns waits for the end and gives its error.
func beside(t *testing.T, d *pgtest.DB, work func(ctx context.Context) error) func() error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- work(t.Context()) }()
	super := d.Superuser(t)
	for {
		select {
		case err := <-done:
			return func() error { return err }
		case <-time.After(5 * time.Millisecond):
		}
		if text(t, super, `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil) != "0" {
			return func() error { return <-done }
		}
	}
}

// ran gives the tenant periods of which the first is over and could be closed.
func ran(t *testing.T, db pg.DB, tenant id.Tenant) {
	t.Helper()
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES
		(@tenant, now() - interval '40 days', now() - interval '10 days'), (@tenant, now() - interval '10 days', now() + interval '20 days')`,
		pgx.NamedArgs{"tenant": tenant})
}

const levelOfFirst = `INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used, level_at)
	SELECT tenant_id, 'users', starts_at, 4, starts_at FROM billing.usage_periods WHERE tenant_id = @tenant ORDER BY starts_at LIMIT 1`

func TestALevelThatIsLockedKeepsItsOwnPeriodOpenAndNoOther(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	tenants := make([]id.Tenant, 3)
	for i := range tenants {
		tenants[i] = pgtest.NewTeam(t, db).ID
	}
	slices.SortFunc(tenants, func(a, b id.Tenant) int { return strings.Compare(a.String(), b.String()) })
	for i := range tenants {
		ran(t, db, tenants[i])
		plant(t, db, levelOfFirst, pgx.NamedArgs{"tenant": tenants[i]})
	}
	locked := begin(t, db)
	plant(t, locked, `UPDATE billing.usage_totals SET held = 0 WHERE tenant_id = @tenant`, pgx.NamedArgs{"tenant": tenants[1]})
	if closed, err := usage.ClosePeriods(t.Context(), db); closed != 2 || err == nil || !strings.Contains(err.Error(), tenants[1].String()) {
		t.Errorf("closed %d, want the two that nobody locks, %v", closed, err)
	}
	if err := locked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if closed, err := usage.ClosePeriods(t.Context(), db); closed != 1 || err != nil {
		t.Errorf("later closed %d, %v", closed, err)
	}
}

// Whoever makes the period at its boundary and whoever takes the level into it wait for
// each other in one order.
func TestAtABoundaryNobodyWaitsForSomebodyWhoWaits(t *testing.T) {
	d := pgtest.Database(t)
	db := d.Pool(t, "nself_server")
	tenant := pgtest.NewTeam(t, db).ID
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES (@tenant, now() - interval '31 days', now() - interval '1 minute')`,
		pgx.NamedArgs{"tenant": tenant})
	plant(t, db, levelOfFirst, pgx.NamedArgs{"tenant": tenant})
	const lock = `SELECT billing.lock_total(@tenant, 'users', (SELECT min(starts_at) FROM billing.usage_periods WHERE tenant_id = @tenant))`
	args := pgx.NamedArgs{"tenant": tenant}
	holder := begin(t, db)
	if _, err := usage.PeriodOf(t.Context(), holder, tenant, time.Time{}); err != nil {
		t.Fatal(err)
	}
	other := beside(t, d, func(ctx context.Context) error {
		_, err := db.Exec(ctx, lock, args)
		return err
	})
	if _, err := holder.Exec(t.Context(), lock, args); err != nil {
		t.Error(err)
	}
	if err := holder.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := other(); err != nil {
		t.Error(err)
	}
}

// overlaps tells the periods that do not begin where the one before ends.
const overlaps = `SELECT count(*)::text FROM (
	SELECT starts_at, lag(ends_at) OVER (ORDER BY starts_at) AS former FROM billing.usage_periods WHERE tenant_id = @tenant) p WHERE former <> starts_at`

func TestACycleAndAPeriodMadeAheadDoNotOverlap(t *testing.T) {
	d := pgtest.Database(t)
	db := d.Pool(t, "nself_server")
	anchor := time.Now().AddDate(0, -2, 9)
	for _, cycleFirst := range []bool{false, true} {
		tenant := pgtest.NewTeam(t, db).ID
		plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES (@tenant, now() - interval '30 days', now() + interval '30 minutes')`,
			pgx.NamedArgs{"tenant": tenant})
		ahead := func(ctx context.Context, db pg.DB) error {
			_, err := usage.PeriodOf(ctx, db, tenant, time.Now().Add(45*time.Minute))
			return err
		}
		cycle := func(ctx context.Context, db pg.DB) error {
			_, err := usage.SetCycle(ctx, db, pgtest.Operator, tenant, &anchor)
			return err
		}
		first, second := ahead, cycle
		if cycleFirst {
			first, second = cycle, ahead
		}
		tx := begin(t, db)
		if err := first(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		other := beside(t, d, func(ctx context.Context) error { return second(ctx, db) })
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other(); err != nil {
			t.Error(err)
		}
		if got := text(t, db, overlaps, pgx.NamedArgs{"tenant": tenant}); got != "0" {
			t.Errorf("the cycle first %t: %s periods overlap", cycleFirst, got)
		}
	}
}

func TestAPeriodIsNotClosedWhileALateEventIsCountedOrReversed(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	event := usage.Event{Meter: "compute_hours", Key: "first", Amount: number("1"), At: time.Now().AddDate(0, 0, -20)}
	for name, late := range map[string]func(tx pgx.Tx) error{
		"counted": func(tx pgx.Tx) error {
			another := event
			another.Key = "second"
			outcomes, err := usage.Record(t.Context(), tx, pgtest.Operator, []usage.Event{another})
			if err == nil && outcomes[0].Status != usage.Accepted {
				t.Error(outcomes)
			}
			return err
		},
		"reversed": func(tx pgx.Tx) error {
			_, err := usage.Reverse(t.Context(), tx, pgtest.Operator, event.Tenant, event.Meter, event.Key)
			return err
		},
	} {
		event.Tenant = pgtest.NewTeam(t, db).ID
		ran(t, db, event.Tenant)
		became(t, db, event) // so that the total is there, and its making locks nothing
		tx := begin(t, db)
		if err := late(tx); err != nil {
			t.Fatal(err)
		}
		if closed, err := usage.ClosePeriods(t.Context(), db); closed != 0 || err != nil {
			t.Errorf("%s: closed %d meanwhile, %v", name, closed, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if closed, err := usage.ClosePeriods(t.Context(), db); closed != 1 || err != nil {
			t.Errorf("%s: closed %d afterwards, %v", name, closed, err)
		}
	}
	balanced(t, db)
}

// The last place is one's who takes it, through whichever of the doors to the table.
func TestTwoDoNotTakeTheLastPlace(t *testing.T) {
	d := pgtest.Database(t)
	server := d.Pool(t, "nself_server")
	for _, roles := range [][2]string{{"nself_server", "nself_server"}, {"nself_hasura", "nself_server"}, {"nself_server", "nself_hasura"}} {
		team := pgtest.NewTeam(t, server)
		plant(t, server, `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES (@tenant, 'users', 5)`, pgx.NamedArgs{"tenant": team.ID})
		add := func(ctx context.Context, db pg.DB, user id.User) error {
			_, err := db.Exec(ctx, `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES (@tenant, @user, 'member')`,
				pgx.NamedArgs{"tenant": team.ID, "user": user})
			return err
		}
		one, two := pgtest.User(t, server), pgtest.User(t, server)
		tx := begin(t, d.Pool(t, roles[0]))
		if err := add(t.Context(), tx, one); err != nil {
			t.Fatal(err)
		}
		other := beside(t, d, func(ctx context.Context) error { return add(ctx, d.Pool(t, roles[1]), two) })
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("tenant_members_user_quota", pg.Constraint(other())); diff != "" {
			t.Errorf("%v: %s", roles, diff)
		}
	}
}

// An old snapshot does not show who joined since, and a person may take a row's place.
func TestTheLastPlaceIsTakenByNoOtherWay(t *testing.T) {
	d := pgtest.Database(t)
	server, hasura := d.Pool(t, "nself_server"), d.Pool(t, "nself_hasura")
	team := pgtest.NewTeam(t, server)
	plant(t, server, `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES (@tenant, 'users', 4)`, pgx.NamedArgs{"tenant": team.ID})
	plant(t, d.Superuser(t), `
		WITH machine AS (INSERT INTO auth.users (tenant_id, email, kind) VALUES (@tenant, 'key@keys.invalid', 'service') RETURNING id)
		INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT @tenant, id, 'guest' FROM machine`, pgx.NamedArgs{"tenant": team.ID})
	args := pgx.NamedArgs{"tenant": team.ID, "user": pgtest.User(t, server)}
	if _, err := hasura.Exec(t.Context(), `UPDATE tenants.tenant_members m SET user_id = @user FROM auth.users u
		WHERE m.tenant_id = @tenant AND u.id = m.user_id AND u.kind = 'service'`, args); pg.Constraint(err) != "tenant_members_user_quota" {
		t.Errorf("a person in the place of a machine: %v", err)
	}
	if _, err := hasura.Exec(t.Context(), `UPDATE auth.users SET kind = 'person' WHERE tenant_id = @tenant AND kind = 'service'`, args); pg.Constraint(err) != "users_kind_stays" {
		t.Errorf("a machine that becomes a person: %v", err)
	}
	plant(t, server, `UPDATE billing.tenant_limits SET "limit" = 5 WHERE tenant_id = @tenant`, args)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable, pgx.ReadCommitted} {
		tx, err := hasura.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(t.Context(), `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES (@tenant, @user, 'member')`, args)
		if (err == nil) != (level == pgx.ReadCommitted) {
			t.Errorf("at %s: %v", level, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
