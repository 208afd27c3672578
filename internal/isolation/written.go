package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Written finds the migrations of a Hasura project directory that put one of the tables on
// the list or take it off, whatever their folders are called, in the order they run.
func Written(dir string, names []Name) ([]Migration, error) {
	folders, err := os.ReadDir(filepath.Join(dir, migrationsDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Migration
	for _, folder := range folders {
		digits, name, _ := strings.Cut(folder.Name(), "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			continue // no migration of anybody's
		}
		up, err := readIfAny(filepath.Join(dir, migrationsDir, folder.Name(), "up.sql"))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(names, func(name Name) bool { return lists(string(up), name) }) {
			found = append(found, Migration{Version: version, Name: name, Up: string(up), Down: down})
		}
	}
	slices.SortFunc(found, func(a, b Migration) int { return int(a.Version - b.Version) })
	return found, nil
}

// lists reports whether a migration registers the table or forgets it.
func lists(up string, name Name) bool {
	quoted, err := json.Marshal(name)
	if err != nil {
		return false
	}
	declared := Literal(`{"table":` + string(quoted) + `,`)
	_, declared, _ = strings.Cut(strings.TrimSuffix(declared, "'"), "'")
	return strings.Contains(up, "nself.declare_tenant_table('"+declared) || strings.Contains(up, "nself.declare_tenant_table(E'"+declared) ||
		strings.Contains(up, "nself.forget_tenant_table("+Literal(name.String())+")")
}

const migrationIsAppliedSQL = `SELECT EXISTS (SELECT FROM nself.schema_migrations WHERE version = @version)`

// Unapplied are those of the migrations that the database has not had yet.
func Unapplied(ctx context.Context, db pg.DB, migrations []Migration) ([]Migration, error) {
	var pending []Migration
	for _, m := range migrations {
		applied, err := pg.Scalar[bool](ctx, db, migrationIsAppliedSQL, pgx.NamedArgs{"version": m.Version})
		if err != nil {
			return nil, fmt.Errorf("read the migration ledger: %w", err)
		}
		if !applied {
			pending = append(pending, m)
		}
	}
	return pending, nil
}

// Path is the migration's folder in a Hasura project directory.
func (m Migration) Path() string { return filepath.Join(migrationsDir, m.Folder()) }
