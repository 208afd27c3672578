package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Beginner is a pool or connection.
type Beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

const beginRehearsalSQL = `
SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', '5s', true), pg_current_xact_id()`

// Rehearse applies the registered files and then the fresh ones to a schema that nobody
// ever sees, in a transaction that is rolled back. The error is a *Failure that names the
// first file, and where it can the line, that Postgres refuses, that leaves something no
// policy holds, or that does more than change the schema it runs in.
func Rehearse(ctx context.Context, db Beginner, registered, fresh []File) error {
	if len(fresh) == 0 {
		return nil
	}
	// Of a snapshot, so that what others make meanwhile is not taken for the files' doing.
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return fmt.Errorf("begin the rehearsal: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it was never to stay
	tenant := uuid.New()
	r := rehearsal{tx: tx, tenant: tenant, place: "tenant_rehearsal_" + tenant.String()[:8]}
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, f := range registered {
		if err := runFile(ctx, tx, r.place, f); err != nil {
			return err
		}
	}
	for _, f := range fresh {
		if err := r.run(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// rehearsal is one scratch schema.
type rehearsal struct {
	tx     pgx.Tx
	tenant uuid.UUID
	place  string
	before map[string]int64 // what the transaction did outside the schema before any file ran
}

func (r *rehearsal) begin(ctx context.Context) error {
	if _, err := r.tx.Exec(ctx, beginRehearsalSQL); err != nil {
		return fmt.Errorf("begin the rehearsal: %w", ownerOnly(err))
	}
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
	if err != nil {
		return fmt.Errorf("see what %s changed: %w", f, err)
	}
	maps.DeleteFunc(after, func(what string, n int64) bool { return r.before[what] == n })
	if len(after) > 0 {
		return beyond(f, slices.Sorted(maps.Keys(after)), "what is shared belongs into a migration of its own, not into one of every tenant")
	}
	return nil
}

func beyond(f File, what []string, hint string) *Failure {
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

// reachSQL tells what the transaction changed outside the schema: rows of the catalog that
// are its own or a savepoint's of its own, for which age is not positive, and settings. Rows that are older than the counter of transactions goes round may look the
// same, so what it tells before anything ran does not count.
const reachSQL = `
WITH here AS (SELECT oid AS namespace FROM pg_catalog.pg_namespace WHERE nspname = @place),
relations AS (
	SELECT c.oid, c.relnamespace AS namespace, c.relkind, c.xmin FROM pg_catalog.pg_class c
	WHERE c.relnamespace <> 'pg_toast'::regnamespace
),
changed AS (
	SELECT r.oid AS relation FROM relations r, here WHERE age(r.xmin) <= 0 AND r.namespace <> here.namespace
	UNION SELECT p.oid FROM (
		SELECT attrelid AS oid, xmin FROM pg_catalog.pg_attribute UNION ALL SELECT adrelid, xmin FROM pg_catalog.pg_attrdef
		UNION ALL SELECT tgrelid, xmin FROM pg_catalog.pg_trigger UNION ALL SELECT polrelid, xmin FROM pg_catalog.pg_policy
		UNION ALL SELECT ev_class, xmin FROM pg_catalog.pg_rewrite UNION ALL SELECT conrelid, xmin FROM pg_catalog.pg_constraint
		UNION ALL SELECT indrelid, xmin FROM pg_catalog.pg_index) AS p
	JOIN relations r ON r.oid = p.oid, here WHERE age(p.xmin) <= 0 AND r.namespace <> here.namespace
)
SELECT format('the %s %s', CASE WHEN r.relkind = 'S' THEN 'sequence' WHEN r.relkind IN ('i', 'I') THEN 'index' ELSE 'table' END, c.relation::regclass)
FROM changed c JOIN relations r ON r.oid = c.relation
UNION ALL SELECT format('the function %s', p.oid::regprocedure) FROM pg_catalog.pg_proc p, here WHERE age(p.xmin) <= 0 AND p.pronamespace <> namespace
UNION ALL SELECT format('the type %s', t.oid::regtype) FROM pg_catalog.pg_type t, here
	WHERE age(t.xmin) <= 0 AND t.typnamespace <> namespace AND t.typrelid = 0 AND t.typelem = 0
UNION ALL SELECT format('the operator %s', o.oid::regoperator) FROM pg_catalog.pg_operator o, here WHERE age(o.xmin) <= 0 AND o.oprnamespace <> namespace
UNION ALL SELECT format('the schema %s', n.oid::regnamespace) FROM pg_catalog.pg_namespace n, here WHERE age(n.xmin) <= 0 AND n.oid <> namespace
UNION ALL SELECT 'the extension ' || extname FROM pg_catalog.pg_extension WHERE age(xmin) <= 0
UNION ALL SELECT format('the cast to %s', casttarget::regtype) FROM pg_catalog.pg_cast WHERE age(xmin) <= 0
UNION ALL SELECT 'the publication ' || pubname FROM pg_catalog.pg_publication WHERE age(xmin) <= 0
UNION ALL SELECT 'tables of the publication ' || p.pubname
	FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE age(r.xmin) <= 0
UNION ALL SELECT 'the event trigger ' || evtname FROM pg_catalog.pg_event_trigger WHERE age(xmin) <= 0
UNION ALL SELECT 'the foreign server ' || srvname FROM pg_catalog.pg_foreign_server WHERE age(xmin) <= 0
UNION ALL SELECT format('default privileges of %s', defaclrole::regrole) FROM pg_catalog.pg_default_acl WHERE age(xmin) <= 0
UNION ALL SELECT 'settings of a role or database' FROM pg_catalog.pg_db_role_setting WHERE age(xmin) <= 0
UNION ALL SELECT format('the members of %s', roleid::regrole) FROM pg_catalog.pg_auth_members WHERE age(xmin) <= 0
UNION ALL SELECT 'the setting ' || name || ' = ' || setting FROM pg_catalog.pg_settings WHERE source = 'session' AND name <> 'search_path'`

// writtenSQL counts the rows that were written outside the schema. The counters are the
// session's, and hold what it did before.
const writtenSQL = `
SELECT format('rows of the table %s', s.relid::regclass) AS what, s.n_tup_ins + s.n_tup_upd + s.n_tup_del AS rows
FROM pg_catalog.pg_stat_xact_all_tables s
WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname NOT IN (@place, 'pg_catalog', 'pg_toast')`

// reach is what was done outside the schema, with how much of it where that counts.
func (r *rehearsal) reach(ctx context.Context) (map[string]int64, error) {
	did := map[string]int64{}
	changed, err := r.list(ctx, reachSQL)
	if err != nil {
		return nil, err
	}
	for _, what := range changed {
		did[what] = 1
	}
	rows, _ := r.tx.Query(ctx, writtenSQL, pgx.NamedArgs{"place": r.place})
	var what string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&what, &n}, func() error { did[what] = n; return nil })
	return did, err
}

// list runs a statement that tells what is wrong, a line each.
func (r *rehearsal) list(ctx context.Context, sql string) ([]string, error) {
	rows, _ := r.tx.Query(ctx, sql, pgx.NamedArgs{"place": r.place})
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	sort.Strings(found)
	return slices.Compact(found), err
}
