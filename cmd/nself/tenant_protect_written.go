package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/nself/tenancy/internal/isolation"
)

// lockTimeoutSQL keeps the migration from waiting behind a long statement, and everybody
// else behind the migration.
const lockTimeoutSQL = `SELECT set_config('lock_timeout', '10s', false)`

func (x *protect) migrate(ctx context.Context, m isolation.Migration) error {
	if _, err := x.conn.Exec(ctx, lockTimeoutSQL); err != nil {
		return err
	}
	if _, err := x.conn.Exec(ctx, m.Up); err != nil {
		return fmt.Errorf("the migration %s changed nothing: %w", m.Folder(), err)
	}
	return nil
}

// runWritten runs the migrations of the directory that are about the tables and were not
// run yet: done by another one, they would fail wherever they are run next. To write one
// more beside them is refused.
func (x *protect) runWritten(ctx context.Context, names []isolation.Name) error {
	if x.dir == "" || !x.write && !x.apply {
		return nil
	}
	written, err := isolation.Written(x.dir, names)
	if err != nil {
		return err
	}
	pending, err := isolation.Unapplied(ctx, x.conn, written)
	if err != nil {
		return err
	}
	if len(pending) > 0 && !x.apply {
		return fmt.Errorf("%s is about these tables and was not run on DATABASE_URL yet: run it with --apply, or remove the folder", filepath.Join(x.dir, pending[0].Path()))
	}
	for _, m := range pending {
		if err := x.migrate(ctx, m); err != nil {
			return err
		}
		x.ran = append(x.ran, m)
	}
	return nil
}

// written reports whether a migration of the directory is about the table.
func (x *protect) written(name isolation.Name) (bool, error) {
	if x.dir == "" {
		return false, nil
	}
	found, err := isolation.Written(x.dir, []isolation.Name{name})
	return len(found) > 0, err
}

// forgetting plans to forget those of the tables that a migration which ran just now has
// not forgotten.
func (x *protect) forgetting(ctx context.Context, names []isolation.Name) (isolation.Protection, error) {
	if len(x.ran) > 0 {
		registered, err := isolation.Registered(ctx, x.conn)
		if err != nil {
			return isolation.Protection{}, err
		}
		names = slices.DeleteFunc(names, func(name isolation.Name) bool {
			_, known := registered.Find(name)
			return !known
		})
	}
	return isolation.Forget(ctx, x.conn, names)
}

// late are notes on tables that were protected before anything of it was written: their
// migration cannot make them anew.
func (x *protect) late(ctx context.Context, plan isolation.Protection) ([]string, error) {
	registered, err := isolation.Registered(ctx, x.conn)
	if err != nil || x.forget {
		return nil, err
	}
	var notes []string
	for _, t := range plan.Tables {
		written, err := x.written(t.Name)
		if err != nil {
			return nil, err
		}
		if _, known := registered.Find(t.Name); known && !written {
			notes = append(notes, fmt.Sprintf("%s was protected before its migration was written: it holds the wall alone, and a database without the tenant column and keys needs them first", t.Name))
		}
	}
	return notes, nil
}
