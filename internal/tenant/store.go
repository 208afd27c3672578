package tenant

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const columns = `id, slug, name, status, strategy, plan, owner_user_id, metadata, created_at, updated_at,
	suspended_at, suspend_reason, deleted_at, purge_after`

const getSQL = `SELECT ` + columns + ` FROM tenants.tenants WHERE id = @tenant_id`

// Get reads a tenant the caller is known to have a part in.
func Get(ctx context.Context, db pg.DB, tenant id.Tenant) (Tenant, error) {
	t, err := pg.One[Tenant](ctx, db, getSQL, pgx.NamedArgs{"tenant_id": tenant})
	return found(t, err, tenant.String())
}

// These read a tenant and keep others from changing it until the transaction ends.
// Whoever writes a row that refers to it may go on, but not where the slug may change:
// such a change asks for the whole row, and must ask before it holds a part of it, or two
// wait for each other.
const (
	lockSQL     = getSQL + ` FOR NO KEY UPDATE`
	lockSlugSQL = getSQL + ` FOR UPDATE`
)

const findByIDAllTenantsSQL = `SELECT id FROM tenants.tenants WHERE id = @id`

const findBySlugAllTenantsSQL = `SELECT id FROM tenants.tenants WHERE slug = @slug`

// Resolve turns an id or slug into the id of any tenant, whatever its status. Whether the
// caller may know of that tenant is for the caller of Resolve to decide.
func Resolve(ctx context.Context, db pg.DB, ref string) (id.Tenant, error) {
	sql, args := findBySlugAllTenantsSQL, pgx.NamedArgs{"slug": ref}
	if parsed, err := id.Parse[id.Tenant](ref); err == nil {
		sql, args = findByIDAllTenantsSQL, pgx.NamedArgs{"id": parsed}
	}
	tenant, err := pg.Scalar[id.Tenant](ctx, db, sql, args)
	return found(tenant, err, ref)
}

const resolveSlugsAllTenantsSQL = `SELECT slug, id FROM tenants.tenants WHERE slug = ANY (@slugs::text[])`

type slugged struct {
	Slug string    `db:"slug"`
	ID   id.Tenant `db:"id"`
}

// ResolveAll is Resolve for many slugs at once: those that no tenant has are not in it. It
// asks nothing where there are none.
func ResolveAll(ctx context.Context, db pg.DB, slugs map[string]bool) (map[string]id.Tenant, error) {
	found := make(map[string]id.Tenant, len(slugs))
	if len(slugs) == 0 {
		return found, nil
	}
	rows, err := pg.All[slugged](ctx, db, resolveSlugsAllTenantsSQL, pgx.NamedArgs{"slugs": slices.Collect(maps.Keys(slugs))})
	if err != nil {
		return nil, fmt.Errorf("look for tenants by their slugs: %w", err)
	}
	for _, row := range rows {
		found[row.Slug] = row.ID
	}
	return found, nil
}

// found turns "no row" into the one answer to a tenant that is not there.
func found[T any](value T, err error, ref string) (T, error) {
	switch {
	case pg.NoRow(err):
		return value, NotFound(ref)
	case err != nil:
		return value, fmt.Errorf("read tenant %s: %w", ref, err)
	}
	return value, nil
}

const freeSlugAllTenantsSQL = `SELECT coalesce(tenants.free_slug(@candidates), '')`

// freeSlug proposes the first of the candidates that nobody has; "" where all are taken.
func freeSlug(ctx context.Context, db pg.DB, candidates []string) (string, error) {
	free, err := pg.Scalar[string](ctx, db, freeSlugAllTenantsSQL, pgx.NamedArgs{"candidates": candidates})
	if err != nil {
		return "", fmt.Errorf("look for a free slug: %w", err)
	}
	return free, nil
}
