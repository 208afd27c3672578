package audit

import (
	"context"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// A customer's two tables behind the wall, as they should be.
const crmSQL = `
	CREATE SCHEMA crm AUTHORIZATION nself_owner;
	SET LOCAL ROLE nself_owner;
	GRANT USAGE ON SCHEMA crm TO nself_server, nself_tenant, nself_app, nself_hasura;
	CREATE TABLE crm.companies (
	  tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
	  id uuid NOT NULL DEFAULT gen_random_uuid(), name text,
	  PRIMARY KEY (tenant_id, id));
	CREATE TABLE crm.contacts (
	  tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
	  id uuid NOT NULL DEFAULT gen_random_uuid(), company_id uuid, email text, notes text, terms tsvector, doc jsonb, amount numeric,
	  PRIMARY KEY (tenant_id, id),
	  CONSTRAINT contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES crm.companies ON DELETE SET NULL (company_id));
	RESET ROLE;`

const wallSQL = `
	SET LOCAL ROLE nself_owner;
	ALTER TABLE crm.%[1]s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY owner_all ON crm.%[1]s TO nself_owner USING (true) WITH CHECK (true);
	CREATE POLICY server_all ON crm.%[1]s TO nself_server USING (true) WITH CHECK (true);
	CREATE POLICY active_tenant ON crm.%[1]s TO nself_tenant, nself_app
	  USING (tenant_id = (SELECT tenants.active_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()));
	CREATE POLICY hasura_session ON crm.%[1]s TO nself_hasura
	  USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()))
	  WITH CHECK ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()));
	GRANT SELECT ON crm.%[1]s TO nself_server, nself_tenant;
	GRANT SELECT, INSERT, UPDATE, DELETE ON crm.%[1]s TO nself_app, nself_hasura;
	CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.%[1]s
	  FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
	RESET ROLE;`

const crmList = `
tables:
  - table: crm.companies
    grants: &grants
      nself_server: [select]
      nself_tenant: [select]
      nself_app: [select, insert, update, delete]
      nself_hasura: [select, insert, update, delete]
    permissions:
      - roles: [tenant_member]
        select: [id, name]
        insert: [name]
        update: [name]
        delete: true
  - table: crm.contacts
    grants: *grants
    permissions:
      - roles: [tenant_member]
        select: [id, company_id, email, notes]
        insert: [company_id, email, notes]
        update: [company_id, email, notes]
        delete: true
      - roles: [tenant_guest]
        select: [id]
`

// crm is a database, a list and metadata with the customer's tables, all without a fault
// but for those of our own that are let off.
type crm struct {
	tx       pgx.Tx
	schema   string // crm, but where there are several
	list     isolation.List
	metadata *metadata.Metadata
}

// noTempSQL is what an operator does who heeds database-temp-open.
const noTempSQL = `DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$`

func newCRM(t testing.TB) *crm {
	t.Helper()
	return crmIn(t, pgtest.Tx(t, "postgres"))
}

// ownCRM is one in a database of its own, in a transaction of a connection made so.
func ownCRM(t testing.TB, tracer pgx.QueryTracer) *crm {
	t.Helper()
	config, err := pgx.ParseConfig(pgtest.Database(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	config.Tracer = tracer
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return crmIn(t, tx)
}

func crmIn(t testing.TB, tx pgx.Tx) *crm {
	t.Helper()
	c := &crm{tx: tx, metadata: ourMetadata(t)}
	registered, err := isolation.Registered(t.Context(), c.tx)
	if err != nil {
		t.Fatal(err)
	}
	c.list = registered
	execute(t, c.tx, noTempSQL)
	c.build(t, "crm")
	return c
}

// build makes the customer's tables in a schema, declares and tracks them.
func (c *crm) build(t testing.TB, schema string) {
	t.Helper()
	c.schema = schema
	execute(t, c.tx, c.here(crmSQL))
	for _, table := range []string{"companies", "contacts"} {
		execute(t, c.tx, c.here(strings.ReplaceAll(wallSQL, "%[1]s", table)))
	}
	own, err := isolation.Parse([]byte(c.here(crmList)))
	if err != nil {
		t.Fatal(err)
	}
	c.list = append(c.list, own...)
	for _, declared := range own {
		declare(t, c.tx, declared)
		c.metadata.Tables = append(c.metadata.Tables, declared.Tracked(metadata.Table{}))
	}
	contacts := c.entry("crm.contacts")
	contacts.ObjectRelationships = []metadata.Relationship{{Name: "company", Using: metadata.RelationshipUsing{
		ForeignKeyConstraintOn: &metadata.ForeignKeyOn{Columns: []string{"tenant_id", "company_id"}}}}}
}

// here is a text that speaks of the schema crm as one that speaks of the schema there is.
func (c *crm) here(text string) string { return strings.ReplaceAll(text, "crm", c.schema) }

// fork is the same in a savepoint that is rolled back after the test, with metadata and a
// list that the test may change.
func (c *crm) fork(t *testing.T) *crm {
	t.Helper()
	savepoint, err := c.tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := savepoint.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	copied := *c.metadata
	copied.Actions = slices.Clone(copied.Actions)
	copied.Tables = slices.Clone(copied.Tables)
	for i := range copied.Tables {
		entry := &copied.Tables[i]
		entry.ObjectRelationships = slices.Clone(entry.ObjectRelationships)
		entry.ComputedFields = slices.Clone(entry.ComputedFields)
		entry.SelectPermissions = slices.Clone(entry.SelectPermissions)
		entry.InsertPermissions = slices.Clone(entry.InsertPermissions)
		entry.UpdatePermissions = slices.Clone(entry.UpdatePermissions)
		entry.DeletePermissions = slices.Clone(entry.DeletePermissions)
	}
	return &crm{tx: savepoint, schema: c.schema, list: slices.Clone(c.list), metadata: &copied}
}

// declare registers a table in the database.
func declare(t testing.TB, tx pgx.Tx, table isolation.Table) {
	t.Helper()
	text, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT nself.declare_tenant_table($1::jsonb)`, string(text)); err != nil {
		t.Fatal(err)
	}
}

// entry is a table of the metadata.
func (c *crm) entry(name string) *metadata.Table {
	at := slices.IndexFunc(c.metadata.Tables, func(entry metadata.Table) bool { return entry.Table.String() == c.here(name) })
	return &c.metadata.Tables[at]
}

// declared is a table of the list.
func (c *crm) declared(name string) *isolation.Table {
	at := slices.IndexFunc(c.list, func(table isolation.Table) bool { return table.Name.String() == c.here(name) })
	return &c.list[at]
}

// audit lists the findings that are not of our own schema.
func (c *crm) audit(t testing.TB) []Finding {
	t.Helper()
	return slices.DeleteFunc(audited(t, c.tx, Config{List: c.list, Metadata: c.metadata}), func(f Finding) bool {
		return slices.ContainsFunc(ours, func(a Allowance) bool { return a.matches(f) })
	})
}

func ourMetadata(t testing.TB) *metadata.Metadata {
	t.Helper()
	files, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := metadata.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return ours
}

func execute(t testing.TB, tx pgx.Tx, sql string) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// audited is an audit of what a transaction sees, without the faults of this very release
// of Postgres, which the machine decides.
func audited(t testing.TB, tx pgx.Tx, config Config) []Finding {
	t.Helper()
	report, err := run(t.Context(), tx, config)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(report.Findings, func(f Finding) bool { return f.Rule == "postgres-known-fault" })
}

// told spells findings as rule and object, one a line.
func told(findings []Finding) string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, f.Rule+": "+f.Object)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// crmTable declares another table of the customer's.
func crmTable(name string) isolation.Table {
	return isolation.Table{
		Name: isolation.Name{Schema: "crm", Name: name}, Grants: isolation.Grants{"nself_app": {"select", "insert"}},
		Permissions: []isolation.Permission{{Roles: []string{"tenant_owner", "tenant_member"}, Select: []string{"id", "name"}, Insert: []string{"name"}, Delete: true}},
	}
}
