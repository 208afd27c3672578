package audit

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// Relations of the system and of sessions are never examined.
const userSchemas = ` n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' `

const fromUserRelations = `
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND` + userSchemas

const serverSQL = `
	SELECT current_setting('server_version_num')::int AS number, split_part(current_setting('server_version'), ' ', 1) AS release,
	       current_database()::text AS database, current_user::text AS usr, r.rolsuper AS superuser,
	       coalesce(current_setting('hasura.user', true), '') AS fixed_session
	FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

func readServer(ctx context.Context, db pg.DB) (server, error) {
	s, err := pg.One[server](ctx, db, serverSQL, nil)
	if err != nil {
		return s, fmt.Errorf("ask Postgres for its version: %w", err)
	}
	return s, nil
}

const rolesSQL = `
	SELECT oid, rolname::text AS name, rolsuper AS superuser, rolbypassrls AS bypassrls, rolcanlogin AS login,
	       rolcreaterole AS createrole, rolreplication AS replication, rolinherit AS inherit
	FROM pg_catalog.pg_roles`

// Until Postgres 15 a membership is for SET ROLE and, by the member's own attribute, for
// inheriting; since 16 each membership says both.
const membershipsSQL = `
	SELECT m.roleid AS role, m.member, coalesce((to_jsonb(m) ->> 'set_option')::boolean, true) AS can_set,
	       coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, r.rolinherit) AS inherit
	FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member`

const schemasSQL = `
	SELECT n.oid, n.nspname::text AS name, n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE` + userSchemas

const relationsSQL = `
	SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relowner AS owner,
	       c.relrowsecurity AS rls, c.relforcerowsecurity AS forced, c.relispartition AS partition,
	       x.objid IS NOT NULL AS extension, coalesce(y.ftoptions, c.reloptions, '{}') AS options, c.reltuples::float8 AS rows,
	       CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) ELSE '' END AS query,
	       coalesce(o.refobjid, 0::oid) AS owned_by` + fromUserRelations + `
	LEFT JOIN pg_catalog.pg_foreign_table y ON y.ftrelid = c.oid
	LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid AND x.objsubid = 0 AND x.deptype = 'e'
	LEFT JOIN pg_catalog.pg_depend o ON c.relkind = 'S' AND o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid
	  AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.deptype IN ('a', 'i')
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`

const columnsSQL = `
	SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name, format_type(a.atttypid, NULL) AS type,
	       a.attnotnull AS not_null,
	       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS identity` + fromUserRelations + `
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY a.attrelid, a.attnum`

const constraintsSQL = `
	SELECT k.conrelid AS relation, k.conname::text AS name, k.contype::text AS kind, coalesce(k.conkey, '{}') AS columns,
	       k.confrelid AS target, coalesce(k.confkey, '{}') AS target_columns, k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update,
	       coalesce(k.confdelsetcols, '{}') AS set_columns` + fromUserRelations + `
	JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'x')`

const indexesSQL = `
	SELECT i.indexrelid AS oid, i.indrelid AS relation, x.relname::text AS name, m.amname::text AS method,
	       (i.indkey::smallint[])[0:i.indnkeyatts - 1] AS columns, i.indisunique AS is_unique, i.indisprimary AS is_primary,
	       i.indisexclusion AS exclusion, i.indisvalid AS valid, i.indpred IS NOT NULL AS partial` + fromUserRelations + `
	JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
	JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam`

// A policy depends on the columns of the tables that its subselects read, as on its own.
const policiesSQL = `
	SELECT p.polrelid AS relation, p.polname::text AS name, p.polpermissive AS permissive, p.polcmd::text AS command,
	       p.polroles AS roles, coalesce(pg_get_expr(p.polqual, p.polrelid), '') AS using_text,
	       coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') AS check_text,
	       coalesce(d.functions, '{}') AS functions, coalesce(d.reads, '{}') AS reads` + fromUserRelations + `
	JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
	LEFT JOIN (SELECT objid, array_agg(DISTINCT refobjid) FILTER (WHERE refclassid = 'pg_catalog.pg_proc'::regclass) AS functions,
	                  array_agg(DISTINCT refobjid) FILTER (WHERE refclassid = 'pg_catalog.pg_class'::regclass) AS reads
	           FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_policy'::regclass AND deptype = 'n' GROUP BY objid) d ON d.objid = p.oid
	ORDER BY p.polname`

const relationGrantsSQL = `
	SELECT c.oid AS object, 0::smallint AS col, g.grantee, g.privilege_type AS privilege, g.is_grantable AS grantable` + fromUserRelations + `,
	  aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS g
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL
	SELECT c.oid, a.attnum, g.grantee, g.privilege_type, g.is_grantable` + fromUserRelations + `
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped, aclexplode(a.attacl) AS g`

const schemaGrantsSQL = `
	SELECT n.oid AS object, 0::smallint AS col, g.grantee, g.privilege_type AS privilege, g.is_grantable AS grantable
	FROM pg_catalog.pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS g WHERE` + userSchemas

const databaseGrantsSQL = `
	SELECT d.oid AS object, 0::smallint AS col, g.grantee, g.privilege_type AS privilege, g.is_grantable AS grantable
	FROM pg_catalog.pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g WHERE d.datname = current_database()`

const functionsSQL = `
	SELECT f.oid, n.nspname::text AS schema, f.proname::text AS name, pg_get_function_identity_arguments(f.oid) AS arguments,
	       f.pronargs::int AS argument_count, l.lanname::text AS language, f.prosecdef AS definer,
	       coalesce(f.proargnames, '{}') AS names, f.provolatile = 'v' AS is_volatile, f.proleakproof AS leakproof,
	       (SELECT t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = f.prorettype) AS returned,
	       f.prorettype = 'pg_catalog.trigger'::regtype AS trigger, f.prokind = 'p' AS procedure, f.proowner AS owner,
	       coalesce(f.proconfig, '{}') AS config, coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) AS source,
	       x.objid IS NOT NULL AS extension, coalesce(d.reads, '{}') AS reads, coalesce(d.calls, '{}') AS calls
	FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace AND` + userSchemas + `
	JOIN pg_catalog.pg_language l ON l.oid = f.prolang
	LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_proc'::regclass AND x.objid = f.oid AND x.deptype = 'e'
	LEFT JOIN (SELECT objid, array_agg(DISTINCT refobjid) FILTER (WHERE refclassid = 'pg_catalog.pg_class'::regclass) AS reads,
	                  array_agg(DISTINCT refobjid) FILTER (WHERE refclassid = 'pg_catalog.pg_proc'::regclass) AS calls
	           FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_proc'::regclass AND deptype = 'n' GROUP BY objid) d ON d.objid = f.oid
	WHERE f.prokind IN ('f', 'p')`

const functionGrantsSQL = `
	SELECT f.oid AS object, 0::smallint AS col, g.grantee, g.privilege_type AS privilege, g.is_grantable AS grantable
	FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace AND` + userSchemas + `,
	  aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g`

const triggersSQL = `
	SELECT t.tgrelid AS relation, t.tgname::text AS name, t.tgfoid AS function, t.tgenabled::text AS enabled,
	       t.tgtype AS type, t.tgattr::smallint[] AS columns,
	       CASE WHEN t.tgqual IS NULL THEN '' ELSE substring(pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE ') END AS condition` + fromUserRelations + `
	JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal`

const rewritesSQL = `
	SELECT w.ev_class AS relation, w.rulename::text AS name` + fromUserRelations + `
	JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid AND w.rulename <> '_RETURN'`

// edge joins two objects: a view to what it reads, a child to its parent.
type edge struct {
	From uint32 `db:"origin"`
	To   uint32 `db:"target"`
}

const viewReadsSQL = `
	SELECT DISTINCT w.ev_class AS origin, d.refobjid AS target
	FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
	  AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> w.ev_class
	JOIN pg_catalog.pg_class c ON c.oid = w.ev_class AND c.relkind IN ('v', 'm')
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND` + userSchemas

const parentsSQL = `SELECT inhrelid AS origin, inhparent AS target FROM pg_catalog.pg_inherits`

const defaultsSQL = `
	SELECT d.defaclrole AS owner, coalesce(n.nspname::text, '') AS schema, d.defaclobjtype::text AS kind, g.grantee, g.privilege_type AS privilege
	FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) AS g`

const settingsSQL = `
	SELECT coalesce(d.datname::text, '') AS database, coalesce(r.rolname::text, '') AS role,
	       split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
	FROM pg_catalog.pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS entry
	LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
	WHERE s.setdatabase = 0 OR d.datname = current_database()`

const parametersSQL = `
	SELECT p.parname AS name, g.grantee, g.privilege_type AS privilege
	FROM pg_catalog.pg_parameter_acl p, aclexplode(p.paracl) AS g`

const publicationsSQL = `
	SELECT p.pubname::text AS name, p.puballtables AS all_tables,
	       ARRAY(SELECT c.oid FROM pg_catalog.pg_publication_tables t JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
	             JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE t.pubname = p.pubname) AS relations
	FROM pg_catalog.pg_publication p`

const eventTriggersSQL = `SELECT evtname::text AS name, evtowner AS owner, evtfoid AS function FROM pg_catalog.pg_event_trigger`

const tenantsTableAllTenantsSQL = `SELECT coalesce(to_regclass('tenants.tenants')::oid, 0::oid)`
