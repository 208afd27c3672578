// Package purge makes an end of deleted tenants whose time to be restored has passed: Hasura
// forgets the tables of their schemas, the schemas are dropped, their places outside the
// database removed, their rows deleted, and then it is looked whether anything is left. What
// was looked at stands in nself.purges, which outlives the tenant, as the audit log does.
// Each step may be done again, so that whoever finds a purge unfinished goes on with it; a
// tenant that was restored in time is left alone. Backups, and what Hasura keeps of events
// that it delivered, are past its reach.
package purge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/resource"
)

// Places are a tenant's places outside the database; *resource.Keeper keeps them.
type Places interface {
	// Remove removes all of them, or says which it could not.
	Remove(ctx context.Context, tenant id.Tenant) error

	// Remains looks for what places of these names consisted of, and tells what was looked
	// for and what of it is there.
	Remains(ctx context.Context, names map[resource.Kind]string) (looked, left []string, err error)
}

// Config is what a purge works with.
type Config struct {
	DB     pg.DB // as nself_server, in no transaction
	Places Places

	// Untrack has Hasura forget the tables of tenants that are past their purge date; nil
	// where this server does not know Hasura: whoever does finds them gone.
	Untrack func(ctx context.Context) (int64, error)

	Log *slog.Logger
}

// Purger purges. It is safe beside others: what one did the next finds done.
type Purger struct{ config Config }

// New makes a Purger.
func New(config Config) *Purger { return &Purger{config} }

const (
	fewTold   = 20     // errors of one round
	batch     = 10_000 // rows of one table in one transaction
	roundTime = 25 * time.Minute
)

// dueAllTenantsSQL comes to everyone in turn, however many cannot be purged.
const dueAllTenantsSQL = `
SELECT d.id FROM (
  SELECT id FROM nself.purges WHERE done_at IS NULL
  UNION
  SELECT id FROM tenants.tenants WHERE status = 'deleted' AND purge_after <= now()
) d LEFT JOIN nself.purges p ON p.id = d.id
ORDER BY p.tried_at NULLS FIRST, d.id`

// Round purges the tenants that are due, as far as a round's time goes, and returns how many
// it finished. One that cannot be purged does not hold up the others; the error names the first.
func (p *Purger) Round(ctx context.Context, db pg.DB) (done int64, err error) {
	due, err := pg.All[struct{ ID id.Tenant }](ctx, db, dueAllTenantsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("look for tenants that are due to be purged: %w", err)
	}
	var faults []error
	for until := time.Now().Add(roundTime); len(due) > 0 && time.Now().Before(until); due = due[1:] {
		switch finished, err := p.Purge(ctx, due[0].ID); {
		case err != nil && len(faults) < fewTold:
			faults = append(faults, fmt.Errorf("purge tenant %s: %w", due[0].ID, err))
		case finished:
			done++
		}
	}
	return done, errors.Join(faults...)
}

// Purge goes through the steps of one tenant, and reports whether it is purged now: false
// where it is not due.
func (p *Purger) Purge(ctx context.Context, tenant id.Tenant) (bool, error) {
	begun, err := p.begin(ctx, tenant)
	if err != nil || !begun {
		return false, err
	}
	for _, step := range []struct {
		name string
		take func(context.Context, id.Tenant) (any, error)
	}{
		{"hasura", p.untrack}, {"schema", p.dropSchema}, {"places", p.removePlaces}, {"rows", p.deleteRows}, {"tenant", p.end},
	} {
		told, err := step.take(ctx, tenant)
		if err == nil && told != nil {
			err = p.note(ctx, tenant, map[string]any{step.name: told})
		}
		if err != nil {
			return false, fmt.Errorf("step %s: %w", step.name, err)
		}
	}
	err = p.prove(ctx, tenant)
	return err == nil, err
}

const beginSQL = `
WITH due AS (
  SELECT t.id, t.slug, t.strategy, s.schema_name FROM tenants.tenants t LEFT JOIN tenants.tenant_schemas s ON s.tenant_id = t.id
  WHERE t.id = @tenant_id AND t.status = 'deleted' AND t.purge_after <= now()
  FOR NO KEY UPDATE OF t
), begun AS (
  INSERT INTO nself.purges (id, slug, steps)
  SELECT id, slug, jsonb_strip_nulls(jsonb_build_object('strategy', strategy, 'schema_name', schema_name,
    'place_names', (SELECT jsonb_object_agg(r.kind, r.name) FROM tenants.tenant_resources r WHERE r.tenant_id = @tenant_id),
    'customers', (SELECT jsonb_agg(DISTINCT c.id) FROM billing.customers b, unnest(b.former || b.stripe_id) AS c (id) WHERE b.tenant_id = @tenant_id),
    'moves', (SELECT jsonb_agg(replace(m.id::text, '-', '')) FROM nself.moves m WHERE m.tenant_id = @tenant_id))) FROM due
  ON CONFLICT (id) DO NOTHING RETURNING id
)
SELECT EXISTS (SELECT FROM begun) OR EXISTS (SELECT FROM nself.purges WHERE id = @tenant_id AND done_at IS NULL)`

const obstaclesSQL = `SELECT tenants.purge_obstacles(@tenant_id)`

const triedSQL = `UPDATE nself.purges SET tried_at = now() WHERE id = @tenant_id AND done_at IS NULL`

// begin is what a restore comes too late after: it waits for the same lock.
func (p *Purger) begin(ctx context.Context, tenant id.Tenant) (bool, error) {
	args := pgx.NamedArgs{"tenant_id": tenant}
	switch obstacles, err := pg.Scalar[[]string](ctx, p.config.DB, obstaclesSQL, args); {
	case err != nil:
		return false, fmt.Errorf("look what is in the way: %w", err)
	case len(obstacles) > 0:
		return false, errors.New(strings.Join(obstacles, "; "))
	}
	begun, err := pg.Scalar[bool](ctx, p.config.DB, beginSQL, args)
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	if begun {
		if _, err := p.config.DB.Exec(ctx, triedSQL, args); err != nil {
			return false, fmt.Errorf("begin: %w", err)
		}
	}
	return begun, nil
}

const noteSQL = `UPDATE nself.purges SET steps = steps || @steps::jsonb WHERE id = @tenant_id AND done_at IS NULL`

// note keeps what a step tells; what an earlier run was told by the same step is replaced.
func (p *Purger) note(ctx context.Context, tenant id.Tenant, steps map[string]any) error {
	text, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	if _, err := p.config.DB.Exec(ctx, noteSQL, pgx.NamedArgs{"tenant_id": tenant, "steps": string(text)}); err != nil {
		return fmt.Errorf("note it: %w", err)
	}
	return nil
}
