package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pg"
)

const canariesAllTenantsSQL = `
SELECT s.tenant_id, t.slug, s.schema_name, s.failure, s.failed_at,
	ARRAY(SELECT m.version FROM nself.tenant_migrations m
	      WHERE NOT EXISTS (SELECT FROM tenants.tenant_schema_migrations d WHERE d.tenant_id = s.tenant_id AND d.version = m.version)) AS lacks
FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
WHERE cardinality(@slugs::text[]) = 0 OR t.slug = ANY (@slugs::text[])
ORDER BY s.created_at, s.tenant_id LIMIT @most`

// Try applies what is to be registered to the canaries of a fan-out and takes it back, so
// that a migration that fails on real rows is registered nowhere and given to nobody. The
// error names the tenant and, as a *Failure, the file.
func Try(ctx context.Context, db *pgxpool.Pool, in FanOutInput, change Change) error {
	args := pgx.NamedArgs{"slugs": in.Canaries, "most": len(in.Canaries)}
	if len(in.Canaries) == 0 {
		args = pgx.NamedArgs{"slugs": append([]string{}, in.Only...), "most": max(in.Canary, 0)}
	}
	if len(change.Fresh) == 0 {
		return nil
	}
	canaries, err := pg.All[Place](ctx, db, canariesAllTenantsSQL, args)
	if err != nil {
		return fmt.Errorf("look for the canaries: %w", err)
	}
	run := fanOut{db: db, in: in, report: &Report{}}
	for _, p := range canaries {
		err := pg.Patiently(ctx, run.patience(p), func() error {
			return run.connected(ctx, func(conn *pgxpool.Conn) error { return run.tryOn(ctx, conn, p, change) })
		})
		if err != nil {
			return fmt.Errorf("tried on tenant %s: %w", p.Slug, err)
		}
	}
	return nil
}

const holdSchemaSQL = `SELECT nself.lock_tenant_schema(@tenant_id) IS NOT NULL`

const hadSQL = `SELECT version FROM tenants.tenant_schema_migrations WHERE tenant_id = @tenant_id`

func (run *fanOut) tryOn(ctx context.Context, conn *pgxpool.Conn, p Place, change Change) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it was never to stay
	if _, err := tx.Exec(ctx, enterOwnerSQL, run.enter()); err != nil {
		return ownerOnly(err)
	}
	held, err := pg.Scalar[bool](ctx, tx, holdSchemaSQL, pgx.NamedArgs{"tenant_id": p.Tenant})
	if err != nil || !held { // gone meanwhile
		return err
	}
	had, err := pg.All[struct{ Version int64 }](ctx, tx, hadSQL, pgx.NamedArgs{"tenant_id": p.Tenant})
	if err != nil {
		return err
	}
	for _, f := range append(slices.Clone(change.Kept), change.Fresh...) {
		if slices.ContainsFunc(had, func(h struct{ Version int64 }) bool { return h.Version == f.Version }) {
			continue // the other of two runs at once has given it
		}
		if err := inUse(runFile(ctx, tx, p.Schema, f)); err != nil {
			return err
		}
	}
	return nil
}

// inUse has a failure for want of a lock be one that passes.
func inUse(err error) error {
	var failed *Failure
	if errors.As(err, &failed) && slices.Contains(passing, failed.Code) {
		return errors.Join(errHeld, failed)
	}
	return err
}
