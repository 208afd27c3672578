package tenantschema

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Place is a tenant with a schema of its own and how far it is.
type Place struct {
	Tenant  id.Tenant  `db:"tenant_id" json:"tenant_id"`
	Slug    string     `db:"slug" json:"slug"`
	Schema  string     `db:"schema_name" json:"schema"`
	Lacks   []int64    `db:"lacks" json:"lacks"`               // versions that are registered and not applied
	Failure *string    `db:"failure" json:"failure,omitempty"` // of the last try; nil: none failed
	Failed  *time.Time `db:"failed_at" json:"failed_at,omitempty"`
}

// behindAllTenantsSQL counts first, so that a run with nothing to do reads each row once.
const behindAllTenantsSQL = `
WITH registered AS (SELECT count(*) AS n FROM nself.tenant_migrations),
applied AS (SELECT tenant_id, count(*) AS n FROM tenants.tenant_schema_migrations GROUP BY tenant_id)
SELECT s.tenant_id, t.slug, s.schema_name, s.failure, s.failed_at,
	ARRAY(SELECT m.version FROM nself.tenant_migrations m
	      WHERE NOT EXISTS (SELECT FROM tenants.tenant_schema_migrations d WHERE d.tenant_id = s.tenant_id AND d.version = m.version)
	      ORDER BY m.version) AS lacks
FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
CROSS JOIN registered r LEFT JOIN applied a ON a.tenant_id = s.tenant_id
WHERE coalesce(a.n, 0) < r.n
ORDER BY s.created_at, s.tenant_id`

// Behind are the tenants that lack a registered file, of whatever status, the oldest first.
func Behind(ctx context.Context, db pg.DB) ([]Place, error) {
	found, err := pg.All[Place](ctx, db, behindAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read which tenants lack migrations: %w", err)
	}
	return found, nil
}

// Applied is a registered file and how many tenants have it.
type Applied struct {
	Version    int64     `db:"version" json:"version"`
	Name       string    `db:"name" json:"name"`
	Checksum   string    `db:"checksum" json:"checksum"`
	Registered time.Time `db:"registered_at" json:"registered_at"`
	Tenants    int       `db:"tenants" json:"tenants"`
}

// Standing is how far the installation is.
type Standing struct {
	Tenants int       `json:"tenants"` // with a schema of their own
	Files   []Applied `json:"files"`
	Behind  []Place   `json:"behind"`
}

const schemasAllTenantsSQL = `SELECT count(*) FROM tenants.tenant_schemas`

const filesAllTenantsSQL = `
SELECT m.version, m.name, m.checksum, m.registered_at, count(d.tenant_id) AS tenants
FROM nself.tenant_migrations m LEFT JOIN tenants.tenant_schema_migrations d ON d.version = m.version
GROUP BY m.version ORDER BY m.version`

// Status reads how far the tenants are, in one snapshot.
func Status(ctx context.Context, db *pgxpool.Pool) (Standing, error) {
	now := Standing{}
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return now, fmt.Errorf("read how far the tenants are: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	if now.Tenants, err = pg.Scalar[int](ctx, tx, schemasAllTenantsSQL, nil); err == nil {
		now.Files, err = pg.All[Applied](ctx, tx, filesAllTenantsSQL, nil)
	}
	if err != nil {
		return now, fmt.Errorf("read how far the tenants are: %w", err)
	}
	now.Behind, err = Behind(ctx, tx)
	return now, err
}

const namedAllTenantsSQL = `
SELECT t.slug FROM tenants.tenants t JOIN tenants.tenant_schemas s ON s.tenant_id = t.id WHERE t.slug = ANY (@slugs::text[])`

// Housed checks that every slug is a tenant with a schema of its own; the error names all
// that are not.
func Housed(ctx context.Context, db pg.DB, slugs []string) error {
	if len(slugs) == 0 {
		return nil
	}
	rows, _ := db.Query(ctx, namedAllTenantsSQL, pgx.NamedArgs{"slugs": slugs})
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look tenants up: %w", err)
	}
	return missing(slugs, found)
}
