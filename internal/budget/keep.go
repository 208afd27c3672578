package budget

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const unkeptSQL = `SELECT relation FROM nself.tables_without_row_budget() AS relation`

// Unkept are the customer's tables that do not hold their tenants to budgets of rows, as
// schema.table, quoted where needed. tx may act as nself_tenant.
func Unkept(ctx context.Context, tx pgx.Tx) (tables []string, err error) {
	err = pg.AsServer(ctx, tx, func() (err error) {
		tables, err = unkept(ctx, tx)
		return err
	})
	return tables, err
}

func unkept(ctx context.Context, db pg.DB) ([]string, error) {
	rows, _ := db.Query(ctx, unkeptSQL)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look which tables hold to budgets of rows: %w", err)
	}
	return tables, nil
}

// How often a table is tried that others hold, and how long one try waits: nobody who
// writes waits behind the lock for longer than that.
const (
	keepTries = 12 // half a minute
	keepWait  = 200 * time.Millisecond
)

const asOwnerSQL = `SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', @wait, true)`

const keepSQL = `SELECT tenants.keep_row_budget(@kept::text::regclass)`

// Keep makes every table of the customer's hold its tenants to their budgets of rows, one
// after the other, and returns those that do now and did not before. db acts for
// nself_owner. It is an error where no budget of rows is set.
func Keep(ctx context.Context, db pg.DB) (kept []string, err error) {
	var missing []string
	err = pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if err := becomeOwner(ctx, tx); err != nil {
			return err
		}
		missing, err = unkept(ctx, tx)
		return err
	})
	for _, table := range missing {
		if err = keepOne(ctx, db, table); err != nil {
			return kept, err
		}
		kept = append(kept, table)
	}
	return kept, err
}

func becomeOwner(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, asOwnerSQL, pgx.NamedArgs{"wait": fmt.Sprintf("%dms", keepWait.Milliseconds())}); err != nil {
		return fmt.Errorf("act as nself_owner: %w", err)
	}
	return nil
}

func keepOne(ctx context.Context, db pg.DB, table string) error {
	held := func(err error) bool { return pg.HasState(err, "55P03") } // lock_not_available
	return pg.Patiently(ctx, pg.Patience{Passes: held, Tries: keepTries}, func() error {
		return pg.InTx(ctx, db, func(tx pgx.Tx) error { return keepNow(ctx, tx, table) })
	})
}

func keepNow(ctx context.Context, tx pgx.Tx, table string) error {
	if err := becomeOwner(ctx, tx); err != nil {
		return err
	}
	keeps, err := pg.Scalar[bool](ctx, tx, keepSQL, pgx.NamedArgs{"kept": table})
	switch {
	case err != nil:
		return fmt.Errorf("make %s hold to budgets of rows: %w", table, err)
	case !keeps:
		return errors.New("no budget of rows is set: set one first (nself tenant budget set)")
	}
	return nil
}
