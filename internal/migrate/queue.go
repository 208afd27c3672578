package migrate

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/nself/tenancy/internal/queue"
)

// The queue's tables are River's, made by River's own migrations. It keeps a ledger of
// its own for them (nself.river_migration).

//go:embed queue.sql
var queueRights string

const queueAppliedAllTenantsSQL = `SELECT version FROM nself.river_migration`

// lockSQL takes the lock that nself.begin_migration takes, so that no two runners of any
// kind are at work at once, and makes what follows nself_owner's.
const lockSQL = `
SELECT pg_catalog.set_config('role', 'nself_owner', true)
FROM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nself.schema_migrations', 0))`

func queueMigrator() (*rivermigrate.Migrator[pgx.Tx], error) {
	quiet := slog.New(slog.DiscardHandler) // Up's caller says what was done
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: queue.Schema, Logger: quiet})
	if err != nil {
		return nil, fmt.Errorf("set up the queue's migrations: %w", err)
	}
	return migrator, nil
}

func queueMigration(version int, name string) Migration {
	return Migration{Version: int64(version), Name: "queue_" + strings.ReplaceAll(name, " ", "_")}
}

// queuePending lists River's migrations that the database has not had.
func queuePending(ctx context.Context, db Querier) ([]Migration, error) {
	migrator, err := queueMigrator()
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, m := range migrator.AllVersions() {
		all = append(all, queueMigration(m.Version, m.Name))
	}
	return without(ctx, db, queueAppliedAllTenantsSQL, all)
}

// queueUp runs River's pending migrations, each in its own transaction, which some of
// them need, and returns the names of those it ran.
func queueUp(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	pending, err := queuePending(ctx, conn)
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	migrator, err := queueMigrator()
	if err != nil {
		return nil, err
	}
	var ran []string
	for {
		next, err := queueStep(ctx, conn, migrator)
		if err != nil {
			return ran, fmt.Errorf("the queue's migrations: %w", withHint(err))
		}
		if next == nil {
			return ran, nil
		}
		ran = append(ran, next.String())
	}
}

// queueStep runs the first pending one; nil says that none was.
func queueStep(ctx context.Context, conn *pgx.Conn, migrator *rivermigrate.Migrator[pgx.Tx]) (done *Migration, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSQL); err != nil {
			return err
		}
		result, err := migrator.MigrateTx(ctx, tx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{MaxSteps: 1}) //nolint:staticcheck // one step is what it is still good for
		if err != nil || len(result.Versions) == 0 {
			return err
		}
		applied := result.Versions[0]
		last := slices.MaxFunc(migrator.AllVersions(), func(a, b rivermigrate.Migration) int { return a.Version - b.Version })
		if applied.Version == last.Version {
			if _, err := tx.Exec(ctx, queueRights); err != nil {
				return fmt.Errorf("grant nself_server its rights: %w", err)
			}
		}
		step := queueMigration(applied.Version, applied.Name)
		done = &step
		return nil
	})
	return done, err
}
