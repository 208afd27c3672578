package isolation_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
)

// ours is the list of this project.
func ours(t *testing.T) isolation.List {
	t.Helper()
	list, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Each statement moves one stone of the wall; the difference must tell which.
func TestADatabaseThatLeavesTheListIsTold(t *testing.T) {
	const settings = "tenants.tenant_settings"
	tests := []struct{ statement, want string }{
		{"ALTER TABLE tenants.tenant_settings DISABLE ROW LEVEL SECURITY", settings + " lacks: row-level security is enabled"},
		{"ALTER TABLE tenants.tenant_settings NO FORCE ROW LEVEL SECURITY", settings + " lacks: row-level security is forced"},
		{"ALTER TABLE tenants.tenant_settings OWNER TO nself_app", settings + " has, and the list has not: is owned by nself_app"},
		{"DROP POLICY active_tenant ON tenants.tenant_settings", settings + " lacks: policy active_tenant for all to nself_app, nself_tenant"},
		{"CREATE POLICY open ON tenants.tenant_settings USING (true)", settings + " has, and the list has not: policy open for all to PUBLIC using true"},
		{"CREATE POLICY strict ON tenants.tenant_settings AS RESTRICTIVE FOR SELECT TO nself_app USING (true)", "policy strict for select (restrictive) to nself_app using true"},
		{"ALTER POLICY active_tenant ON tenants.tenant_settings USING (tenant_id = tenants.current_tenant_id())", settings + " lacks: policy active_tenant"},
		{"ALTER POLICY active_tenant ON tenants.tenant_settings WITH CHECK (true)", "check true"},
		{"ALTER POLICY active_tenant ON tenants.tenant_settings TO nself_app", settings + " lacks: policy active_tenant"},
		{"GRANT TRUNCATE ON tenants.tenant_settings TO nself_app", settings + " has, and the list has not: nself_app may truncate"},
		{"GRANT SELECT ON tenants.tenant_settings TO PUBLIC", settings + " has, and the list has not: PUBLIC may select"},
		{"GRANT SELECT ON tenants.tenant_settings TO nself_app WITH GRANT OPTION", "nself_app may select and grant it"},
		{"GRANT UPDATE (value) ON tenants.tenant_settings TO nself_app", "nself_app may update the column value"},
		{"REVOKE SELECT ON tenants.tenant_settings FROM nself_app", settings + " lacks: nself_app may select"},
		{"DROP TRIGGER tenant_id_is_immutable ON tenants.tenant_settings", settings + " lacks: tenant_id is immutable"},
		{"ALTER TABLE tenants.tenant_settings DISABLE TRIGGER tenant_id_is_immutable", settings + " lacks: tenant_id is immutable"},
		{"ALTER TABLE tenants.tenant_settings DROP CONSTRAINT tenant_settings_pkey", settings + " lacks: an index is led by tenant_id"},
		{"ALTER TABLE tenants.tenant_settings DROP CONSTRAINT tenant_settings_pkey, ALTER tenant_id DROP NOT NULL", settings + " lacks: tenant_id is not null"},
		{"ALTER TABLE tenants.tenant_settings DROP CONSTRAINT tenant_settings_tenant_id_fkey", settings + " lacks: tenant_id refers to the tenants"},
		{"CREATE UNIQUE INDEX one_key ON tenants.tenant_settings (key) INCLUDE (tenant_id)", "the key one_key holds across tenants"},
		{"DROP TRIGGER tenant_id_is_immutable ON tenants.tenant_settings; CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON tenants.tenant_settings FOR EACH ROW WHEN (false) EXECUTE FUNCTION nself.refuse_tenant_change()", settings + " lacks: tenant_id is immutable"},
		{"DROP TRIGGER tenant_id_is_immutable ON tenants.tenant_settings; CREATE TRIGGER tenant_id_is_immutable AFTER UPDATE OF tenant_id ON tenants.tenant_settings FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change()", settings + " lacks: tenant_id is immutable"},
		{"CREATE UNIQUE INDEX one_key ON tenants.tenant_settings (key)", "the key one_key holds across tenants"},
		{"ALTER TABLE tenants.tenants DROP CONSTRAINT tenants_slug_key", "tenants.tenants lacks: the key tenants_slug_key holds across tenants"},
		{"CREATE EXTENSION btree_gist; ALTER TABLE tenants.tenant_settings ADD EXCLUDE USING gist (key WITH =)", "the exclusion tenant_settings_key_excl holds across tenants"},
		{"CREATE EXTENSION btree_gist; ALTER TABLE tenants.tenant_settings ADD EXCLUDE USING gist (key WITH =, tenant_id WITH <>)", "the exclusion tenant_settings_key_tenant_id_excl holds across tenants"},
		{"ALTER TABLE tenants.tenant_settings ALTER tenant_id SET DEFAULT '00000000-0000-4000-8000-000000000001'", "tenant_id is by default '00000000-0000-4000-8000-000000000001'::uuid"},
		{"ALTER TABLE tenants.tenant_settings DROP CONSTRAINT tenant_settings_tenant_id_fkey, ADD FOREIGN KEY (tenant_id) REFERENCES tenants.tenants", settings + " lacks: tenant_id refers to the tenants"},
		{"GRANT SELECT ON SEQUENCE audit.log_id_seq TO nself_tenant", "audit.log has, and the list has not: nself_tenant may select its sequence audit.log_id_seq"},
		{`CREATE FUNCTION public."tenants.active_tenant_id"() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
		  ALTER POLICY active_tenant ON tenants.tenant_settings USING (tenant_id = (SELECT public."tenants.active_tenant_id"() AS active_tenant_id))`, settings + " lacks: policy active_tenant"},
		{"CREATE OR REPLACE FUNCTION tenants.hasura_is_unbound() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE RETURN true", "a function tenants.hasura_is_unbound() that is not the migrations'"},
		{"CREATE OR REPLACE FUNCTION nself.refuse_tenant_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "a function nself.refuse_tenant_change() that is not the migrations'"},
		{"ALTER FUNCTION tenants.active_tenant_id() RESET ALL", "a function tenants.active_tenant_id() that is not the migrations'"},
		{"ALTER FUNCTION tenants.current_session() OWNER TO nself_app", "a function tenants.current_session() that is not the migrations'"},
		{"CREATE TABLE public.likes (t uuid, key text, FOREIGN KEY (t, key) REFERENCES tenants.tenant_settings)", "public.likes has, and the list has not: rows of tenants, as it seems"},
		{"GRANT SELECT ON nself.river_job TO nself_tenant", "nself.river_job has, and the list has not: nself_tenant may select: the table is the server's own"},
		{"GRANT UPDATE (state) ON nself.river_job TO nself_hasura", "nself.river_job has, and the list has not: nself_hasura may update: the table is the server's own"},
		{"GRANT SELECT ON auth.rate_limits TO PUBLIC", "auth.rate_limits has, and the list has not: PUBLIC may select: the table is the server's own"},
		{"GRANT INSERT ON nself.tenant_tables TO nself_app", "nself.tenant_tables has, and the list has not: nself_app may insert"},
		{"GRANT EXECUTE ON FUNCTION nself.forget_tenant_table(text) TO nself_app", "a function nself.forget_tenant_table(text) that is not the migrations'"},
		{"CREATE TABLE public.kid () INHERITS (tenants.tenant_settings)", settings + " has, and the list has not: the child public.kid by inheritance"},
		{"CREATE UNIQUE INDEX pair ON tenants.tenant_settings (tenant_id, value); ALTER TABLE tenants.tenant_settings ADD other uuid; ALTER TABLE tenants.tenant_settings ADD CONSTRAINT evil FOREIGN KEY (other, key) REFERENCES tenants.tenant_settings (tenant_id, key)", "the reference evil may lead to another tenant"},
		{"CREATE TABLE public.orders (tenant_id uuid)", "public.orders has, and the list has not: rows of tenants, as it seems"},
		{"CREATE TABLE public.orders (customer uuid REFERENCES tenants.tenants)", "public.orders has, and the list has not: rows of tenants, as it seems"},
		{"CREATE TABLE public.orders (id int); ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY", "public.orders has, and the list has not: rows of tenants, as it seems"},
		{"DELETE FROM nself.tenant_tables WHERE table_name = 'tenant_settings'", "registry: " + settings + " lacks: its declaration"},
		{"UPDATE nself.tenant_tables SET declaration = declaration || '{\"column\": \"key\"}' WHERE table_name = 'tenant_settings'", "registry: " + settings + " has, and the list has not"},
		{"SELECT nself.declare_tenant_table('{\"table\": \"crm.x\"}')", "registry: crm.x has, and the list has not: its declaration"},
	}
	db := pgtest.Database(t).Superuser(t)
	for _, test := range tests {
		t.Run(test.statement, func(t *testing.T) {
			tx, err := db.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if told := differences(t, tx); told != "" {
				t.Fatalf("differs before: %s", told)
			}
			execute(t, tx, test.statement)
			if told := differences(t, tx); !strings.Contains(told, test.want) {
				t.Errorf("%q is not told in:\n%s", test.want, told)
			}
		})
	}
}

func differences(t *testing.T, tx pgx.Tx) string {
	t.Helper()
	found, err := ours(t).Differences(t.Context(), tx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, d := range found {
		told = append(told, d.String())
	}
	return strings.Join(told, "\n")
}

func TestAListThatCannotStandIsRefusedWhole(t *testing.T) {
	_, err := isolation.Parse([]byte(`
tables:
  - table: crm.a
    rows: many
    grants: {nself_app: [truncate], postgres: [select]}
    policies: [{name: x, for: all, to: [PUBLIC], using: everyone}]
    permissions:
      - {roles: [admin, tenant_member, tenant_member], insert: [tenant_id], aggregations: true}
      - {roles: [user], select: [id], delete: true, where: {id: {_is_null: false}}}
  - {table: crm.a, grants: {}}
  - {table: crm.c, rows: members, grants: {}, policies: [{name: all, to: [nself_app], using: everything, check: everything}], permissions: [{roles: [tenant_owner], insert: [id]}]}
  - {table: crm.b, rows: shared, column: id, grants: {}, permissions: [{roles: [tenant_owner], update: [x]}]}
`))
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{`rows is "many"`, `cannot be granted "truncate"`, `grants to "postgres"`, `for is "all"`, `to "PUBLIC"`, `"everyone" is no bound`,
		`no token carries the role "admin"`, "tenant_member has two permissions", "tenant_id is preset from the session", "aggregations without select",
		"the role user has no tenant: its where must hold a column that is _eq X-Hasura-User-Id", "the role user has no tenant and writes nothing", "crm.a is declared twice",
		"a shared table has no tenant column", "everything is for nself_owner and nself_server alone", "people are inserted by nobody in a tenant", "a shared table is written by the operator alone"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in:\n%v", want, err)
		}
	}
	if _, err := isolation.Parse([]byte("tables:\n  - {table: crm.a, grant: {}}")); err == nil {
		t.Error("a misspelt key was taken")
	}
}

// A partition is part of its table's wall, whenever it was made.
func TestAPartitionThatLeavesItsTablesWallIsTold(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.sales (id int, at date) PARTITION BY RANGE (at)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.sales"), Column: "tenant_id"})
	list := ours(t).Union(plan.Tables)
	agrees(t, super, list)
	execute(t, super, `CREATE TABLE shop.later PARTITION OF shop.sales FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
		GRANT SELECT ON shop.later TO nself_app; GRANT UPDATE (at) ON shop.later TO nself_app; CREATE POLICY open ON shop.later USING (true); CREATE UNIQUE INDEX once ON shop.later (id)`)
	found, err := list.Differences(t.Context(), super, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	for _, d := range found {
		told.WriteString(d.String() + "\n")
	}
	for _, want := range []string{"its partition shop.later has no row-level security", "its partition shop.later is owned by postgres",
		"nself_app may select its partition shop.later", "its partition shop.later has the key shop.once across tenants", "its partition shop.later has the policy open", "nself_app may update the column at of its partition shop.later"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("%q is not told in:\n%s", want, told.String())
		}
	}
	again := protect(t, super, isolation.Request{List: list, Names: names(t, "shop.sales"), Column: "tenant_id"})
	if len(again.Handover) == 0 {
		t.Error("protecting again leaves the partition with its owner")
	}
}
