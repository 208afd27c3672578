// Package migrate brings a database to the present schema by running the files of
// hasura/migrations/default in order. The files themselves keep the ledger
// (nself.schema_migrations) and take the lock, so this runner, `nself tenant init`
// and Hasura's CLI may each come first, at once, or again. After them it runs the
// migrations of the queue, which are River's and which Hasura's CLI does not know.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/hasura"
)

const root = "migrations/default"

// Migration is one folder of hasura/migrations/default, or one of the queue's.
type Migration struct {
	Version int64  // the digits before the first underscore; of the queue's, River's number
	Name    string // the rest of the folder's name; of the queue's, River's name after "queue_"
	SQL     string // up.sql; empty for the queue's
}

// String is the folder's name.
func (m Migration) String() string { return fmt.Sprintf("%d_%s", m.Version, m.Name) }

// All lists the folders of this build in the order they run, without the queue's.
func All() ([]Migration, error) {
	folders, err := fs.ReadDir(hasura.Migrations, root)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var all []Migration
	for _, folder := range folders {
		digits, name, _ := strings.Cut(folder.Name(), "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration folder %q: its name must begin with a number", folder.Name())
		}
		up, err := fs.ReadFile(hasura.Migrations, root+"/"+folder.Name()+"/up.sql")
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", folder.Name(), err)
		}
		all = append(all, Migration{Version: version, Name: name, SQL: string(up)})
	}
	slices.SortFunc(all, func(a, b Migration) int { return int(a.Version - b.Version) })
	return all, nil
}

// Querier is the part of a connection that Pending needs.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const appliedAllTenantsSQL = `SELECT version FROM nself.schema_migrations`

// Pending lists the migrations of this build that the database has not had, the queue's
// last. On a database without a ledger that is all of them.
func Pending(ctx context.Context, db Querier) ([]Migration, error) {
	files, err := filesPending(ctx, db)
	if err != nil {
		return nil, err
	}
	queue, err := queuePending(ctx, db)
	return append(files, queue...), err
}

func filesPending(ctx context.Context, db Querier) ([]Migration, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	return without(ctx, db, appliedAllTenantsSQL, all)
}

// without leaves out what a ledger holds. A ledger that is not there yet holds nothing.
func without(ctx context.Context, db Querier, ledgerSQL string, all []Migration) ([]Migration, error) {
	rows, _ := db.Query(ctx, ledgerSQL)
	applied, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if noLedger(err) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the migration ledger: %w", err)
	}
	return slices.DeleteFunc(all, func(m Migration) bool { return slices.Contains(applied, m.Version) }), nil
}

// noLedger tells a database that was never migrated from one that cannot be read.
func noLedger(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000")
}

// Up runs every pending migration, each in its own transaction, and returns the names
// of those it ran. conn belongs to nself_owner, or to a role that may create roles on
// the first run. When one fails, those before it stay and the error names it.
func Up(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	pending, err := filesPending(ctx, conn)
	if err != nil {
		return nil, err
	}
	var ran []string
	for _, m := range pending {
		if _, err := conn.PgConn().Exec(ctx, m.SQL).ReadAll(); err != nil {
			return ran, fmt.Errorf("migration %s: %w", m, withHint(err))
		}
		ran = append(ran, m.String())
	}
	queue, err := queueUp(ctx, conn)
	return append(ran, queue...), err
}

func withHint(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Hint != "" {
		return fmt.Errorf("%w (%s)", err, pgErr.Hint)
	}
	return err
}
