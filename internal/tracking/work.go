package tracking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

func waitArgs(insist bool) pgx.NamedArgs {
	return pgx.NamedArgs{"reads": isolation.ReadsSchema, "insist": insist}
}

// alive is a schema s of a tenant t that Hasura is to know; waiting is one that it may not
// know as it is. What Hasura could not serve waits for its time, or for a change, unless
// @insist.
const (
	alive   = `NOT (t.status = 'deleted' AND t.purge_after <= now())`
	waiting = alive + ` AND (s.tracked_at IS NULL OR s.tracked_at < s.changed_at OR k.schema_name IS NULL)
	                 AND (@insist OR k.next_at IS NULL OR k.next_at <= now() OR k.failed IS DISTINCT FROM extract(epoch FROM s.changed_at)::text)`
)

// waitsAllTenantsSQL is the cheap question of every minute.
const waitsAllTenantsSQL = `
	SELECT EXISTS (SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	               LEFT JOIN nself.tracked_schemas k ON k.schema_name = s.schema_name WHERE ` + waiting + `)
	    OR EXISTS (SELECT FROM nself.tracked_schemas k
	               WHERE k.schema_name <> @reads AND NOT EXISTS (
	                 SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	                 WHERE s.schema_name = k.schema_name AND ` + alive + `))
	    OR EXISTS (SELECT FROM (SELECT obj_description(to_regnamespace(@reads), 'pg_namespace') AS form) f
	               LEFT JOIN nself.tracked_schemas k ON k.schema_name = @reads
	               WHERE f.form IS DISTINCT FROM k.fingerprint
	                 AND (@insist OR k.next_at IS NULL OR k.next_at <= now() OR k.failed IS DISTINCT FROM f.form))`

// buildReadsSQL tells which tables cannot be read under their own name.
const buildReadsSQL = `SELECT tenants.build_tenant_reads()`

const waitingAllTenantsSQL = `
	SELECT s.tenant_id, s.schema_name, s.changed_at FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	LEFT JOIN nself.tracked_schemas k ON k.schema_name = s.schema_name
	WHERE ` + waiting + ` ORDER BY s.schema_name`

const goneAllTenantsSQL = `
	SELECT k.schema_name FROM nself.tracked_schemas k
	WHERE k.schema_name <> @reads AND NOT EXISTS (
	  SELECT FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
	  WHERE s.schema_name = k.schema_name AND ` + alive + `)
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
func readWork(ctx context.Context, db pg.DB, insist bool) (w work, err error) {
	err = inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if w.Waiting, err = pg.All[isolation.TenantSchema](ctx, tx, waitingAllTenantsSQL, waitArgs(insist)); err != nil {
			return err
		}
		type gone struct {
			Name string `db:"schema_name"`
		}
		dropped, err := pg.All[gone](ctx, tx, goneAllTenantsSQL, waitArgs(insist))
		if err != nil {
			return err
		}
		for _, g := range dropped {
			w.Gone = append(w.Gone, g.Name)
		}
		if w.form, err = pg.Scalar[*string](ctx, tx, readsFormSQL, waitArgs(insist)); err != nil {
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
