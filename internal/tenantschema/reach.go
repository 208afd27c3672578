package tenantschema

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

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
UNION ALL SELECT 'rights on the database ' || datname FROM pg_catalog.pg_database WHERE age(xmin) <= 0
UNION ALL SELECT 'rights on the language ' || lanname FROM pg_catalog.pg_language WHERE age(xmin) <= 0
UNION ALL SELECT 'rights on the tablespace ' || spcname FROM pg_catalog.pg_tablespace WHERE age(xmin) <= 0
UNION ALL SELECT 'the foreign-data wrapper ' || fdwname FROM pg_catalog.pg_foreign_data_wrapper WHERE age(xmin) <= 0
UNION ALL SELECT 'the role ' || rolname FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_authid'::regclass WHERE age(d.xmin) <= 0
UNION ALL SELECT format('the %s %s', o.what, o.name) FROM here, (
	SELECT 'collation' AS what, collname AS name, collnamespace AS place, xmin FROM pg_catalog.pg_collation
	UNION ALL SELECT 'conversion', conname, connamespace, xmin FROM pg_catalog.pg_conversion
	UNION ALL SELECT 'operator class', opcname, opcnamespace, xmin FROM pg_catalog.pg_opclass
	UNION ALL SELECT 'operator family', opfname, opfnamespace, xmin FROM pg_catalog.pg_opfamily
	UNION ALL SELECT 'statistics', stxname, stxnamespace, xmin FROM pg_catalog.pg_statistic_ext
	UNION ALL SELECT 'text search configuration', cfgname, cfgnamespace, xmin FROM pg_catalog.pg_ts_config
	UNION ALL SELECT 'text search dictionary', dictname, dictnamespace, xmin FROM pg_catalog.pg_ts_dict
	UNION ALL SELECT 'text search parser', prsname, prsnamespace, xmin FROM pg_catalog.pg_ts_parser
	UNION ALL SELECT 'text search template', tmplname, tmplnamespace, xmin FROM pg_catalog.pg_ts_template) AS o
	WHERE age(o.xmin) <= 0 AND o.place <> namespace
UNION ALL SELECT 'the large object ' || oid FROM pg_catalog.pg_largeobject_metadata WHERE age(xmin) <= 0
UNION ALL SELECT 'the prepared statement ' || name FROM pg_catalog.pg_prepared_statements WHERE from_sql
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

// locksAllTenantsSQL tells the locks that whoever changes, comments on, empties or drops something
// has of it, whoever draws a number, and whoever so much as reads a table of another
// tenant; and advisory ones.
const locksAllTenantsSQL = `
SELECT format('%s %s %s %s %s', l.locktype, l.database, coalesce(l.classid, 0), coalesce(l.relation, l.objid), coalesce(l.objsubid, 0)) AS name,
	l.locktype = 'advisory' AS advisory, coalesce(l.classid, 'pg_catalog.pg_class'::regclass) AS class, coalesce(l.relation, l.objid) AS object
FROM pg_catalog.pg_locks l
WHERE l.pid = pg_backend_pid() AND l.granted AND (l.locktype = 'advisory'
	OR l.locktype IN ('relation', 'object') AND (
		l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relation AND (
			l.mode = 'RowExclusiveLock' AND c.relkind = 'S'
			OR c.relnamespace IN (SELECT n.oid FROM pg_catalog.pg_namespace n JOIN tenants.tenant_schemas s ON s.schema_name = n.nspname)))))`

// heldLock is a lock that the rehearsal has.
type heldLock struct {
	Name     string // the same for the same thing
	Advisory bool
	Class    uint32
	Object   uint32
}

// taken are the locks that were not there when it was asked last.
func (r *rehearsal) taken(ctx context.Context) ([]heldLock, error) {
	all, err := pg.All[heldLock](ctx, r.tx, locksAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("see which locks the rehearsal has: %w", err)
	}
	fresh := slices.DeleteFunc(all, func(l heldLock) bool { _, had := r.held[l.Name]; return had })
	for _, l := range fresh {
		r.held[l.Name] = struct{}{}
	}
	return fresh, nil
}

// pointsAllTenantsSQL is where the sequences are: what is set or drawn of one does not roll back. Those
// of tenants are left out, since reading a sequence locks it, and theirs may be too many.
const pointsAllTenantsSQL = `
WITH ours AS MATERIALIZED (
	SELECT c.oid FROM pg_catalog.pg_class c
	WHERE c.relnamespace NOT IN (SELECT n.oid FROM pg_catalog.pg_namespace n JOIN tenants.tenant_schemas s ON s.schema_name = n.nspname)
		AND CASE WHEN c.relkind = 'S' AND c.relpersistence <> 't' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE') ELSE false END
), points AS MATERIALIZED (SELECT oid, pg_catalog.pg_sequence_last_value(oid) AS last FROM ours)
SELECT oid, last FROM points WHERE last IS NOT NULL`

// restoreSQL puts a sequence that was set back where it was; one that others drew from
// meanwhile, or that is ahead, stays.
const restoreSQL = `SELECT pg_catalog.setval(@sequence::oid::regclass, @last::bigint) WHERE pg_catalog.pg_sequence_last_value(@sequence::oid::regclass) < @last::bigint`

// points reads where the sequences are, on a connection whose locks do not count.
func (r *rehearsal) points(ctx context.Context) (map[uint32]int64, error) {
	points := map[uint32]int64{}
	rows, _ := r.db.Query(ctx, pointsAllTenantsSQL)
	var sequence uint32
	var last int64
	_, err := pgx.ForEachRow(rows, []any{&sequence, &last}, func() error { points[sequence] = last; return nil })
	if err != nil {
		return nil, fmt.Errorf("read where the sequences are: %w", err)
	}
	return points, nil
}

// restore puts sequences back that a file set.
func (r *rehearsal) restore(ctx context.Context, points map[uint32]int64) error {
	for _, sequence := range r.drawn {
		if last, known := points[sequence]; known {
			if _, err := r.db.Exec(ctx, restoreSQL, pgx.NamedArgs{"sequence": sequence, "last": last}); err != nil {
				return fmt.Errorf("put a sequence back that a file set: %w", err)
			}
		}
	}
	return nil
}

// identifySQL is asked of another connection, for which there is nothing that the rehearsal
// made, and all that it dropped.
const identifySQL = `
SELECT format('the %s %s', i.type, CASE WHEN l.class = 'pg_catalog.pg_class'::regclass THEN l.object::regclass::text ELSE i.identity END)
FROM unnest(@classes::oid[], @objects::oid[]) AS l (class, object), pg_catalog.pg_identify_object(l.class, l.object, 0) AS i
WHERE i.identity IS NOT NULL AND i.schema IS DISTINCT FROM 'pg_toast'`

// touched adds what a file had a lock of that is not of the schema, and notes the advisory
// locks it took. A row of the catalog that is gone shows in no other way.
func (r *rehearsal) touched(ctx context.Context, f File, found map[string]int64) error {
	locks, err := r.taken(ctx)
	if err != nil {
		return err
	}
	var classes, objects []uint32
	for _, l := range locks {
		if l.Advisory {
			r.locks[f.Version] = append(r.locks[f.Version], l.Name)
			continue
		}
		classes, objects, r.drawn = append(classes, l.Class), append(objects, l.Object), append(r.drawn, l.Object)
	}
	rows, _ := r.db.Query(ctx, identifySQL, pgx.NamedArgs{"classes": classes, "objects": objects})
	outside, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, what := range outside {
		found[what] = 1
	}
	return err
}

const outlastingSQL = `
SELECT format('%s %s %s %s %s', l.locktype, l.database, l.classid, l.objid, l.objsubid)
FROM pg_catalog.pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory'`

// outlasting finds the file whose advisory lock the end of the transaction did not release:
// the session would keep it, and whoever gets the connection next with it.
func (r *rehearsal) outlasting(ctx context.Context, fresh []File) error {
	rows, _ := r.conn.Query(ctx, outlastingSQL)
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("see which locks the rehearsal left: %w", err)
	}
	for _, f := range fresh {
		if slices.ContainsFunc(r.locks[f.Version], func(name string) bool { return slices.Contains(left, name) }) {
			return beyond(f, []string{"an advisory lock that its transaction does not end"}, "take it with pg_advisory_xact_lock")
		}
	}
	return nil
}

// list runs a statement that tells what is wrong, a line each.
func (r *rehearsal) list(ctx context.Context, sql string) ([]string, error) {
	rows, _ := r.tx.Query(ctx, sql, pgx.NamedArgs{"place": r.place})
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	sort.Strings(found)
	return slices.Compact(found), err
}
