// Package tenantschema is the schemas of tenants that have one of their own (strategy
// schema), and the customer's migrations of them: the files of tenant_migrations/, which
// are taken in once and then given to every tenant. The database does the work
// (tenants.create_tenant_schema, tenants.apply_tenant_migrations and the wall around what
// they make): here is what files may be, trying them before anybody has them, the run over
// all tenants, and how far each of them is. It knows nothing of Hasura, which learns of
// the tables by tenants.tenant_schemas.changed_at.
package tenantschema

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// File is one of the customer's migrations of a tenant's schema.
type File struct {
	Version  int64  `db:"version" json:"version"`
	Name     string `db:"name" json:"name"` // without the number and .sql
	Body     string `db:"body" json:"-"`
	Checksum string `db:"checksum" json:"checksum"` // SHA-256 of the body, in hex
	Given    bool   `db:"given" json:"-"`           // whether a tenant has it
}

// String is the name of the file.
func (f File) String() string { return fmt.Sprintf("%d_%s.sql", f.Version, f.Name) }

func newFile(version int64, name, body string) File {
	sum := sha256.Sum256([]byte(body))
	return File{Version: version, Name: name, Body: body, Checksum: hex.EncodeToString(sum[:])}
}

const registeredAllTenantsSQL = `
SELECT m.version, m.name, m.body, m.checksum, EXISTS (SELECT FROM tenants.tenant_schema_migrations d WHERE d.version = m.version) AS given
FROM nself.tenant_migrations m ORDER BY m.version`

// Registered are the files that every tenant's schema has or is to get, in order.
func Registered(ctx context.Context, db pg.DB) ([]File, error) {
	found, err := pg.All[File](ctx, db, registeredAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the registered tenant migrations: %w", err)
	}
	return found, nil
}
