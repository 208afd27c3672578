package isolation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// shape is what a table is before it is protected.
type shape struct {
	OID           uint32
	Kind          string // pg_class.relkind
	Inherits      bool   // it is a partition or a child of another table
	Children      bool   // tables that are no partitions inherit from it
	ForHasura     bool   // an event trigger of Hasura's is on it
	Owner         string
	OwnerCreates  bool     // nself_owner may create in its schema
	Outside       []string // the roles of the list without USAGE on its schema
	TenantType    *string  // of the tenant column; nil: there is none
	TenantDefault *string
	TenantNotNull bool
	TenantMade    bool     // the tenant column is generated
	Columns       []string // all but the tenant column
	Generated     []string // of them, those that nobody writes
	Identifying   []string // of them, those of the primary key
	Policies      []string
	Forced        bool     // row-level security is enabled and forced
	Names         bool     // a row names a tenant: it has a tenant_id, or a reference to the tenants
	Triggers      []string // of the customer's
	Passing       []string // what reads or writes its rows past the policies: views, rules
	Grantees      []string // quoted: whoever has a privilege on the table or a column, but the owner
	Granted       []string // "role privilege" and, of serial columns, "role sequence": what the roles of the list may
	Sequences     []string // quoted: of serial columns
	Partitions    []string // quoted: of it and of its partitions
	Strangers     []string // of them, those that nself_owner does not own
	Replica       string   // the index by which a publication tells rows apart, where one was chosen

	keys    []key
	foreign []foreignKey
}

// published is the statement that has a publication tell rows apart by a key that is made
// anew, as it did by the one of before; none where it did not.
func (s *shape) published(name Name, key string) []string {
	if s.Replica != key {
		return nil
	}
	return []string{"ALTER TABLE " + name.Quoted() + " REPLICA IDENTITY USING INDEX " + Quote(key)}
}

// key is a unique index, or a constraint that stands on an index.
type key struct {
	Name       string
	Kind       string // of the constraint: p, u or x; "" is an index alone
	Definition string // as Postgres writes it
	HasTenant  bool   // the tenant column is one of its columns
	Led        bool   // it is the first, in a valid index over the whole table
	Index      string // the index's own definition
	Deferrable bool   // checked at the end of the transaction, or may be
	Needed     bool   // something beside references rests on the constraint, such as a view that groups by it
	Partition  string // the partition whose own key it is, quoted; "" of the table itself
}

// foreignKey is a reference from one table to another.
type foreignKey struct {
	Name       string
	FromSchema string
	FromTable  string
	ToSchema   string
	ToTable    string
	Definition string
	Columns    []string
	Refers     []string
	OnUpdate   string // pg_constraint.confupdtype
	Full       bool   // MATCH FULL
}

func (f foreignKey) from() Name { return Name{Schema: f.FromSchema, Name: f.FromTable} }
func (f foreignKey) to() Name   { return Name{Schema: f.ToSchema, Name: f.ToTable} }

const shapeAllTenantsSQL = `
	SELECT c.oid AS oid, c.relkind::text AS kind,
	       c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) AS inherits,
	       c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS children,
	       c.relrowsecurity AND c.relforcerowsecurity AS forced,
	       EXISTS (SELECT FROM pg_catalog.pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'tenant_id' AND NOT o.attisdropped)
	         OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = to_regclass('tenants.tenants')) AS names,
	       ARRAY(SELECT t.tgname::text FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace h ON h.oid = p.pronamespace
	             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND h.nspname NOT IN ('nself', 'hdb_catalog', 'tenants', 'audit') ORDER BY 1) AS triggers,
	       EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace h ON h.oid = p.pronamespace
	               WHERE t.tgrelid = c.oid AND h.nspname = 'hdb_catalog') AS for_hasura,
	       pg_get_userbyid(c.relowner)::text AS owner,
	       has_schema_privilege('nself_owner', c.relnamespace, 'CREATE') AS owner_creates,
	       ARRAY(SELECT role FROM unnest(@roles::text[]) AS r (role) WHERE NOT has_schema_privilege(role, c.relnamespace, 'USAGE')) AS outside,
	       format_type(tenant.atttypid, NULL) AS tenant_type,
	       (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
	        WHERE d.adrelid = c.oid AND d.adnum = tenant.attnum) AS tenant_default,
	       coalesce(tenant.attnotnull, false) AS tenant_not_null, coalesce(tenant.attgenerated <> '', false) AS tenant_made,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
	             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> @column ORDER BY a.attnum) AS columns,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
	             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attgenerated <> '' OR a.attidentity = 'a')) AS generated,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
	             WHERE i.indrelid = c.oid AND i.indisprimary) AS identifying,
	       ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid ORDER BY 1) AS policies,
	       ARRAY(SELECT DISTINCT CASE v.relkind WHEN 'v' THEN 'the view ' || v.oid::regclass || ' (ALTER VIEW … SET (security_invoker = true) first)'
	                    WHEN 'm' THEN 'the materialized view ' || v.oid::regclass || ' (drop it first)'
	                    ELSE 'the rule ' || r.rulename || ' (make it a trigger first)' END
	             FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
	             WHERE (v.oid = c.oid OR r.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d
	                    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid))
	               AND NOT (v.relkind = 'v' AND coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(v.reloptions) AS o WHERE o.option_name = 'security_invoker'), false))
	             ORDER BY 1) AS passing,
	       ARRAY(SELECT DISTINCT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END
	             FROM (SELECT (aclexplode(c.relacl)).grantee
	                   UNION ALL SELECT (aclexplode(a.attacl)).grantee FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid) AS g
	             WHERE g.grantee <> c.relowner ORDER BY 1) AS grantees,
	       ARRAY(SELECT r.role || ' ' || p.privilege FROM unnest(@roles::text[]) AS r (role), unnest(@privileges::text[]) AS p (privilege)
	             WHERE has_table_privilege(r.role, c.oid, p.privilege)
	             UNION ALL SELECT r.role || ' ' || d.objid::regclass::text FROM unnest(@roles::text[]) AS r (role), pg_catalog.pg_depend d
	             JOIN pg_catalog.pg_class s ON s.oid = d.objid
	             WHERE d.refobjid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.classid = 'pg_catalog.pg_class'::regclass
	               AND d.deptype = 'a' AND s.relkind = 'S' AND has_sequence_privilege(r.role, s.oid, 'USAGE')) AS granted,
	       ARRAY(SELECT d.objid::regclass::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
	             WHERE d.refobjid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
	               AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'a' AND s.relkind = 'S' ORDER BY 1) AS sequences,
	       ARRAY(SELECT t.relid::text FROM pg_partition_tree(c.oid) AS t WHERE t.relid <> c.oid ORDER BY 1) AS partitions,
	       ARRAY(SELECT t.relid::text FROM pg_partition_tree(c.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	             WHERE t.relid <> c.oid AND pg_get_userbyid(p.relowner) <> 'nself_owner' ORDER BY 1) AS strangers,
	       coalesce((SELECT x.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
	                 WHERE i.indrelid = c.oid AND i.indisreplident), '') AS replica
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_catalog.pg_attribute tenant ON tenant.attrelid = c.oid AND tenant.attname = @column AND NOT tenant.attisdropped
	WHERE n.nspname = @schema AND c.relname = @name`

const keysSQL = `
	SELECT x.relname::text AS name, coalesce(k.contype::text, '') AS kind,
	       coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid)) AS definition,
	       coalesce(tenant.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), false)
	         AND (k.contype IS DISTINCT FROM 'x' OR pg_get_constraintdef(k.oid) ~ ('[( ]' || quote_ident(@column::text) || ' WITH =[,)]')) AS has_tenant,
	       CASE WHEN i.indrelid <> @oid THEN i.indrelid::regclass::text ELSE '' END AS partition,
	       coalesce(tenant.attnum = i.indkey[0], false) AND i.indisvalid AND i.indpred IS NULL AS led,
	       pg_get_indexdef(i.indexrelid) AS index, coalesce(k.condeferrable, false) AS deferrable,
	       EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_constraint'::regclass AND d.refobjid = k.oid
	               AND d.classid = 'pg_catalog.pg_rewrite'::regclass) AS needed
	FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
	LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
	LEFT JOIN pg_catalog.pg_attribute tenant ON tenant.attrelid = i.indrelid AND tenant.attname = @column AND NOT tenant.attisdropped
	WHERE (i.indrelid = @oid AND (i.indisunique OR i.indisexclusion OR tenant.attnum = i.indkey[0]))
	   OR (i.indrelid IN (SELECT t.relid FROM pg_partition_tree(@oid::oid::regclass) AS t WHERE t.relid <> @oid)
	       AND (i.indisunique OR i.indisexclusion) AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid))
	ORDER BY k.contype IS DISTINCT FROM 'p', x.relname`

// foreignSQL reads the references of a table in both directions.
const foreignSQL = `
	SELECT k.conname::text AS name, fn.nspname::text AS from_schema, f.relname::text AS from_table,
	       tn.nspname::text AS to_schema, t.relname::text AS to_table, pg_get_constraintdef(k.oid) AS definition,
	       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, n)
	             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.n) AS columns,
	       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (attnum, n)
	             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY c.n) AS refers,
	       k.confupdtype::text AS on_update, k.confmatchtype = 'f' AS "full"
	FROM pg_catalog.pg_constraint k
	JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
	JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
	WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = @oid OR k.confrelid = @oid)
	ORDER BY fn.nspname, f.relname, k.conname`

// readShape reads a table from the catalog; nil where there is none of this name.
func readShape(ctx context.Context, db pg.DB, name Name, column string) (*shape, error) {
	s, err := pg.One[shape](ctx, db, shapeAllTenantsSQL, pgx.NamedArgs{"schema": name.Schema, "name": name.Name, "column": column, "roles": databaseRoles, "privileges": privileges})
	if pg.NoRow(err) {
		return nil, nil
	}
	if err == nil {
		s.keys, err = pg.All[key](ctx, db, keysSQL, pgx.NamedArgs{"oid": s.OID, "column": column})
	}
	if err == nil {
		s.foreign, err = pg.All[foreignKey](ctx, db, foreignSQL, pgx.NamedArgs{"oid": s.OID})
	}
	if err != nil {
		return nil, fmt.Errorf("read %s from the catalog: %w", name, err)
	}
	return &s, nil
}

// empty reports whether the table has no rows; the statistics may not know yet. Whoever
// asks below a policy gets an error and not the answer of those rows alone.
func empty(ctx context.Context, db pg.DB, name Name) (bool, error) {
	rows, err := db.Query(ctx, "TABLE "+name.Quoted()+" LIMIT 1", pgx.QueryExecModeExec) // its columns may be others next time
	if err != nil {
		return false, fmt.Errorf("look for rows in %s: %w", name, err)
	}
	defer rows.Close()
	found := rows.Next()
	return !found, rows.Err()
}
