package isolation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

const here = "tenant_a1b2c3d4"

// inOwnSchema is a transaction with a tenant that has a schema of its own.
func inOwnSchema(t *testing.T) pgx.Tx {
	t.Helper()
	tx := pgtest.Tx(t, "postgres")
	for _, sql := range []string{
		`INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (1, 'contacts', $$
		   CREATE TABLE companies (id integer PRIMARY KEY, name text, size integer GENERATED ALWAYS AS (length(name)) STORED);
		   CREATE TABLE contacts (id serial PRIMARY KEY, company_id integer REFERENCES companies, other_id integer REFERENCES companies, companies text, "a b" text);
		   CREATE VIEW names AS SELECT name FROM companies $$, repeat('0', 64))`,
		`WITH u AS (INSERT INTO auth.users (email) VALUES ('own@example.com') RETURNING id)
		 INSERT INTO tenants.tenants (id, slug, name, strategy, plan, owner_user_id)
		 SELECT 'a1b2c3d4-0000-4000-8000-000000000001', 'own-schema', 'Own', 'schema', 'free', id FROM u`,
		`INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, owner_user_id, 'owner' FROM tenants.tenants WHERE slug = 'own-schema'`,
		`SELECT tenants.create_tenant_schema('a1b2c3d4-0000-4000-8000-000000000001', 'tenant_')`,
		`SELECT tenants.build_tenant_reads()`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return tx
}

// trackedOwn is metadata as tracking makes it of the tenant's schema.
func trackedOwn(t *testing.T, tx pgx.Tx) *metadata.Metadata {
	t.Helper()
	tables, err := isolation.SchemaTables(t.Context(), tx, []string{here})
	if err != nil {
		t.Fatal(err)
	}
	reads, err := isolation.ReadTracked(t.Context(), tx, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	m := &metadata.Metadata{Tables: append(isolation.TrackedSchemas(tables), reads.Tables...), Functions: reads.Functions}
	for _, table := range ours(t) {
		if len(table.Permissions) > 0 {
			m.Tables = append(m.Tables, table.Tracked(metadata.Table{}))
		}
	}
	return m
}

func differencesOf(t *testing.T, tx pgx.Tx, tracked *metadata.Metadata) []string {
	t.Helper()
	found, err := ours(t).Differences(t.Context(), tx, tracked)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range found {
		if strings.Contains(d.String(), here) || strings.Contains(d.String(), isolation.ReadsSchema) {
			lines = append(lines, d.String())
		}
	}
	return lines
}

func TestATenantsSchemaAsMadeIsNoDifference(t *testing.T) {
	tx := inOwnSchema(t)
	if found := differencesOf(t, tx, trackedOwn(t, tx)); len(found) > 0 {
		t.Error(strings.Join(found, "\n"))
	}
}

func TestATenantsSchemaThatLosesItsWallIsTold(t *testing.T) {
	const bound = `(SELECT tenants.active_tenant_id()) = 'a1b2c3d4-0000-4000-8000-000000000002'::uuid`
	tests := map[string]struct{ statement, want string }{
		"row security off":         {`ALTER TABLE HERE.contacts DISABLE ROW LEVEL SECURITY`, "contacts lacks: the wall of its tenant"},
		"not forced":               {`ALTER TABLE HERE.contacts NO FORCE ROW LEVEL SECURITY`, "contacts lacks: the wall of its tenant"},
		"another tenant's policy":  {`DROP POLICY active_tenant ON HERE.contacts; CREATE POLICY active_tenant ON HERE.contacts TO nself_app, nself_tenant USING (` + bound + `) WITH CHECK (` + bound + `)`, "contacts lacks: the wall of its tenant"},
		"a policy more":            {`CREATE POLICY more ON HERE.contacts USING (true)`, "contacts lacks: the wall of its tenant"},
		"a grant more":             {`GRANT TRUNCATE ON HERE.contacts TO nself_app`, "contacts lacks: the wall of its tenant"},
		"a grant to everybody":     {`GRANT SELECT (id) ON HERE.contacts TO PUBLIC`, "contacts lacks: the wall of its tenant"},
		"another owner":            {`ALTER TABLE HERE.contacts OWNER TO nself_app`, "contacts lacks: the wall of its tenant"},
		"a table without any":      {`CREATE TABLE HERE.stray (id integer)`, "stray lacks: the wall of its tenant"},
		"a view with owner rights": {`ALTER VIEW HERE.names SET (security_invoker = false)`, "* lacks: the wall of its tenant"},
		"a schema open to all":     {`GRANT CREATE ON SCHEMA HERE TO nself_app`, "* lacks: the wall of its tenant"},
		"a definer's function":     {`CREATE FUNCTION HERE.f() RETURNS integer LANGUAGE sql SECURITY DEFINER RETURN 1`, "SECURITY DEFINER"},
		"a materialized view":      {`CREATE MATERIALIZED VIEW HERE.m AS SELECT 1 AS one`, "keeps rows outside row-level security"},
		"no schema at all":         {`DROP SCHEMA HERE CASCADE`, "lacks: the schema itself"},
	}
	tx := inOwnSchema(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			savepoint, err := tx.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = savepoint.Rollback(t.Context()) }()
			if _, err := savepoint.Exec(t.Context(), strings.ReplaceAll(test.statement, "HERE", here), pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			found := differencesOf(t, savepoint, nil)
			if !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, test.want) }) {
				t.Errorf("%q is not among %q", test.want, found)
			}
		})
	}
}

func TestATenantsTableTrackedForAnotherIsTold(t *testing.T) {
	tx := inOwnSchema(t)
	for name, change := range map[string]func(*metadata.Metadata){
		"another tenant's guard": func(m *metadata.Metadata) {
			filter := m.Tables[0].SelectPermissions[0].Permission.Filter["_exists"].(map[string]any)["_where"].(map[string]any)["_and"].([]any)
			filter[0] = map[string]any{"tenant_id": map[string]any{"_eq": "a1b2c3d4-0000-4000-8000-000000000002"}}
		},
		"no filter":       func(m *metadata.Metadata) { m.Tables[1].DeletePermissions[0].Permission.Filter = nil },
		"a role more":     func(m *metadata.Metadata) { m.Tables[1].SelectPermissions[3].Role = "user" },
		"an open reading": func(m *metadata.Metadata) { m.Tables[2].SelectPermissions[0].Permission.Filter = nil },
		"a root field":    func(m *metadata.Metadata) { m.Tables[2].SelectPermissions[0].Permission.QueryRootFields = nil },
		"a table that is none": func(m *metadata.Metadata) {
			m.Tables = append(m.Tables, metadata.Table{Table: metadata.TableName{Schema: here, Name: "none"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			tracked := trackedOwn(t, tx)
			change(tracked)
			if found := differencesOf(t, tx, tracked); len(found) == 0 {
				t.Error("nothing is told")
			}
		})
	}
}

func TestReferencesOfATenantsSchemaBecomeRelationshipsWithNamesOfTheirOwn(t *testing.T) {
	entries := trackedOwn(t, inOwnSchema(t)).Tables
	var names []string
	for _, entry := range entries[:2] {
		for _, r := range entry.ObjectRelationships {
			names = append(names, entry.Table.Name+"."+r.Name)
		}
		for _, r := range entry.ArrayRelationships {
			names = append(names, entry.Table.Name+"."+r.Name+"[]")
		}
	}
	if got, want := strings.Join(names, " "), "companies.contacts[] companies.contacts_by_other_id[] contacts.company contacts.other"; got != want {
		t.Errorf("relationships %s, want %s", got, want)
	}
	insert := entries[0].InsertPermissions[0].Permission
	if slices.Contains(insert.Columns.Names, "size") || len(insert.Set) > 0 || slices.Contains(entries[1].SelectPermissions[0].Permission.Columns.Names, "a b") {
		t.Errorf("columns that nobody writes or GraphQL cannot name are given: %+v", insert)
	}
}
