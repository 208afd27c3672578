package acceptance

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

const notebooksFile = `
CREATE TABLE notebooks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, shade text NOT NULL DEFAULT 'plain');
CREATE TABLE pages (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), notebook_id uuid NOT NULL REFERENCES notebooks ON DELETE CASCADE, body text NOT NULL);
GRANT ALL ON notebooks TO PUBLIC;`

// notebooks gives the installation under test its tenant migrations, once.
var notebooks sync.Once

func registerNotebooks(t *testing.T) {
	t.Helper()
	notebooks.Do(func() {
		dir := place(t)
		files(t, dir, map[string]string{"1_notebooks": notebooksFile})
		env := []string{"DATABASE_URL=" + local.Get("DATABASE_URL"), "HASURA_GRAPHQL_ENDPOINT=" + local.Get("HASURA_GRAPHQL_ENDPOINT"),
			"HASURA_GRAPHQL_ADMIN_SECRET=" + local.Get("HASURA_GRAPHQL_ADMIN_SECRET")}
		if did := nself(t, 0, env, []string{"tenant", "migrate", "--dir", dir}); did.code != 0 {
			t.Errorf("nself tenant migrate: %v", did)
		}
	})
}

// walled is a tenant with a schema of its own, two people, and a notebook.
type walled struct {
	house
	schema, notebook string
}

func newWalled(t *testing.T) walled {
	t.Helper()
	w := walled{house: house{slug: unique("walled"), secret: unique("secret") + "-value"}}
	w.name = strings.ToUpper(w.slug) + " Ltd"
	w.owner = newUser(t)
	r := operator().must(t, `mutation($n: String!, $s: String!, $o: uuid!) { createTenant(name: $n, slug: $s, plan: "pro", ownerUserId: $o, strategy: "schema") { id } }`,
		args{"n": w.name, "s": w.slug, "o": w.owner.id})
	w.id = r.text(t, "createTenant.id")
	w.owner = w.owner.signIn(t, w.id)
	w.member, w.guest = w.admit(t, "member"), w.admit(t, "guest")
	w.schema = w.guest.must(t, `{ tenantSchemas { schema_name } }`, nil).text(t, "tenantSchemas.0.schema_name")
	eventually(t, "the tables of "+w.schema+" are in Hasura", func() bool {
		return len(w.owner.ask(t, `{ notebooks { id } `+w.schema+`_notebooks { id } }`, nil).Errors) == 0
	})
	w.notebook = w.member.must(t, w.fill(`mutation($n: String!) { insert_SCHEMA_notebooks_one(object: {name: $n, pages: {data: [{body: "one"}, {body: "two"}]}}) { id } }`),
		args{"n": w.secret}).text(t, w.fill("insert_SCHEMA_notebooks_one.id"))
	return w
}

func (w walled) fill(text string) string { return strings.ReplaceAll(text, "SCHEMA", w.schema) }

func TestTenantWithASchemaOfItsOwnReadsAndWritesWithoutKnowingItsName(t *testing.T) {
	t.Parallel()
	registerNotebooks(t)
	w := newWalled(t)
	for _, p := range []person{w.owner, w.member, w.guest} {
		r := p.must(t, w.fill(`{ notebooks(where: {name: {_like: "secret%"}}, order_by: {name: asc}, limit: 5) { id name shade } SCHEMA_notebooks { name pages(order_by: {body: asc}) { body notebook { name } } } }`), nil)
		if r.count(t, "notebooks") != 1 || r.text(t, "notebooks.0.name") != w.secret || r.text(t, w.fill("SCHEMA_notebooks.0.pages.1.notebook.name")) != w.secret {
			t.Errorf("the %s reads %s", p.role, r.raw)
		}
	}
	w.guest.refused(t, w.fill(`mutation { insert_SCHEMA_notebooks_one(object: {name: "x"}) { id } }`), nil)
	w.owner.must(t, w.fill(`mutation($i: uuid!) { update_SCHEMA_notebooks_by_pk(pk_columns: {id: $i}, _set: {shade: "green"}) { shade } }`), args{"i": w.notebook})
	if r := w.owner.must(t, `{ notebooks { shade } }`, nil); r.text(t, "notebooks.0.shade") != "green" {
		t.Errorf("%s", r.raw)
	}
	// Who has no schema is told nothing, by the name that is for all.
	rls := newHouse(t)
	if r := rls.owner.must(t, `{ notebooks { id name } }`, nil); r.count(t, "notebooks") != 0 {
		t.Errorf("a tenant without a schema reads %s", r.raw)
	}
}

func TestSchemaOfOneTenantIsShutToEveryOther(t *testing.T) {
	t.Parallel()
	registerNotebooks(t)
	mine, theirs := newWalled(t), newWalled(t)
	shared := newHouse(t)
	for _, p := range []person{mine.owner, mine.member, mine.guest, shared.owner, newUser(t)} {
		for _, query := range []string{
			`{ SCHEMA_notebooks { id name pages { body } } }`, `{ SCHEMA_pages { body notebook { name } } }`, `{ SCHEMA_notebooks_aggregate { aggregate { count } nodes { name } } }`,
			`{ SCHEMA_notebooks_by_pk(id: "ID") { name } }`, `mutation { update_SCHEMA_notebooks(where: {}, _set: {shade: "red"}) { affected_rows returning { name } } }`,
			`mutation { delete_SCHEMA_notebooks(where: {}) { affected_rows returning { name } } }`, `mutation { delete_SCHEMA_pages_by_pk(id: "ID") { body } }`,
			`mutation { insert_SCHEMA_notebooks_one(object: {name: "planted"}) { id } }`, `mutation { insert_SCHEMA_pages_one(object: {notebook_id: "ID", body: "planted"}) { id } }`,
			`mutation { insert_SCHEMA_notebooks_one(object: {id: "ID", name: "planted"}, on_conflict: {constraint: notebooks_pkey, update_columns: [name]}) { id } }`,
			`{ notebooks { id name } }`, `{ notebooks_aggregate { nodes { name } } }`,
		} {
			query = strings.ReplaceAll(theirs.fill(query), "ID", theirs.notebook)
			r := p.ask(t, query, nil)
			if strings.Contains(r.raw, theirs.secret) || strings.Contains(r.raw, `"planted"`) || strings.Contains(r.raw, `"body":"`) {
				t.Errorf("%s as the %s of another: %s", query, p.role, r.raw)
			}
			if strings.Contains(r.raw, "row-level security") {
				t.Errorf("%s as the %s of another tells of the second wall: %s", query, p.role, r.raw)
			}
		}
	}
	owner := connect(t, asOwner)
	if n := number(t, owner, `SELECT count(*) FROM `+theirs.schema+`.notebooks WHERE name = $1 AND shade = 'plain'`, theirs.secret); n != 1 {
		t.Error("another tenant changed the notebook")
	}
	if n := number(t, owner, `SELECT (SELECT count(*) FROM `+theirs.schema+`.notebooks) + (SELECT count(*) FROM `+theirs.schema+`.pages)`); n != 3 {
		t.Errorf("there are %d rows in the other's schema, want 3", n)
	}
}

func TestSQLOfOneTenantReachesNoSchemaOfAnother(t *testing.T) {
	t.Parallel()
	registerNotebooks(t)
	mine, theirs := newWalled(t), newWalled(t)
	for _, role := range []string{asApp, asHasura} {
		db := connect(t, role)
		for _, sql := range []string{
			`SELECT name FROM SCHEMA.notebooks`, `UPDATE SCHEMA.notebooks SET shade = 'red' RETURNING name`, `DELETE FROM SCHEMA.pages RETURNING body`,
			`INSERT INTO SCHEMA.notebooks (name) VALUES ('planted') RETURNING name`, `INSERT INTO SCHEMA.notebooks (id, name) VALUES ('` + theirs.notebook + `', 'planted') ON CONFLICT (id) DO UPDATE SET name = 'planted' RETURNING notebooks.name`,
			`SELECT name FROM tenant_reads.notebooks`,
		} {
			inSession(t, db, mine.owner.session(), func(tx pgx.Tx) {
				rows, _ := tx.Query(t.Context(), theirs.fill(sql))
				if found, err := pgx.CollectRows(rows, pgx.RowTo[string]); err == nil && len(found) > 0 {
					t.Errorf("%s: %v: %s", role, found, sql)
				}
			})
		}
		for _, sql := range []string{`TRUNCATE SCHEMA.notebooks CASCADE`, `DROP TABLE SCHEMA.pages`, `ALTER TABLE SCHEMA.notebooks DISABLE ROW LEVEL SECURITY`, `CREATE TABLE SCHEMA.mine ()`,
			`drop schema SCHEMA cascade`, `SELECT tenants.drop_tenant_schema('` + theirs.id + `')`, `SELECT tenants.apply_tenant_migrations('` + theirs.id + `')`, `SELECT tenants.wall_tenant_schema('` + theirs.id + `')`} {
			refusedSQL(t, db, theirs.fill(sql))
		}
	}
	app := connect(t, asApp)
	inSession(t, app, mine.owner.session(), func(tx pgx.Tx) {
		if n := number(t, tx, mine.fill(`SELECT count(*) FROM SCHEMA.notebooks WHERE tenants.tenant_schema() = 'SCHEMA'`)); n != 1 {
			t.Errorf("a service of the tenant's own sees %d notebooks", n)
		}
	})
	if n := number(t, app, mine.fill(`SELECT count(*) FROM SCHEMA.notebooks WHERE tenants.tenant_schema() IS NULL`)); n != 0 {
		t.Errorf("without a session %d notebooks are seen", n)
	}
}

func TestSchemaOfATenantOutOfServiceIsShutAtTheNextStatement(t *testing.T) {
	t.Parallel()
	registerNotebooks(t)
	w := newWalled(t)
	shut := func(p person) bool {
		read := p.ask(t, w.fill(`{ notebooks { name } SCHEMA_notebooks { name } SCHEMA_pages { body } }`), nil)
		wrote := p.ask(t, w.fill(`mutation { update_SCHEMA_notebooks(where: {}, _set: {shade: "red"}) { affected_rows } }`), nil)
		rows := 0
		inSession(t, connect(t, asApp), p.session(), func(tx pgx.Tx) {
			_ = tx.QueryRow(t.Context(), w.fill(`SELECT count(*) FROM SCHEMA.notebooks`)).Scan(&rows)
		})
		return !strings.Contains(read.raw, w.secret) && !strings.Contains(read.raw, `"one"`) && !strings.Contains(wrote.raw, `"affected_rows":1`) && rows == 0
	}
	if shut(w.member) {
		t.Fatal("shut before")
	}
	operator().must(t, `mutation($t: String!, $u: uuid!) { removeMember(tenant: $t, userId: $u) { role } }`, args{"t": w.id, "u": w.member.id})
	if !shut(w.member) {
		t.Error("a removed member reads or writes on")
	}
	operator().must(t, suspendIt, w.ref())
	if !shut(w.owner) {
		t.Error("the owner of a suspended tenant reads or writes on")
	}
	operator().must(t, activateIt, w.ref())
	operator().must(t, deleteIt, w.refS())
	if !shut(w.owner) {
		t.Error("the owner of a deleted tenant reads or writes on")
	}
}
