package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const tableExistsSQL = `SELECT to_regclass(format('%I.%I', @schema::text, @name::text)) IS NOT NULL`

// Forget plans how tables that are gone leave the list of the database. A table that still
// exists is refused: a wall is not taken down by taking its name off a list.
func Forget(ctx context.Context, db pg.DB, names []Name) (Protection, error) {
	registered, err := Registered(ctx, db)
	if err != nil {
		return Protection{}, err
	}
	plan := Protection{verb: "forget"}
	var faults []error
	for _, name := range names {
		t, known := registered.Find(name)
		if !known {
			faults = append(faults, fmt.Errorf("%s is not in the list of the database", name))
			continue
		}
		exists, err := pg.Scalar[bool](ctx, db, tableExistsSQL, pgx.NamedArgs{"schema": name.Schema, "name": name.Name})
		if err != nil {
			return Protection{}, err
		}
		if exists {
			faults = append(faults, fmt.Errorf("%s still exists: drop the table first", name))
		}
		plan.Tables = append(plan.Tables, t)
		plan.Statements = append(plan.Statements, "PERFORM nself.forget_tenant_table("+Literal(name.String())+")")
		plan.Notes = append(plan.Notes, fmt.Sprintf("%s is to go from tenant_tables.yaml and from the metadata as well", name))
	}
	return plan, errors.Join(faults...)
}

const migrationIsAppliedSQL = `SELECT EXISTS (SELECT FROM nself.schema_migrations WHERE version = @version)`

// Pending finds a migration of the project directory that does the same and was not run on
// the database yet; "" where there is none.
func (p Protection) Pending(ctx context.Context, db pg.DB, dir string) (string, error) {
	folders, err := os.ReadDir(filepath.Join(dir, migrationsDir))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		digits, name, _ := strings.Cut(folder.Name(), "_")
		version, notNumber := strconv.ParseInt(digits, 10, 64)
		if name != p.name() || notNumber != nil {
			continue
		}
		applied, err := pg.Scalar[bool](ctx, db, migrationIsAppliedSQL, pgx.NamedArgs{"version": version})
		if err != nil {
			return "", err
		}
		if !applied {
			return filepath.Join(dir, migrationsDir, folder.Name()), nil
		}
	}
	return "", nil
}
