package shard_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/shard"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const shop = `CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO nself_app, nself_hasura;
CREATE TABLE shop.countries (code text PRIMARY KEY);
CREATE TABLE shop.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, country text REFERENCES shop.countries);
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES shop.customers ON DELETE CASCADE);
CREATE TABLE shop.lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL REFERENCES shop.orders);`

// newShop is a database with tables of the customer's behind the wall, as protect puts them
// there, and with a tenant that has a schema of its own. It connects as the superuser.
func newShop(t *testing.T) *pgx.Conn {
	t.Helper()
	db := pgtest.Database(t)
	owner := db.Pool(t, "nself_owner")
	if _, err := owner.Exec(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	ours, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	list := append(ours, isolation.Table{Name: isolation.Name{Schema: "shop", Name: "countries"}, Rows: isolation.Shared, Grants: isolation.Grants{"nself_app": {"select"}}})
	names := []isolation.Name{{Schema: "shop", Name: "countries"}, {Schema: "shop", Name: "customers"}, {Schema: "shop", Name: "orders"}, {Schema: "shop", Name: "lines"}}
	plan, err := isolation.Protect(t.Context(), owner, isolation.Request{List: list, Names: names, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "DO $wall$ BEGIN "+strings.Join(plan.Statements, ";\n")+"; END $wall$"); err != nil {
		t.Fatal(err)
	}
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	run(t, conn, `INSERT INTO nself.tenant_migrations VALUES (1, 'notes', 'CREATE TABLE notes (id bigint PRIMARY KEY); CREATE TABLE tags (id bigint PRIMARY KEY, note bigint REFERENCES notes)', repeat('a', 64));
		SELECT tenants.create_tenant_schema('`+team.ID.String()+`', 'tenant_')`)
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func planOf(t *testing.T, conn *pgx.Conn) shard.Plan {
	t.Helper()
	plan, err := shard.New(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// standIn gives a database what a plan asks of Citus: the extension by name, its table of
// tables, and functions that refuse what Citus refuses of a table and note the rest.
const standIn = `
SET allow_system_table_mods = on;
INSERT INTO pg_catalog.pg_extension VALUES (999999, 'citus', 10, 11, false, '13.0-1', NULL, NULL);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", repmodel "char", colocationid int);
RESET allow_system_table_mods;
CREATE FUNCTION public.citus_takes(t regclass, kind "char", col text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t AND NOT tgisinternal) THEN RAISE EXCEPTION '% has triggers', t; END IF;
  IF EXISTS (SELECT FROM pg_policy WHERE polrelid = t AND polqual::text LIKE '%{SUBLINK %') THEN RAISE EXCEPTION 'cannot create policy of %', t; END IF;
  IF EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = t AND k.contype = 'f' AND k.confrelid <> t AND kind <> 's'
             AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = k.confrelid)) THEN RAISE EXCEPTION 'cannot create foreign key of %', t; END IF;
  IF col IS NOT NULL AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t AND i.indisunique AND NOT EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = t AND a.attname = col AND a.attnum = ANY (i.indkey::smallint[]))) THEN RAISE EXCEPTION 'key of % lacks %', t, col; END IF;
  INSERT INTO pg_dist_partition VALUES (t, CASE kind WHEN 'h' THEN 'h' ELSE 'n' END, CASE kind WHEN 'n' THEN 't' ELSE 's' END, 1);
END $$;
CREATE FUNCTION public.create_distributed_function(f regprocedure) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION public.create_reference_table(t regclass) RETURNS void LANGUAGE sql AS $$ SELECT public.citus_takes(t, 'n', NULL) $$;
CREATE FUNCTION public.create_distributed_table(t regclass, col text, colocate_with text) RETURNS void LANGUAGE sql AS $$ SELECT public.citus_takes(t, 'h', col) $$;
CREATE FUNCTION public.citus_schema_distribute(s regnamespace) RETURNS void LANGUAGE sql AS $$ SELECT public.citus_takes(oid, 's', NULL) FROM pg_class WHERE relnamespace = s AND relkind = 'r' ORDER BY relname $$`
