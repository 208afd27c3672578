package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Change is what files mean for what is registered.
type Change struct {
	Kept      []File // registered, and as they were
	Fresh     []File // to be registered, in order
	Withdrawn []File // registered, changed or missing since, and no tenant has had them
}

// Compare tells what the files change. The error names every file that contradicts what
// tenants have had, which cannot change any more. What no tenant has had can: a migration
// that fails on everybody's rows is mended where it stands. No files at all withdraw none.
func Compare(registered, files []File) (Change, error) {
	var change Change
	var problems []error
	var newest int64
	settled := map[int64]bool{}
	for _, had := range registered {
		problem := had.against(files)
		if problem != nil && !had.Given && len(files) > 0 {
			change.Withdrawn = append(change.Withdrawn, had)
			continue
		}
		settled[had.Version] = true
		if had.Given {
			newest = had.Version
		}
		if problem != nil {
			problems = append(problems, problem)
			continue
		}
		change.Kept = append(change.Kept, had)
	}
	for _, f := range files {
		if settled[f.Version] {
			continue
		}
		if f.Version < newest {
			problems = append(problems, fmt.Errorf("%s is new and comes before %d, which tenants have: number it higher", f, newest))
		}
		change.Fresh = append(change.Fresh, f)
	}
	return change, errors.Join(problems...)
}

// against says in which way the files do not have a registered one, or nil.
func (f File) against(files []File) error {
	at := slices.IndexFunc(files, func(other File) bool { return other.Version == f.Version })
	switch {
	case at < 0:
		return fmt.Errorf("%s is registered and missing here: bring it back (its text is in nself.tenant_migrations), and undo what it did in a next file", f)
	case files[at].Checksum != f.Checksum:
		return fmt.Errorf("%s changed after tenants had it: take the change back, and write it into a next file", f)
	case files[at].Name != f.Name:
		return fmt.Errorf("%s was registered as %s: give it that name again", files[at], f)
	}
	return nil
}

// lockRegisterSQL waits briefly, since the tenants that are to be made wait behind it.
const lockRegisterSQL = `
SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', '200ms', true),
	pg_advisory_xact_lock(hashtextextended('nself.tenant_migrations', 0))`

const registerSQL = `
INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (@version, @name, @body, @checksum)`

const withdrawSQL = `DELETE FROM nself.tenant_migrations WHERE version = ANY (@versions::bigint[])`

const forgetFailureAllTenantsSQL = `
UPDATE tenants.tenant_schemas SET failed_version = NULL, failure = NULL, failed_at = NULL WHERE failed_version = ANY (@versions::bigint[])`

// registerTime is how long a moment is looked for in which no tenant is being made.
const registerTime = 30 * time.Second

// Register takes the new ones of the files in and the withdrawn ones out, all or none. It
// waits for tenants that are being made: each has the files, or is there to get them when
// Register returns. db may act as nself_owner. Rehearse the files first.
func Register(ctx context.Context, db pg.DB, files []File) (change Change, err error) {
	err = pg.Patiently(ctx, pg.Patience{Passes: passes, For: registerTime}, func() error {
		return pg.InTx(ctx, db, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockRegisterSQL); err != nil {
				return fmt.Errorf("wait for tenants that are being made: %w", ownerOnly(err))
			}
			registered, err := Registered(ctx, tx)
			if err != nil {
				return err
			}
			if change, err = Compare(registered, files); err != nil {
				return err
			}
			return change.write(ctx, tx)
		})
	})
	if err != nil {
		return Change{}, err
	}
	return change, nil
}

func (c Change) write(ctx context.Context, tx pgx.Tx) error {
	versions := []int64{}
	for _, f := range c.Withdrawn {
		versions = append(versions, f.Version)
	}
	for _, sql := range []string{forgetFailureAllTenantsSQL, withdrawSQL} {
		if len(versions) == 0 {
			break
		}
		if _, err := tx.Exec(ctx, sql, pgx.NamedArgs{"versions": versions}); err != nil {
			return fmt.Errorf("withdraw %v: %w", c.Withdrawn, err)
		}
	}
	for _, f := range c.Fresh {
		args := pgx.NamedArgs{"version": f.Version, "name": f.Name, "body": f.Body, "checksum": f.Checksum}
		if _, err := tx.Exec(ctx, registerSQL, args); err != nil {
			return fmt.Errorf("register %s: %w", f, err)
		}
	}
	return nil
}
