package tenantschema

import (
	"context"
	"errors"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const runFileSQL = `SELECT nself.run_tenant_migration(@place, @version, @name, @body)`

// runFile runs a file in a schema, in a savepoint. The error is a *Failure with the line
// where one can be told.
func runFile(ctx context.Context, tx pgx.Tx, place string, f File) error {
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error { return runBody(ctx, savepoint, place, f) })
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return err
	}
	failure := failureOf(said)
	failure.Version, failure.File = f.Version, f.String()
	failure.Message = strings.ReplaceAll(failure.Message, place+".", "")
	if failure.Line == 0 {
		failure.Line = locate(f.Body, func(beginning string) bool {
			part := f
			part.Body = beginning
			return works(ctx, tx, place, part)
		})
	}
	return failure
}

func runBody(ctx context.Context, tx pgx.Tx, place string, f File) error {
	args := pgx.NamedArgs{"place": place, "version": f.Version, "name": f.Name, "body": f.Body}
	_, err := tx.Exec(ctx, runFileSQL, args)
	return err
}

// works reports whether a file runs, and leaves nothing of it.
func works(ctx context.Context, tx pgx.Tx, place string, f File) bool {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = savepoint.Rollback(ctx) }() // a failure shows in the next statement
	return runBody(ctx, savepoint, place, f) == nil
}

// locate finds the line of the first statement without which the file's beginning works.
func locate(body string, works func(beginning string) bool) int {
	all := split(body)
	at := sort.Search(len(all), func(i int) bool { return !works(body[:all[i].end]) })
	if at == len(all) {
		return 0
	}
	return 1 + strings.Count(body[:all[at].begin], "\n")
}
