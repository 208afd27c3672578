package isolation_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

// What stands beside a table and passes its wall is refused before anything is done.
func TestProtectRefusesWhatWouldPassTheWall(t *testing.T) {
	tests := map[string]struct{ schema, table, want string }{
		"children by inheritance": {`CREATE TABLE shop.a (id int); CREATE TABLE shop.kid () INHERITS (shop.a)`, "shop.a", "shop.a has children by inheritance"},
		"a view of its owner":     {`CREATE TABLE shop.a (id int); CREATE VIEW shop.v AS SELECT * FROM shop.a`, "shop.a", "has the view shop.v (ALTER VIEW … SET (security_invoker = true) first)"},
		"a view over a view": {`CREATE TABLE shop.a (id int); CREATE VIEW shop.v WITH (security_invoker = true) AS SELECT * FROM shop.a;
			CREATE MATERIALIZED VIEW shop.m AS SELECT * FROM shop.a`, "shop.a", "has the materialized view shop.m (drop it first)"},
		"a rule": {`CREATE TABLE shop.a (id int); CREATE TABLE shop.b (id int); CREATE RULE also AS ON DELETE TO shop.a DO ALSO DELETE FROM shop.b`,
			"shop.a", "has the rule also (make it a trigger first)"},
		"an exclusion of other tenants": {`CREATE EXTENSION btree_gist; CREATE TABLE shop.a (tenant_id uuid, room int, EXCLUDE USING gist (room WITH =, tenant_id WITH <>))`,
			"shop.a", "has the exclusion constraint a_room_tenant_id_excl across tenants"},
		"a key of one partition": {`CREATE TABLE shop.a (id int, at date) PARTITION BY RANGE (at);
			CREATE TABLE shop.a1 PARTITION OF shop.a FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'); CREATE UNIQUE INDEX once ON shop.a1 (id)`,
			"shop.a", "has the partition shop.a1 with the key once of its own across tenants"},
		"a reference by another column": {`CREATE TABLE shop.a (t uuid, u uuid, FOREIGN KEY (t, u) REFERENCES tenants.tenant_members)`,
			"shop.a", "refers to tenants.tenant_members by a_t_u_fkey with another column in the place of the tenant's"},
		"a reference that clears the tenant": {`CREATE TABLE shop.p (tenant_id uuid, id int, PRIMARY KEY (tenant_id, id));
			CREATE TABLE shop.a (tenant_id uuid, p_id int, FOREIGN KEY (tenant_id, p_id) REFERENCES shop.p ON DELETE SET NULL)`,
			"shop.a shop.p", "shop.a has the reference a_tenant_id_p_id_fkey, which would clear the tenant column"},
		"an exclusion by a longer name": {`CREATE EXTENSION btree_gist; CREATE TABLE shop.a (tenant_id uuid, parent_tenant_id uuid, EXCLUDE USING gist (parent_tenant_id WITH =))`,
			"shop.a", "has the exclusion constraint a_parent_tenant_id_excl across tenants"},
		"the machinery": {``, "nself.inbox", "nself.inbox is not yours"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tx := pgtest.Tx(t, "postgres")
			execute(t, tx, "CREATE SCHEMA shop; "+test.schema)
			_, err := isolation.Protect(t.Context(), tx, isolation.Request{List: ours(t), Names: names(t, strings.Fields(test.table)...), Column: "tenant_id"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestATableOfATenantsOwnSchemaIsNoneToProtect(t *testing.T) {
	tx := inOwnSchema(t)
	_, err := isolation.Protect(t.Context(), tx, isolation.Request{List: ours(t), Names: names(t, here+".contacts", isolation.ReadsSchema+".contacts"), Column: "tenant_id"})
	for _, want := range []string{here + ".contacts lies in the schema of the tenant a1b2c3d4-0000-4000-8000-000000000001, which has a wall of its own", "tenant_reads.contacts is made from tenant_migrations"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestAnInvokersViewStaysAndIsBound(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (name text); CREATE VIEW shop.v WITH (security_invoker = true) AS SELECT name FROM shop.a; GRANT SELECT ON shop.v TO nself_app`)
	protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	server := db.Pool(t, "nself_server")
	ours, theirs := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	for _, team := range []pgtest.Team{ours, theirs} {
		if err := inside(t, db, team.As("member").Setting(), func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO shop.a (name) VALUES ('x')`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	var seen int64
	err := inside(t, db, ours.As("member").Setting(), func(tx pgx.Tx) (err error) {
		seen, err = pg.Scalar[int64](context.Background(), tx, `SELECT count(*) FROM shop.v`, nil)
		return err
	})
	if err != nil || seen != 1 {
		t.Errorf("the view shows %d rows, %v", seen, err)
	}
}

func TestAListThatNamesAMissingColumnIsRefused(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (name text)`)
	declared := isolation.Table{Name: names(t, "shop.a")[0], Grants: isolation.Grants{"nself_app": {"select"}},
		Permissions: []isolation.Permission{{Roles: []string{"tenant_owner"}, Select: []string{"name", "nothere"}}}}
	_, err := isolation.Protect(t.Context(), super, isolation.Request{List: isolation.List{declared}, Names: names(t, "shop.a"), Column: "tenant_id"})
	if err == nil || !strings.Contains(err.Error(), "shop.a is declared with the column nothere, which it has not") {
		t.Errorf("got %v", err)
	}
}

// GraphQL has names of its own: what it cannot have is not promised to Hasura.
func TestNamesThatGraphQLCannotHaveStayOutOfHasura(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (id int, "null" int, "größe" int, "a b" int); CREATE TABLE shop."O'r der" (id int)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a", "shop.O'r der"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	if got := strings.Join(plan.Tables[0].Permissions[0].Select, " "); got != "tenant_id id" {
		t.Errorf("Hasura is given %s", got)
	}
	if len(plan.Tables[1].Permissions) != 0 || !strings.Contains(strings.Join(plan.Notes, "\n"), `shop.O'r der has no name that GraphQL can have`) {
		t.Errorf("permissions %v, notes %q", plan.Tables[1].Permissions, plan.Notes)
	}
}

// Hasura's event triggers need the right to be there.
func TestATableWithAnEventTriggerKeepsIt(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE SCHEMA hdb_catalog; CREATE TABLE shop.a (id int);
		CREATE FUNCTION hdb_catalog.notify() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER notify_hasura_a AFTER INSERT ON shop.a FOR EACH ROW EXECUTE FUNCTION hdb_catalog.notify()`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	if got := strings.Join(plan.Tables[0].Grants["nself_hasura"], " "); got != "select insert update delete trigger" {
		t.Errorf("nself_hasura may %s", got)
	}
}

func TestSequencesTellAndTakeNothing(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (id serial, name text); GRANT ALL ON SEQUENCE shop.a_id_seq TO nself_app, PUBLIC`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	for statement, allowed := range map[string]bool{
		`INSERT INTO shop.a (name) VALUES ('x')`: true, `SELECT last_value FROM shop.a_id_seq`: false, `SELECT setval('shop.a_id_seq', 1)`: false,
	} {
		err := inside(t, db, team.As("member").Setting(), func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), statement)
			return err
		})
		if (err == nil) != allowed {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if !strings.Contains(strings.Join(plan.Notes, "\n"), "shop.a numbers its rows from one sequence for all tenants") {
		t.Errorf("notes %q", plan.Notes)
	}
}

// A table that is dropped and made again under a registered name is a new table; one that
// is gone for good can leave the list.
func TestATableMadeAnewIsProtectedAnewAndOneThatIsGoneForgotten(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY)`)
	request := isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"}
	request.List = request.List.Union(protect(t, super, request).Tables)
	if _, err := isolation.Forget(t.Context(), super, request.Names); err == nil || !strings.Contains(err.Error(), "shop.a still exists") {
		t.Errorf("forgotten while it stands: %v", err)
	}
	execute(t, super, `DROP TABLE shop.a; CREATE TABLE shop.a (id int PRIMARY KEY, tenant_id uuid)`)
	protect(t, super, request)
	agrees(t, super, request.List)

	execute(t, super, `DROP TABLE shop.a`)
	plan, err := isolation.Forget(t.Context(), super, request.Names)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, super, plan.Migration(time.Now()).Up)
	agrees(t, super, ours(t))
	if _, err := isolation.Forget(t.Context(), super, request.Names); err == nil || !strings.Contains(err.Error(), "shop.a is not in the list") {
		t.Errorf("forgotten twice: %v", err)
	}
}

// tracked is the metadata of shop.a with an array of the rows of shop.b that refer to it.
func tracked(role string) *metadata.Metadata {
	on := func(table *metadata.TableName) metadata.RelationshipUsing {
		return metadata.RelationshipUsing{ForeignKeyConstraintOn: &metadata.ForeignKeyOn{Table: table, Columns: []string{"a_id"}}}
	}
	a, b := metadata.TableName{Schema: "shop", Name: "a"}, metadata.TableName{Schema: "shop", Name: "b"}
	return &metadata.Metadata{Tables: []metadata.Table{
		{Table: a, ArrayRelationships: []metadata.Relationship{{Name: "bs", Using: on(&b)}, {Name: "others", Using: metadata.RelationshipUsing{Manual: &metadata.ManualRelationship{RemoteTable: b}}}},
			SelectPermissions: []metadata.Permission[metadata.Select]{{Role: role, Permission: metadata.Select{Columns: metadata.Columns{All: true}}}}},
		{Table: b, ObjectRelationships: []metadata.Relationship{{Name: "a", Using: on(nil)}}},
	}}
}

// Hasura names a relationship's foreign key by its columns, so a reference that becomes
// composite takes its relationships along.
func TestRelationshipsFollowAReferenceThatBecomesComposite(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY); CREATE TABLE shop.b (a_id int REFERENCES shop.a)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a", "shop.b"), Column: "tenant_id"})
	entries, err := plan.Metadata(tracked("user"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []metadata.Relationship{entries[0].ArrayRelationships[0], entries[1].ObjectRelationships[0]} {
		if got := strings.Join(r.Using.ForeignKeyConstraintOn.Columns, " "); got != "tenant_id a_id" {
			t.Errorf("%s goes by %s", r.Name, got)
		}
	}
	again, err := isolation.Protect(t.Context(), super, isolation.Request{List: ours(t).Union(plan.Tables), Names: names(t, "shop.a", "shop.b"), Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	if later, err := again.Metadata(tracked("user")); err != nil || len(later) != 2 || len(later[0].ArrayRelationships) != 2 || len(later[1].ObjectRelationships) != 1 {
		t.Errorf("once the database is done they are left behind: %+v, %v", later, err)
	}
	if done, err := again.Metadata(&metadata.Metadata{Tables: entries}); err != nil || len(done[0].ArrayRelationships) != 0 || len(done[1].ObjectRelationships) != 0 {
		t.Errorf("those that follow are written again: %+v, %v", done, err)
	}
	fragment, err := metadata.Fragment(entries)
	if err != nil || !strings.Contains(string(fragment), `"remote_table"`) {
		t.Errorf("the relationship that did not move is lost: %v\n%s", err, fragment)
	}
}

func TestAPermissionOfARoleThatNoTokenCarriesIsRefused(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY); CREATE TABLE shop.b (a_id int REFERENCES shop.a)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a", "shop.b"), Column: "tenant_id"})
	if _, err := plan.Metadata(tracked("anonymous")); err == nil || !strings.Contains(err.Error(), "shop.a: in Hasura anonymous has a permission, and no token carries that role") {
		t.Errorf("got %v", err)
	}
}

func TestASharedTableNamesNoTenantAndMayHaveRows(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.prices (id int); INSERT INTO shop.prices VALUES (1);
		CREATE TABLE shop.a (tenant_id uuid); CREATE TABLE shop.b (customer uuid REFERENCES tenants.tenants)`)
	var list isolation.List
	for _, name := range names(t, "shop.prices", "shop.a", "shop.b") {
		list = append(list, isolation.Table{Name: name, Rows: isolation.Shared, Grants: isolation.Grants{"nself_app": {"select"}}})
	}
	_, err := isolation.Protect(t.Context(), super, isolation.Request{List: list, Names: names(t, "shop.a", "shop.b"), Column: "tenant_id"})
	for _, table := range []string{"shop.a", "shop.b"} {
		if err == nil || !strings.Contains(err.Error(), table+" is declared shared, and its rows name a tenant") {
			t.Errorf("%s: got %v", table, err)
		}
	}
	protect(t, super, isolation.Request{List: list, Names: names(t, "shop.prices"), Column: "tenant_id"})
}

// A table that is renamed keeps its wall and its rows, and takes its place in the list.
func TestARenamedTableTakesItsNewNameInTheList(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (name text)`)
	protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	if err := inside(t, db, team.As("member").Setting(), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), `INSERT INTO shop.a (name) VALUES ('x')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	execute(t, super, `ALTER TABLE shop.a RENAME TO b`)
	owner := db.Pool(t, "nself_owner")
	plan := protect(t, owner, isolation.Request{List: ours(t), Names: names(t, "shop.b"), Column: "tenant_id"})
	gone, err := isolation.Forget(t.Context(), owner, names(t, "shop.a"))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, owner, gone.Migration(time.Now().Add(time.Second)).Up)
	agrees(t, super, ours(t).Union(plan.Tables))
}

func TestTheTenantsReferenceGetsItsCascade(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.a (tenant_id uuid REFERENCES tenants.tenants ON DELETE SET NULL, at timestamptz);
		CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END';
		CREATE TRIGGER touch BEFORE UPDATE ON shop.a FOR EACH ROW EXECUTE FUNCTION shop.touch()`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	if !strings.Contains(strings.Join(plan.Notes, "\n"), "shop.a has triggers of yours (touch)") {
		t.Errorf("notes %q", plan.Notes)
	}
}

func TestATableTrackedInTheListOfTablesItselfIsNotWrittenTwice(t *testing.T) {
	_, plan := protected(t)
	dir := t.TempDir()
	project(t, dir, map[string]string{"metadata/databases/default/tables/tables.yaml": "- table: {schema: crm, name: deals}\n"})
	if _, err := plan.Files(dir, time.Now()); err == nil || !strings.Contains(err.Error(), "crm.deals stands in this file itself: move it to crm_deals.yaml") {
		t.Errorf("got %v", err)
	}
}

// What a role writes goes into its own tenant, and stays there.
func TestEveryWriteIsPresetAndChecked(t *testing.T) {
	_, plan := protected(t)
	for _, table := range plan.Tables {
		entry := table.Tracked(metadata.Table{})
		if len(entry.InsertPermissions) != 3 || len(entry.UpdatePermissions) != 3 || len(entry.DeletePermissions) != 3 || len(entry.SelectPermissions) != 4 {
			t.Fatalf("%s: %+v", table.Name, entry)
		}
		for _, p := range entry.InsertPermissions {
			if p.Permission.Set["tenant_id"] != "X-Hasura-Tenant-Id" || len(p.Permission.Check) == 0 || p.Permission.Columns.Has("tenant_id") {
				t.Errorf("%s, %s inserts %+v", table.Name, p.Role, p.Permission)
			}
		}
		for _, p := range entry.UpdatePermissions {
			if len(p.Permission.Filter) == 0 || len(p.Permission.Check) == 0 || p.Permission.Columns.Has("tenant_id") {
				t.Errorf("%s, %s updates %+v", table.Name, p.Role, p.Permission)
			}
		}
	}
}

func TestDefinitionsAreReadPastQuotedNames(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop."a(b REFERENCES " (id int CONSTRAINT "p(k" PRIMARY KEY);
		CREATE TABLE shop.c ("x(" int REFERENCES shop."a(b REFERENCES " ON DELETE SET NULL); CREATE UNIQUE INDEX "u(i" ON shop.c ("x(")`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.a(b REFERENCES ", "shop.c"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
}

// Whoever may not see the rows does not find the table empty.
func TestATableWhoseRowsAPolicyHidesIsNotTakenForEmpty(t *testing.T) {
	db := pgtest.Database(t)
	execute(t, db.Superuser(t), `CREATE SCHEMA shop; CREATE TABLE shop.a (id int); INSERT INTO shop.a VALUES (1); GRANT ALL ON SCHEMA shop TO nself_owner;
		ALTER TABLE shop.a OWNER TO nself_owner; ALTER TABLE shop.a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`)
	_, err := isolation.Protect(t.Context(), db.Pool(t, "nself_owner"), isolation.Request{List: ours(t), Names: names(t, "shop.a"), Column: "tenant_id"})
	if err == nil || !strings.Contains(err.Error(), "row-level security policy") {
		t.Errorf("got %v", err)
	}
}

func TestTwoTablesNeverShareAFile(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA a; CREATE SCHEMA a_b; CREATE TABLE a.b_c (id int); CREATE TABLE a_b.c (id int)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "a.b_c", "a_b.c"), Column: "tenant_id"})
	if _, err := plan.Files("", time.Now()); err == nil || !strings.Contains(err.Error(), "a_b_c.yaml") {
		t.Errorf("got %v", err)
	}
}
