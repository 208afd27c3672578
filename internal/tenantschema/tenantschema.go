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
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// File is one of the customer's migrations of a tenant's schema.
type File struct {
	Version  int64  `db:"version" json:"version"`
	Name     string `db:"name" json:"name"` // without the number and .sql
	Body     string `db:"body" json:"-"`
	Checksum string `db:"checksum" json:"checksum"` // SHA-256 of the body, in hex
}

// String is the name of the file.
func (f File) String() string { return fmt.Sprintf("%d_%s.sql", f.Version, f.Name) }

func newFile(version int64, name, body string) File {
	sum := sha256.Sum256([]byte(body))
	return File{Version: version, Name: name, Body: body, Checksum: hex.EncodeToString(sum[:])}
}

const registeredSQL = `SELECT version, name, body, checksum FROM nself.tenant_migrations ORDER BY version`

// Registered are the files that every tenant's schema has or is to get, in order.
func Registered(ctx context.Context, db pg.DB) ([]File, error) {
	found, err := pg.All[File](ctx, db, registeredSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the registered tenant migrations: %w", err)
	}
	return found, nil
}

// Fresh are the files that are not registered yet, in order. The error names every file
// that contradicts what is registered: what tenants have had cannot change any more.
func Fresh(registered, files []File) ([]File, error) {
	var problems []error
	var newest int64
	for _, had := range registered {
		newest = had.Version
		at := slices.IndexFunc(files, func(f File) bool { return f.Version == had.Version })
		switch {
		case at < 0:
			problems = append(problems, fmt.Errorf("%s is registered and missing here: bring it back (its text is in nself.tenant_migrations)", had))
		case files[at].Checksum != had.Checksum:
			problems = append(problems, fmt.Errorf("%s changed after it was registered: take the change back, and write it into a new file", had))
		case files[at].Name != had.Name:
			problems = append(problems, fmt.Errorf("%s was registered as %s: give it that name again", files[at], had))
		}
	}
	var fresh []File
	for _, f := range files {
		if slices.ContainsFunc(registered, func(had File) bool { return had.Version == f.Version }) {
			continue
		}
		if f.Version < newest {
			problems = append(problems, fmt.Errorf("%s is new and comes before %d, which is registered: number it higher", f, newest))
		}
		fresh = append(fresh, f)
	}
	return fresh, errors.Join(problems...)
}

const lockRegisterSQL = `
SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', '30s', true),
	pg_advisory_xact_lock(hashtextextended('nself.tenant_migrations', 0))`

const registerSQL = `
INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (@version, @name, @body, @checksum)`

// Register takes the new ones of the files in, all or none, and returns them. It waits for
// tenants that are being made: each has the files, or is there to get them when Register
// returns. db may act as nself_owner. Rehearse the files first.
func Register(ctx context.Context, db pg.DB, files []File) (fresh []File, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockRegisterSQL); err != nil {
			return fmt.Errorf("wait for tenants that are being made: %w", ownerOnly(err))
		}
		registered, err := Registered(ctx, tx)
		if err != nil {
			return err
		}
		if fresh, err = Fresh(registered, files); err != nil {
			return err
		}
		for _, f := range fresh {
			args := pgx.NamedArgs{"version": f.Version, "name": f.Name, "body": f.Body, "checksum": f.Checksum}
			if _, err := tx.Exec(ctx, registerSQL, args); err != nil {
				return fmt.Errorf("register %s: %w", f, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fresh, nil
}
