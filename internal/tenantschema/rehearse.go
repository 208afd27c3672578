package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const beginRehearsalSQL = `
SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', '5s', true), pg_current_xact_id()`

// Rehearse applies the registered files and then the fresh ones to a schema that nobody
// ever sees, in a transaction that is rolled back, on a connection that nobody has after it.
// The error is a *Failure that names the first file, and where it can the line, that
// Postgres refuses, that leaves something no policy holds, or that does more than change the
// schema it runs in.
func Rehearse(ctx context.Context, db *pgxpool.Pool, registered, fresh []File) error {
	if len(fresh) == 0 {
		return nil
	}
	pooled, err := db.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect for the rehearsal: %w", err)
	}
	conn := pooled.Hijack()
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tenant := uuid.New()
	r := rehearsal{db: db, conn: conn, tenant: tenant, place: "tenant_rehearsal_" + tenant.String()[:8]}
	points, err := r.points(ctx)
	if err != nil {
		return err
	}
	refused := r.runAll(ctx, registered, fresh)
	if err := r.restore(context.WithoutCancel(ctx), points); err != nil {
		return errors.Join(refused, err)
	}
	if refused != nil {
		return refused
	}
	return r.outlasting(ctx, fresh)
}

// rehearsal is one scratch schema.
type rehearsal struct {
	db     *pgxpool.Pool // to see what others see
	conn   *pgx.Conn
	tx     pgx.Tx
	tenant uuid.UUID
	place  string
	before map[string]int64    // what the transaction did outside the schema before any file ran
	held   map[string]struct{} // locks that are accounted for
	drawn  []uint32            // what a file had a lock of outside, sequences among it
	locks  map[int64][]string  // advisory locks, by the version of the file that took them
}

// runAll tries the files in a transaction that is over when it returns.
func (r *rehearsal) runAll(ctx context.Context, registered, fresh []File) (err error) {
	// Of a snapshot, so that what others make meanwhile is not taken for the files' doing.
	if r.tx, err = r.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
		return fmt.Errorf("begin the rehearsal: %w", err)
	}
	defer func() { _ = r.tx.Rollback(context.WithoutCancel(ctx)) }() // it was never to stay
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, f := range registered {
		if err := runFile(ctx, r.tx, r.place, f); err != nil {
			return err
		}
	}
	if _, err := r.taken(ctx); err != nil {
		return err
	}
	for _, f := range fresh {
		if err := r.run(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *rehearsal) begin(ctx context.Context) error {
	if _, err := r.tx.Exec(ctx, beginRehearsalSQL); err != nil {
		return fmt.Errorf("begin the rehearsal: %w", ownerOnly(err))
	}
	r.held, r.locks = map[string]struct{}{}, map[int64][]string{}
	_, err := r.tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{r.place}.Sanitize())
	if err == nil {
		r.before, err = r.reach(ctx)
	}
	if err != nil {
		return fmt.Errorf("make the schema of the rehearsal: %w", err)
	}
	return nil
}

const wallScratchSQL = `SELECT nself.wall_schema(@place, @owner)`

// run tries a fresh file behind the wall, as a tenant has it that is there already.
func (r *rehearsal) run(ctx context.Context, f File) error {
	if err := r.wall(ctx, f); err != nil {
		return err
	}
	if err := runFile(ctx, r.tx, r.place, f); err != nil {
		return err
	}
	opened, err := r.list(ctx, openedSQL)
	if err != nil {
		return fmt.Errorf("see which policies %s makes: %w", f, err)
	}
	if len(opened) > 0 {
		return beyond(f, opened, "policies add up, and the wall drops those of others: make it AS RESTRICTIVE, or leave it out")
	}
	if err := r.wall(ctx, f); err != nil {
		return err
	}
	after, err := r.reach(ctx)
	if err == nil {
		maps.DeleteFunc(after, func(what string, n int64) bool { return r.before[what] == n })
		err = r.touched(ctx, f, after)
	}
	if err != nil {
		return fmt.Errorf("see what %s changed: %w", f, err)
	}
	if len(after) > 0 {
		return beyond(f, slices.Sorted(maps.Keys(after)), "what is shared belongs into a migration of its own, not into one of every tenant")
	}
	return nil
}

// named is how many of the objects that a file reached are named.
const named = 10

// followers are what goes or changes with a table or schema, so it is named after those.
var followers = []string{"the default value", "the type", "the index", "the table constraint", "the trigger", "the rule"}

func follows(what string) bool {
	return slices.ContainsFunc(followers, func(kind string) bool { return strings.HasPrefix(what, kind) })
}

func beyond(f File, what []string, hint string) *Failure {
	leading := slices.DeleteFunc(slices.Clone(what), follows)
	what = append(leading, slices.DeleteFunc(what, func(one string) bool { return !follows(one) })...)
	if more := len(what) - named; more > 0 {
		what = append(slices.Clone(what[:named]), fmt.Sprintf("and %d more", more))
	}
	return &Failure{Version: f.Version, File: f.String(), Message: "it reaches past the tenant's own tables: " + strings.Join(what, ", "), Hint: hint}
}

func (r *rehearsal) wall(ctx context.Context, f File) error {
	if _, err := r.tx.Exec(ctx, wallScratchSQL, pgx.NamedArgs{"place": r.place, "owner": r.tenant}); err != nil {
		return r.refuse(err, f)
	}
	return nil
}

// openedSQL tells the policies of others that let rows in. The wall, which drops them, was
// put up right before.
const openedSQL = `
SELECT format('the policy %I on %I', p.polname, c.relname)
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = @place::text::regnamespace AND p.polpermissive
	AND p.polname NOT IN ('owner_all', 'server_all', 'active_tenant', 'hasura_session')`

// refuse says of which file an error of the wall is.
func (r *rehearsal) refuse(err error, f File) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return fmt.Errorf("put the wall around what %s makes: %w", f, err)
	}
	failure := failureOf(said)
	failure.Version, failure.File = f.Version, f.String()
	failure.Message = strings.ReplaceAll(failure.Message, r.place+".", "")
	return failure
}
