package app

import (
	"context"
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
