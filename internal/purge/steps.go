package purge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/session"
)

// at is what is told of a step of which nothing but its time is to be told.
func at() map[string]any { return map[string]any{"at": time.Now().UTC()} }

const schemaSQL = `SELECT EXISTS (SELECT FROM tenants.tenant_schemas WHERE tenant_id = @tenant_id)`

const trackedSQL = `
SELECT EXISTS (SELECT FROM tenants.tenant_schemas s JOIN nself.tracked_schemas k ON k.schema_name = s.schema_name WHERE s.tenant_id = @tenant_id)`

// untrack comes before the schema goes, so that Hasura serves no table that is not there.
// What becomes of others' schemas in the same change is not this tenant's matter.
func (p *Purger) untrack(ctx context.Context, tenant id.Tenant) (any, error) {
	args := pgx.NamedArgs{"tenant_id": tenant}
	has, err := pg.Scalar[bool](ctx, p.config.DB, schemaSQL, args)
	if err != nil || !has {
		return nil, err
	}
	if p.config.Untrack == nil {
		p.config.Log.WarnContext(ctx, "a schema is dropped without Hasura being told: HASURA_GRAPHQL_ENDPOINT is not set; run nself tenant migrate", "tenant_id", tenant)
		return nil, nil
	}
	_, failed := p.config.Untrack(ctx)
	switch tracked, err := pg.Scalar[bool](ctx, p.config.DB, trackedSQL, args); {
	case err != nil:
		return nil, err
	case tracked && failed == nil:
		return nil, errors.New("its schema is still served by Hasura")
	case tracked:
		return nil, failed
	case failed != nil:
		p.config.Log.WarnContext(ctx, "Hasura was told of the end of a schema, and not of everything", "tenant_id", tenant, "error", failed)
	}
	return at(), nil
}

const dropSchemaSQL = `SELECT tenants.purge_tenant_schema(@tenant_id)`

func (p *Purger) dropSchema(ctx context.Context, tenant id.Tenant) (told any, err error) {
	dropped, err := pg.Scalar[bool](ctx, p.config.DB, dropSchemaSQL, pgx.NamedArgs{"tenant_id": tenant})
	if dropped {
		told = at()
	}
	return told, err
}

func (p *Purger) removePlaces(ctx context.Context, tenant id.Tenant) (any, error) {
	return nil, p.config.Places.Remove(ctx, tenant)
}

const purgeRowsSQL = `SELECT place, removed FROM tenants.purge_rows(@tenant_id, @batch)`

// deleteRows takes each batch in a transaction of its own, so that nobody waits for long.
func (p *Purger) deleteRows(ctx context.Context, tenant id.Tenant) (any, error) {
	removed := map[string]int64{}
	for {
		rows, err := pg.All[struct {
			Place   string
			Removed int64
		}](ctx, p.config.DB, purgeRowsSQL, pgx.NamedArgs{"tenant_id": tenant, "batch": batch})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			removed[row.Place] += row.Removed
		}
	}
	if len(removed) == 0 {
		return nil, nil
	}
	told := at()
	told["removed"] = removed
	return told, nil
}

const purgeTenantSQL = `SELECT tenants.purge_tenant(@tenant_id)`

// What waits in the queue, or stands parked in the inbox, and names the tenant.
const (
	purgeJobsSQL  = `DELETE FROM nself.river_job WHERE kind <> 'routine' AND state <> 'running' AND strpos(args::text, @tenant_id::uuid::text) > 0`
	purgeInboxSQL = `UPDATE nself.inbox SET payload = NULL WHERE payload IS NOT NULL AND strpos(payload::text, @tenant_id::uuid::text) > 0`
)

// What Stripe told of the tenant's customers: that an event was had stays, so that it is not
// taken for a new one.
const (
	purgeEventsSQL = `
UPDATE billing.stripe_events e SET payload = '{}', object_id = NULL WHERE ` + aboutTenant
	purgeObjectsSQL = `
DELETE FROM billing.stripe_objects o
WHERE EXISTS (SELECT FROM nself.purges p WHERE p.id = @tenant_id AND (p.steps -> 'customers' ? o.customer_id OR p.steps -> 'customers' ? o.object_id))`
	aboutTenant = `strpos(e.payload, @tenant_id::uuid::text) > 0
  OR EXISTS (SELECT FROM nself.purges p, jsonb_array_elements(p.steps -> 'customers') AS c (id) WHERE p.id = @tenant_id AND strpos(e.payload, c.id::text) > 0)`
)

func (p *Purger) end(ctx context.Context, tenant id.Tenant) (told any, err error) {
	args := pgx.NamedArgs{"tenant_id": tenant}
	err = pg.InTx(ctx, p.config.DB, func(tx pgx.Tx) error {
		ended, err := pg.Scalar[bool](ctx, tx, purgeTenantSQL, args)
		if err != nil {
			return err
		}
		for _, sql := range []string{purgeJobsSQL, purgeInboxSQL, purgeEventsSQL, purgeObjectsSQL} {
			if _, err := tx.Exec(ctx, sql, args); err != nil {
				return err
			}
		}
		if ended {
			told = at()
		}
		return nil
	})
	return told, err
}

const remainsSQL = `SELECT place, remains FROM tenants.purge_remains(@tenant_id)`

// leftSQL looks for what no table of rows tells: the schema by the name it had, and jobs.
const leftSQL = `
SELECT p.slug, coalesce(p.steps ->> 'schema_name', '') AS schema_name, coalesce(p.steps -> 'place_names', '{}') AS place_names,
  EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = p.steps ->> 'schema_name'
          AND NOT EXISTS (SELECT FROM tenants.tenant_schemas s WHERE s.schema_name = n.nspname)) AS schema_left,
  EXISTS (SELECT FROM nself.river_job j WHERE j.kind <> 'routine' AND j.state <> 'running' AND strpos(j.args::text, @tenant_id::uuid::text) > 0) AS jobs_left,
  EXISTS (SELECT FROM nself.tracked_schemas k WHERE k.schema_name = p.steps ->> 'schema_name'
          AND NOT EXISTS (SELECT FROM tenants.tenant_schemas s WHERE s.schema_name = k.schema_name)) AS tracked,
  EXISTS (SELECT FROM billing.stripe_events e WHERE ` + aboutTenant + `) AS events_left,
  coalesce(p.steps -> 'moves', '[]') AS moves,
  EXISTS (SELECT FROM jsonb_array_elements_text(p.steps -> 'moves') AS m (hex) WHERE
    EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE starts_with(g.tgname, 'nself_move_' || m.hex))
    OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = 'move_gate_' || m.hex)) AS moves_left
FROM nself.purges p WHERE p.id = @tenant_id`

const doneSQL = `
UPDATE nself.purges SET steps = steps || jsonb_build_object('proof', @proof::jsonb), done_at = now() WHERE id = @tenant_id AND done_at IS NULL`

// prove looks everywhere once more, and ends the purge where nothing is left.
func (p *Purger) prove(ctx context.Context, tenant id.Tenant) error {
	found, err := p.look(ctx, tenant)
	if err != nil {
		return fmt.Errorf("look for what is left: %w", err)
	}
	if len(found.Left) > 0 {
		return fmt.Errorf("not everything is gone: %q", found.Left)
	}
	return pg.InTx(ctx, p.config.DB, func(tx pgx.Tx) error {
		ended, err := tx.Exec(ctx, doneSQL, pgx.NamedArgs{"tenant_id": tenant, "proof": found})
		if err != nil || ended.RowsAffected() == 0 { // another server was quicker
			return err
		}
		return audit.Append(ctx, tx, session.Session{Role: session.Server, Tenant: tenant}, audit.Entry{
			Tenant: tenant, Action: "purge_tenant", Target: "tenant:" + tenant.String(),
			Before: map[string]any{"slug": found.slug}, After: map[string]any{"looked": found.Looked},
		})
	})
}

// proof is what was looked at in the end.
type proof struct {
	At     time.Time `json:"at"`
	Looked []string  `json:"looked"`
	Left   []string  `json:"left"`
	slug   string
}

func (f *proof) see(what string, left bool) {
	f.Looked = append(f.Looked, what)
	if left {
		f.Left = append(f.Left, what)
	}
}

func (p *Purger) look(ctx context.Context, tenant id.Tenant) (found proof, err error) {
	found = proof{At: time.Now().UTC(), Left: []string{}}
	args := pgx.NamedArgs{"tenant_id": tenant}
	tables, err := pg.All[struct {
		Place   string
		Remains bool
	}](ctx, p.config.DB, remainsSQL, args)
	if err != nil {
		return found, err
	}
	for _, t := range tables {
		found.see("table "+t.Place, t.Remains)
	}
	rest, err := pg.One[struct {
		Slug       string                   `db:"slug"`
		SchemaName string                   `db:"schema_name"`
		SchemaLeft bool                     `db:"schema_left"`
		JobsLeft   bool                     `db:"jobs_left"`
		Tracked    bool                     `db:"tracked"`
		EventsLeft bool                     `db:"events_left"`
		Moves      []string                 `db:"moves"`
		MovesLeft  bool                     `db:"moves_left"`
		PlaceNames map[resource.Kind]string `db:"place_names"`
	}](ctx, p.config.DB, leftSQL, args)
	if err != nil {
		return found, err
	}
	found.slug = rest.Slug
	if rest.SchemaName != "" {
		found.see("schema "+rest.SchemaName, rest.SchemaLeft)
		if p.config.Untrack != nil {
			found.see("Hasura's tables of "+rest.SchemaName, rest.Tracked)
		}
	}
	if len(rest.Moves) > 0 {
		found.see("triggers and gates of moves", rest.MovesLeft)
	}
	found.see("jobs", rest.JobsLeft)
	found.see("events of Stripe", rest.EventsLeft)
	looked, left, err := p.config.Places.Remains(ctx, rest.PlaceNames)
	found.Looked, found.Left = append(found.Looked, looked...), append(found.Left, left...)
	return found, err
}
