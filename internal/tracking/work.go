package tracking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

var readsArgs = pgx.NamedArgs{"reads": isolation.ReadsSchema}

// waitsAllTenantsSQL is the cheap question of every minute: it goes by a partial index and
// by two lists of names.
const waitsAllTenantsSQL = `
	SELECT EXISTS (SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	               WHERE (s.tracked_at IS NULL OR s.tracked_at < s.changed_at) AND NOT (t.status = 'deleted' AND t.purge_after <= now()))
	    OR EXISTS (SELECT FROM nself.tracked_schemas k
	               WHERE k.schema_name <> @reads AND NOT EXISTS (
	                 SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	                 WHERE s.schema_name = k.schema_name AND NOT (t.status = 'deleted' AND t.purge_after <= now())))
	    OR obj_description(to_regnamespace(@reads), 'pg_namespace')
	       IS DISTINCT FROM (SELECT k.fingerprint FROM nself.tracked_schemas k WHERE k.schema_name = @reads)`

const buildReadsSQL = `SELECT tenants.build_tenant_reads()`

const waitingAllTenantsSQL = `
	SELECT s.tenant_id, s.schema_name, s.changed_at FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	WHERE (s.tracked_at IS NULL OR s.tracked_at < s.changed_at) AND NOT (t.status = 'deleted' AND t.purge_after <= now())
	ORDER BY s.schema_name`

const goneAllTenantsSQL = `
	SELECT k.schema_name FROM nself.tracked_schemas k
	WHERE k.schema_name <> @reads AND NOT EXISTS (
	  SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	  WHERE s.schema_name = k.schema_name AND NOT (t.status = 'deleted' AND t.purge_after <= now()))
	ORDER BY k.schema_name`

const readsFormSQL = `SELECT obj_description(to_regnamespace(@reads), 'pg_namespace')`

// work is what one run is about, as one snapshot of the database has it.
type work struct {
	Waiting []isolation.TenantSchema
	Gone    []string
	form    *string // the fingerprint of the reads under one name; nil while there are none
	entries []map[string]any
	reads   isolation.Reads
}

// readWork reads what waits and the tables of it in one snapshot, so that what is noted
// later is what was read.
func readWork(ctx context.Context, db pg.DB) (w work, err error) {
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if w.Waiting, err = pg.All[isolation.TenantSchema](ctx, tx, waitingAllTenantsSQL, nil); err != nil {
			return err
		}
		type gone struct {
			Name string `db:"schema_name"`
		}
		dropped, err := pg.All[gone](ctx, tx, goneAllTenantsSQL, readsArgs)
		if err != nil {
			return err
		}
		for _, g := range dropped {
			w.Gone = append(w.Gone, g.Name)
		}
		if w.form, err = pg.Scalar[*string](ctx, tx, readsFormSQL, readsArgs); err != nil {
			return err
		}
		names := make([]string, len(w.Waiting))
		for i, s := range w.Waiting {
			names[i] = s.Name
		}
		tables, err := isolation.SchemaTables(ctx, tx, names)
		for _, entry := range isolation.TrackedSchemas(tables) {
			w.entries = append(w.entries, entry.Entry())
		}
		return err
	})
	if err != nil {
		return w, fmt.Errorf("read which tenants' schemas Hasura is to know: %w", err)
	}
	return w, nil
}

func inSnapshot(ctx context.Context, db pg.DB, read func(tx pgx.Tx) error) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`); err != nil {
			return err
		}
		return read(tx)
	})
}

// amend puts the work into exported metadata and says what that changed.
func (w *work) amend(ctx context.Context, db pg.DB, exported *hasuraapi.Exported) ([]hasuraapi.Change, error) {
	taken, err := rootFields(exported.Metadata)
	if err != nil {
		return nil, err
	}
	if w.reads, err = isolation.ReadTracked(ctx, db, taken); err != nil {
		return nil, err
	}
	a := hasuraapi.Amendment{Schemas: append(slices.Clone(w.Gone), isolation.ReadsSchema), Tables: slices.Clone(w.entries)}
	for _, s := range w.Waiting {
		a.Schemas = append(a.Schemas, s.Name)
	}
	for _, entry := range w.reads.Tables {
		a.Tables = append(a.Tables, entry.Entry())
	}
	for _, function := range w.reads.Functions {
		a.Functions = append(a.Functions, function.Entry())
	}
	var changes []hasuraapi.Change
	var amended json.RawMessage
	if amended, changes, err = hasuraapi.Amend(exported.Metadata, a); err != nil {
		return nil, err
	}
	exported.Metadata = amended
	return changes, nil
}

const notedAllTenantsSQL = `
	WITH took AS (
	  SELECT * FROM unnest(@tenants::uuid[], @schemas::text[], @changed::timestamptz[]) AS n (tenant_id, schema_name, changed_at)
	), tracked AS (
	  UPDATE tenants.tenant_schemas s SET tracked_at = n.changed_at FROM took n WHERE s.tenant_id = n.tenant_id
	), gone AS (
	  DELETE FROM nself.tracked_schemas WHERE schema_name = ANY (@gone::text[])
	)
	INSERT INTO nself.tracked_schemas (schema_name, fingerprint)
	SELECT schema_name, NULL FROM took UNION ALL SELECT @reads, @form WHERE @form::text IS NOT NULL
	ON CONFLICT (schema_name) DO UPDATE SET tracked_at = now(), fingerprint = EXCLUDED.fingerprint`

// note records what Hasura took: as of the changes that were read, so that what changed
// since waits on.
func (w *work) note(ctx context.Context, db pg.DB, bad []string) error {
	tenants, schemas, changed := []id.Tenant{}, []string{}, []time.Time{}
	for _, s := range w.Waiting {
		if !slices.Contains(bad, s.Name) {
			tenants, schemas, changed = append(tenants, s.Tenant), append(schemas, s.Name), append(changed, s.Changed)
		}
	}
	if slices.Contains(bad, isolation.ReadsSchema) {
		w.form = nil
	}
	args := pgx.NamedArgs{"tenants": tenants, "schemas": schemas, "changed": changed,
		"gone": append([]string{}, w.Gone...), "reads": isolation.ReadsSchema, "form": w.form}
	if _, err := db.Exec(ctx, notedAllTenantsSQL, args); err != nil {
		return fmt.Errorf("note what Hasura tracks: %w", pg.Explain(err))
	}
	return nil
}
