package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purge"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/tenant"
)

// pastItsDate deletes a tenant and lets its time to be restored pass.
func (g *ground) pastItsDate(t *testing.T, team pgtest.Team) {
	t.Helper()
	if _, err := tenant.Delete(t.Context(), g.db, operator(team.ID), team.Slug, pgtest.Defaults); err != nil {
		t.Fatal(err)
	}
	if _, err := g.owner.Exec(t.Context(), `UPDATE tenants.tenants SET purge_after = now() - interval '1 second' WHERE id = $1`, team.ID); err != nil {
		t.Fatal(err)
	}
}

func (g *ground) purger(untrack func(context.Context) (int64, error)) *purge.Purger {
	return purge.New(purge.Config{DB: g.db, Places: g.keeper, Untrack: untrack, Log: g.log})
}

// livedIn is a tenant with a schema of its own, places, rows and a job.
func (g *ground) livedIn(t *testing.T) (pgtest.Team, resource.Keys) {
	t.Helper()
	team := pgtest.NewTeam(t, g.db)
	if _, err := g.owner.Exec(t.Context(), `UPDATE tenants.tenants SET strategy = 'schema' WHERE id = $1`, team.ID); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT tenants.create_tenant_schema($1, 'tenant_')`,
		`INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source) SELECT $1, 'api_requests', now(), now(), 1, 'record' FROM generate_series(1, 500) n`,
	} {
		if _, err := g.db.Exec(t.Context(), sql, team.ID); err != nil {
			t.Fatal(err)
		}
	}
	g.sweep(t)
	keys := g.keys(t, team.ID, resource.Redis)
	if err := g.redisAs(t, keys).Set(t.Context(), keys.Scope+"a", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	return team, keys
}

func TestAPurgedTenantLeavesNothingButTheProof(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, keys := g.livedIn(t)
	other, theirs := g.livedIn(t)
	g.pastItsDate(t, team)
	untracked := false
	purger := g.purger(func(ctx context.Context) (int64, error) {
		return 1, g.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tenants.tenant_schemas WHERE tenant_id = $1)`, team.ID).Scan(&untracked)
	})
	if done, err := purger.Round(t.Context(), g.db); err != nil || done != 1 {
		t.Fatalf("%d purged, %v", done, err)
	}
	if !untracked {
		t.Error("Hasura was told after the schema was gone, or not at all")
	}
	if done, err := purger.Round(t.Context(), g.db); err != nil || done != 0 {
		t.Errorf("a second round purges %d, %v", done, err)
	}
	var steps string
	var rows, looked, removed int
	err := g.owner.QueryRow(t.Context(), `SELECT steps::text, (SELECT sum(value::int) FROM jsonb_each_text(steps #> '{rows,removed}') WHERE key LIKE 'billing.usage_records%'),
		jsonb_array_length(steps #> '{proof,looked}') FROM nself.purges WHERE id = $1 AND done_at IS NOT NULL`, team.ID).Scan(&steps, &removed, &looked)
	if err != nil || removed != 500 || looked < 30 || !strings.Contains(steps, "user "+keys.Username) || !strings.Contains(steps, "bucket t-"+team.ID.String()) || !strings.Contains(steps, `"schema tenant_`) {
		t.Errorf("%d rows of usage went, %d places were looked at, %v: %s", removed, looked, err, steps)
	}
	if err := g.owner.QueryRow(t.Context(), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'purge_tenant'`, team.ID).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows of the log tell of it, %v", rows, err)
	}
	if err := g.redisAs(t, keys).Ping(t.Context()).Err(); err == nil {
		t.Error("its user of Redis is there")
	}
	if got, err := g.redisAs(t, theirs).Get(t.Context(), theirs.Scope+"a").Int(); err != nil || got != 1 {
		t.Errorf("another tenant's key: %d, %v", got, err)
	}
	if diff := cmp.Diff(both(1, 1, true), g.standing(t, other.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestAPurgeThatWasCutShortGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, _ := g.livedIn(t)
	g.pastItsDate(t, team)
	for n := 1; ; n++ { // each try is cut off a few statements later
		cut, stop := context.WithCancel(t.Context())
		purger := purge.New(purge.Config{DB: &cutOff{DB: g.db, left: 3 * n, stop: stop}, Places: g.keeper, Log: g.log})
		done, err := purger.Purge(cut, team.ID)
		stop()
		if done && err == nil {
			break
		}
		if n > 30 {
			t.Fatalf("it does not end: %v", err)
		}
		g.hurry(t)
	}
	var left int
	if err := g.owner.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenants WHERE id = $1`, team.ID).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows, %v", left, err)
	}
	if err := g.owner.QueryRow(t.Context(), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'purge_tenant'`, team.ID).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d rows of the log tell of it, %v", left, err)
	}
}

// cutOff ends the context after so many statements, as a killed server would.
type cutOff struct {
	pg.DB
	left int
	stop func()
}

func (c *cutOff) count() {
	if c.left--; c.left == 0 {
		c.stop()
	}
}

func (c *cutOff) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.count()
	return c.DB.Query(ctx, sql, args...)
}

func (c *cutOff) Begin(ctx context.Context) (pgx.Tx, error) {
	c.count()
	return c.DB.Begin(ctx)
}

func TestATenantThatIsRestoredInTimeIsNotPurgedAndOneThatIsHalfGoneIsNotRestored(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team := pgtest.NewTeam(t, g.db)
	g.pastItsDate(t, team)
	if _, err := g.owner.Exec(t.Context(), `UPDATE tenants.tenants SET purge_after = now() + interval '1 day' WHERE id = $1`, team.ID); err != nil {
		t.Fatal(err)
	}
	purger := g.purger(nil)
	if done, err := purger.Purge(t.Context(), team.ID); err != nil || done {
		t.Errorf("before its time: %v, %v", done, err)
	}
	if _, err := tenant.Restore(t.Context(), g.db, operator(team.ID)); err != nil {
		t.Fatal(err)
	}
	if done, err := purger.Purge(t.Context(), team.ID); err != nil || done {
		t.Errorf("restored: %v, %v", done, err)
	}
	if _, err := g.db.Exec(t.Context(), `SELECT tenants.purge_tenant($1)`, team.ID); err == nil {
		t.Error("an active tenant is purged past every step")
	}
	g.pastItsDate(t, team)
	broken := purge.New(purge.Config{DB: g.db, Places: stubborn{g.keeper}, Log: g.log})
	if done, err := broken.Purge(t.Context(), team.ID); err == nil || done {
		t.Fatalf("%v, %v", done, err)
	}
	if _, err := g.owner.Exec(t.Context(), `UPDATE tenants.tenants SET purge_after = now() + interval '1 day' WHERE id = $1`, team.ID); err == nil {
		t.Error("what is half gone is given more time")
	}
	if done, err := purger.Purge(t.Context(), team.ID); err != nil || !done {
		t.Errorf("at last: %v, %v", done, err)
	}
}

// stubborn is places that cannot be removed just now.
type stubborn struct{ *resource.Keeper }

func (stubborn) Remove(context.Context, id.Tenant) error { return context.DeadlineExceeded }

func TestAPurgeWaitsForTheEndOfAMoveAndForWhatItLeft(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, _ := g.livedIn(t)
	g.pastItsDate(t, team)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := g.owner.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	var move string
	if err := g.owner.QueryRow(t.Context(), `INSERT INTO nself.moves (tenant_id, target, plan) VALUES ($1, 'rls', '{}') RETURNING replace(id::text, '-', '')`, team.ID).Scan(&move); err != nil {
		t.Fatal(err)
	}
	purger := g.purger(nil)
	if done, err := purger.Purge(t.Context(), team.ID); done || err == nil || !strings.Contains(err.Error(), "a move of it is open") {
		t.Errorf("with an open move: %v, %v", done, err)
	}
	if _, err := g.db.Exec(t.Context(), `INSERT INTO nself.purges (id, slug) VALUES ($1, $2)`, team.ID, team.Slug); err != nil {
		t.Fatal(err)
	}
	if _, err := g.db.Exec(t.Context(), `SELECT tenants.purge_tenant_schema($1)`, team.ID); err == nil || !strings.Contains(err.Error(), "is open") {
		t.Errorf("past every step: %v", err)
	}
	exec(`DELETE FROM nself.purges`)
	exec(`UPDATE nself.moves SET state = 'undone', ended_at = now() WHERE tenant_id = $1`, team.ID)
	exec(`CREATE SEQUENCE nself.move_gate_` + move)
	if done, err := purger.Purge(t.Context(), team.ID); done || err == nil || !strings.Contains(err.Error(), "triggers and gates of moves") {
		t.Errorf("with the gate of a move: %v, %v", done, err)
	}
	exec(`DROP SEQUENCE nself.move_gate_` + move)
	if done, err := purger.Purge(t.Context(), team.ID); !done || err != nil {
		t.Errorf("at last: %v, %v", done, err)
	}
}

// pay gives a tenant a customer at Stripe with a subscription, and events of it.
func (g *ground) pay(t *testing.T, team pgtest.Team, customer string) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO billing.customers (tenant_id, stripe_id, livemode, created_at) VALUES ($1, $2, false, now())`,
		`INSERT INTO billing.subscriptions (tenant_id, stripe_id, status, currency, current_period_start, current_period_end, anchor_at, main, livemode, created_at)
		 VALUES ($1, 'sub_' || $2, 'active', 'usd', now(), now(), now(), true, false, now())`,
	} {
		if _, err := g.owner.Exec(t.Context(), sql, team.ID, customer); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.owner.Exec(t.Context(), `INSERT INTO billing.stripe_events (event_id, type, object_id, livemode, api_version, created_at, payload)
		VALUES ('evt_' || $1, 'customer.updated', $1, false, '2022-11-15', now(), '{"data": {"object": {"id": "' || $1 || '", "email": "ada@example.com"}}}')`, customer)
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPurgeWaitsForTheSubscriptionAndTakesWhatStripeTold(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, other := pgtest.NewTeam(t, g.db), pgtest.NewTeam(t, g.db)
	g.pay(t, team, "cus_mine")
	g.pay(t, other, "cus_mine2")
	g.pastItsDate(t, team)
	purger := g.purger(nil)
	if done, err := purger.Purge(t.Context(), team.ID); done || err == nil || !strings.Contains(err.Error(), "its subscription goes on: cancel it") {
		t.Errorf("while it pays: %v, %v", done, err)
	}
	if _, err := g.owner.Exec(t.Context(), `UPDATE billing.subscriptions SET cancel_at_period_end = true WHERE tenant_id = $1`, team.ID); err != nil {
		t.Fatal(err)
	}
	if done, err := purger.Purge(t.Context(), team.ID); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	var mine, theirs string
	if err := g.owner.QueryRow(t.Context(), `SELECT (SELECT payload FROM billing.stripe_events WHERE event_id = 'evt_cus_mine'), (SELECT payload FROM billing.stripe_events WHERE event_id = 'evt_cus_mine2')`).Scan(&mine, &theirs); err != nil {
		t.Fatal(err)
	}
	if mine != "{}" || !strings.Contains(theirs, "ada@example.com") {
		t.Errorf("the events are %s and %s", mine, theirs)
	}
}

// A reference of another tenant's row to this one would take that row along.
func TestAPurgeTakesNoRowOfAnotherTenant(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, other := pgtest.NewTeam(t, g.db), pgtest.NewTeam(t, g.db)
	for _, sql := range []string{
		`CREATE SCHEMA crm`,
		`CREATE TABLE crm.deals (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, id int, partner_id uuid REFERENCES tenants.tenants ON DELETE CASCADE, PRIMARY KEY (tenant_id, id))`,
		`INSERT INTO nself.tenant_tables (schema_name, table_name, declaration) VALUES ('crm', 'deals', '{"column": "tenant_id"}')`,
		`INSERT INTO crm.deals VALUES ('` + other.ID.String() + `', 1, '` + team.ID.String() + `')`,
	} {
		if _, err := g.owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	g.pastItsDate(t, team)
	if done, err := g.purger(nil).Purge(t.Context(), team.ID); done || err == nil || !strings.Contains(err.Error(), "rows of other tenants in crm.deals refer to it by partner_id") {
		t.Errorf("%v, %v", done, err)
	}
	if _, err := g.owner.Exec(t.Context(), `UPDATE crm.deals SET partner_id = NULL`); err != nil {
		t.Fatal(err)
	}
	if done, err := g.purger(nil).Purge(t.Context(), team.ID); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	var left int
	if err := g.owner.QueryRow(t.Context(), `SELECT count(*) FROM crm.deals`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d rows of the other tenant are left, %v", left, err)
	}
}

func TestAnothersTableThatHasuraCannotServeDoesNotHoldUpAPurge(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, _ := g.livedIn(t)
	var schema string
	if err := g.db.QueryRow(t.Context(), `SELECT schema_name FROM tenants.tenant_schemas WHERE tenant_id = $1`, team.ID).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	if _, err := g.db.Exec(t.Context(), `INSERT INTO nself.tracked_schemas (schema_name) VALUES ($1)`, schema); err != nil {
		t.Fatal(err)
	}
	g.pastItsDate(t, team)
	failing := func(context.Context) (int64, error) { return 0, errors.New("a table of another tenant") }
	if done, err := g.purger(failing).Purge(t.Context(), team.ID); done || err == nil || !strings.Contains(err.Error(), "a table of another") {
		t.Errorf("while Hasura serves its own: %v, %v", done, err)
	}
	done, err := g.purger(func(ctx context.Context) (int64, error) {
		_, err := g.db.Exec(ctx, `DELETE FROM nself.tracked_schemas WHERE schema_name = $1`, schema)
		return 1, errors.Join(err, errors.New("a table of another tenant"))
	}).Purge(t.Context(), team.ID)
	if !done || err != nil {
		t.Errorf("once it does not: %v, %v", done, err)
	}
}
