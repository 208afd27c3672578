package isolation_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

const crm = `
	CREATE SCHEMA crm;
	CREATE TABLE crm.countries (code text PRIMARY KEY);
	CREATE TABLE crm.contacts (
		id serial PRIMARY KEY,
		email text UNIQUE,
		country text REFERENCES crm.countries,
		name text NOT NULL,
		size integer GENERATED ALWAYS AS (length(name)) STORED
	);
	CREATE UNIQUE INDEX contacts_lower_name ON crm.contacts (lower(name) DESC) WHERE name <> '';
	CREATE TABLE crm.deals (
		id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
		contact_id integer REFERENCES crm.contacts ON DELETE SET NULL,
		parent_id uuid REFERENCES crm.deals ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
		title text NOT NULL
	)`

var (
	contacts = isolation.Name{Schema: "crm", Name: "contacts"}
	deals    = isolation.Name{Schema: "crm", Name: "deals"}
)

// protected is a database with the tables of crm behind the wall.
func protected(t *testing.T) (*pgtest.DB, isolation.Protection) {
	t.Helper()
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, crm)
	plan, err := isolation.Protect(t.Context(), super, isolation.Request{List: ours(t), Names: []isolation.Name{contacts, deals}, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, super, plan.Migration(time.Now()).Up)
	return db, plan
}

func execute(t *testing.T, db pg.DB, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

func TestProtectedTablesDifferInNothingFromTheList(t *testing.T) {
	db, plan := protected(t)
	found, err := ours(t).Union(plan.Tables).Differences(t.Context(), db.Pool(t, "nself_owner"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
}

func TestProtectMakesKeysAndReferencesComposite(t *testing.T) {
	db, _ := protected(t)
	const definitionsSQL = `SELECT conname || ': ' || pg_get_constraintdef(oid) AS line FROM pg_constraint
		WHERE contype <> 'n' AND conrelid IN ('crm.contacts'::regclass, 'crm.deals'::regclass)
		UNION SELECT indexrelid::regclass::text || ': ' || pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid::regclass::text = 'crm.contacts_lower_name'
		ORDER BY 1`
	type row struct{ Line string }
	rows, err := pg.All[row](t.Context(), db.Superuser(t), definitionsSQL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Line)
	}
	want := []string{
		"contacts_country_fkey: FOREIGN KEY (country) REFERENCES crm.countries(code)",
		"contacts_email_key: UNIQUE (tenant_id, email)",
		"contacts_pkey: PRIMARY KEY (tenant_id, id)",
		"contacts_tenant_id_fkey: FOREIGN KEY (tenant_id) REFERENCES tenants.tenants(id) ON DELETE CASCADE",
		"crm.contacts_lower_name: CREATE UNIQUE INDEX contacts_lower_name ON crm.contacts USING btree (tenant_id, lower(name) DESC) WHERE (name <> ''::text)",
		"deals_contact_id_fkey: FOREIGN KEY (tenant_id, contact_id) REFERENCES crm.contacts(tenant_id, id) ON DELETE SET NULL (contact_id)",
		"deals_parent_id_fkey: FOREIGN KEY (tenant_id, parent_id) REFERENCES crm.deals(tenant_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
		"deals_pkey: PRIMARY KEY (tenant_id, id)",
		"deals_tenant_id_fkey: FOREIGN KEY (tenant_id) REFERENCES tenants.tenants(id) ON DELETE CASCADE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestProtectAgainChangesNothing(t *testing.T) {
	db, first := protected(t)
	super := db.Superuser(t)
	again, err := isolation.Protect(t.Context(), super, isolation.Request{List: ours(t).Union(first.Tables), Names: []isolation.Name{contacts, deals}, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Handover) > 0 || strings.Contains(strings.Join(again.Statements, ";"), "CONSTRAINT") {
		t.Errorf("keys or owners would change: %v %v", again.Handover, again.Statements)
	}
	execute(t, super, again.Migration(time.Now()).Up)
	found, err := ours(t).Union(first.Tables).Differences(t.Context(), super, nil)
	if err != nil || len(found) > 0 {
		t.Errorf("differences %v, %v", found, err)
	}
}

// inside runs work as nself_app under a tenant's session.
func inside(t *testing.T, db *pgtest.DB, session string, work func(tx pgx.Tx) error) error {
	t.Helper()
	return pg.InTx(context.Background(), db.Pool(t, "nself_app"), func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.Background(), `SELECT set_config('hasura.user', $1, true)`, session); err != nil {
			return err
		}
		return work(tx)
	})
}

func TestAServiceWritesRowsOfItsTenantWithoutNamingIt(t *testing.T) {
	db, _ := protected(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	err := inside(t, db, team.As("member").Setting(), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), `INSERT INTO crm.contacts (name) VALUES ('Ada')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	owner, err := pg.Scalar[string](t.Context(), db.Superuser(t), `SELECT tenant_id::text FROM crm.contacts`, nil)
	if err != nil || owner != team.ID.String() {
		t.Errorf("the row is of %q, %v", owner, err)
	}
}

// A partition is a table of its own: whoever could name it would come past the policies.
func TestPartitionsAreReachedThroughTheirTableAlone(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, `
		SET ROLE nself_hasura; -- as Hasura's console does
		CREATE SCHEMA shop;
		CREATE TABLE shop.sales (id bigserial, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
		CREATE TABLE shop.early PARTITION OF shop.sales FOR VALUES FROM (minvalue) TO ('2026-01-01') PARTITION BY RANGE (at);
		CREATE TABLE shop.earliest PARTITION OF shop.early FOR VALUES FROM (minvalue) TO ('2025-01-01');
		GRANT SELECT ON shop.earliest TO nself_app;
		RESET ROLE`)
	owner := db.Pool(t, "nself_owner")
	plan, err := isolation.Protect(t.Context(), owner, isolation.Request{List: ours(t), Names: []isolation.Name{{Schema: "shop", Name: "sales"}}, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, owner, plan.Migration(time.Now()).Up)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	read := func(table string) error {
		return inside(t, db, team.As("member").Setting(), func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO shop.sales (at) VALUES ('2024-05-05')`)
			if err == nil {
				_, err = tx.Exec(context.Background(), "TABLE "+table)
			}
			return err
		})
	}
	if err := read("shop.sales"); err != nil {
		t.Error(err)
	}
	for _, partition := range []string{"shop.early", "shop.earliest"} {
		if err := read(partition); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", partition, err)
		}
		owned, err := pg.Scalar[string](t.Context(), super, "SELECT pg_get_userbyid(relowner) || ' ' || relforcerowsecurity FROM pg_class WHERE oid = '"+partition+"'::regclass", nil)
		if err != nil || owned != "nself_owner true" {
			t.Errorf("%s is %s, %v", partition, owned, err)
		}
	}
}

// protect plans and runs the migration.
func protect(t *testing.T, db pg.DB, r isolation.Request) isolation.Protection {
	t.Helper()
	plan, err := isolation.Protect(t.Context(), db, r)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, plan.Migration(time.Now()).Up)
	return plan
}

func names(t *testing.T, list ...string) []isolation.Name {
	t.Helper()
	all := make([]isolation.Name, len(list))
	for i, text := range list {
		if err := all[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func agrees(t *testing.T, db pg.DB, list isolation.List) {
	t.Helper()
	found, err := list.Differences(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
}

func TestPartitionedTablesKeepTheirKeysAndReferences(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `
		CREATE SCHEMA shop;
		CREATE TABLE shop.items (id int PRIMARY KEY);
		CREATE TABLE shop.sales (at date NOT NULL, item int REFERENCES shop.items) PARTITION BY RANGE (at);
		CREATE TABLE shop.early PARTITION OF shop.sales FOR VALUES FROM (minvalue) TO ('2026-01-01');
		CREATE UNIQUE INDEX once ON shop.sales (at, item)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.items", "shop.sales"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	const keysSQL = `SELECT string_agg(indexrelid::regclass || ' ' || indisvalid || ' ' || pg_get_indexdef(indexrelid), '; ' ORDER BY indexrelid::regclass::text)
		FROM pg_index WHERE indrelid IN ('shop.sales'::regclass, 'shop.early'::regclass) AND indisunique`
	got, err := pg.Scalar[string](t.Context(), super, keysSQL, nil)
	want := "shop.early_tenant_id_at_item_idx true CREATE UNIQUE INDEX early_tenant_id_at_item_idx ON shop.early USING btree (tenant_id, at, item); " +
		"shop.once true CREATE UNIQUE INDEX once ON ONLY shop.sales USING btree (tenant_id, at, item)"
	if err != nil || got != want {
		t.Errorf("keys %s, %v", got, err)
	}
}

func TestATableOfKeysAloneAgreesWithItsOwnDeclaration(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.tags (id uuid PRIMARY KEY)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.tags"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	dir := t.TempDir()
	files, err := plan.Files(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := isolation.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	declared, err := isolation.ListIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, super, ours(t).Union(declared))
}

// Policies and grants add up: what a narrower declaration does not have must go.
func TestANarrowerDeclarationTakesTheWiderWallDown(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.notes (id serial, body text)`)
	request := isolation.Request{List: ours(t), Names: names(t, "shop.notes"), Column: "tenant_id"}
	plan := protect(t, super, request)
	execute(t, super, `CREATE POLICY stray ON shop.notes USING (true)`)
	narrow := plan.Tables[0]
	narrow.Policies = []isolation.Policy{{Name: "readers", For: "select", To: []string{"nself_app"}, Using: isolation.ActiveTenant}}
	narrow.Grants = isolation.Grants{"nself_app": {"select"}}
	request.List = ours(t).Union(isolation.List{narrow})
	protect(t, super, request)
	agrees(t, super, request.List)
	draws, err := pg.Scalar[bool](t.Context(), super, `SELECT has_sequence_privilege('nself_app', 'shop.notes_id_seq', 'USAGE')`, nil)
	if err != nil || draws {
		t.Errorf("who inserts no more still draws numbers: %t, %v", draws, err)
	}
}

func TestThePlanNamesEverySchemaWhateverTheSearchPath(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, crm)
	tx, err := super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	execute(t, tx, `SET LOCAL search_path = crm, tenants, auth`)
	agreesBefore, err := ours(t).Differences(t.Context(), tx, nil)
	if err != nil || len(agreesBefore) > 0 {
		t.Errorf("differences %v, %v", agreesBefore, err)
	}
	plan, err := isolation.Protect(t.Context(), tx, isolation.Request{List: ours(t), Names: []isolation.Name{contacts, deals}, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(plan.Statements, ";\n")
	for _, want := range []string{"REFERENCES crm.contacts(", "REFERENCES crm.deals(", "SEQUENCE crm.contacts_id_seq"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
	if path, err := pg.Scalar[string](t.Context(), tx, "SHOW search_path", nil); err != nil || path != "crm, tenants, auth" {
		t.Errorf("the search path is %s now, %v", path, err)
	}
}

func TestProtectTellsWhatAPersonHasToLookAt(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.visits (
		tenant_id uuid DEFAULT gen_random_uuid(), session_id uuid REFERENCES auth.sessions, partner uuid REFERENCES tenants.tenants, who uuid REFERENCES auth.users)`)
	plan := protect(t, super, isolation.Request{List: ours(t), Names: names(t, "shop.visits"), Column: "tenant_id"})
	agrees(t, super, ours(t).Union(plan.Tables))
	notes := strings.Join(plan.Notes, "\n")
	for _, want := range []string{"refers to auth.sessions by visits_session_id_fkey, whose key holds across tenants", "refers to a tenant beside its own by visits_partner_fkey", "refers to people by visits_who_fkey"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in:\n%s", want, notes)
		}
	}
	given, err := pg.Scalar[string](t.Context(), super, `SELECT column_default FROM information_schema.columns WHERE table_name = 'visits' AND column_name = 'tenant_id'`, nil)
	if err != nil || given != "tenants.current_tenant_id()" {
		t.Errorf("the tenant is %s by default, %v", given, err)
	}
}

// A table that declares rows of no tenant can go on holding them, and none of them gets a
// tenant because of who happened to write it.
func TestProtectLeavesADeclaredNullableTenantNullable(t *testing.T) {
	super := pgtest.Database(t).Superuser(t)
	execute(t, super, `CREATE SCHEMA shop; CREATE TABLE shop.templates (tenant_id uuid, id int); CREATE TABLE shop.notes (tenant_id uuid DEFAULT gen_random_uuid(), id int)`)
	declared, err := isolation.Parse([]byte(`
tables:
  - {table: shop.templates, nullable: one for all tenants, grants: {nself_app: [select, insert]}}
  - {table: shop.notes, nullable: one for all tenants, grants: {nself_app: [select, insert]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	list := ours(t).Union(declared)
	protect(t, super, isolation.Request{List: list, Names: names(t, "shop.templates", "shop.notes"), Column: "tenant_id"})
	agrees(t, super, list)
	team := pgtest.NewTeam(t, super)
	execute(t, super, `SELECT set_config('hasura.user', '{"x-hasura-tenant-id":"`+team.ID.String()+`"}', true);
		INSERT INTO shop.templates (id) VALUES (1); INSERT INTO shop.notes (id) VALUES (1)`)
	const ofNoTenantAllTenantsSQL = `SELECT (SELECT count(*) FROM shop.templates WHERE tenant_id IS NULL) + (SELECT count(*) FROM shop.notes WHERE tenant_id IS NULL)`
	if rows, err := pg.Scalar[int](t.Context(), super, ofNoTenantAllTenantsSQL, nil); err != nil || rows != 2 {
		t.Errorf("%d of 2 rows are of no tenant, %v", rows, err)
	}
}

func TestProtectSaysEverythingThatStandsAgainstIt(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, crm+`;
		CREATE VIEW crm.people AS SELECT * FROM crm.contacts;
		INSERT INTO crm.countries VALUES ('de');
		CREATE TABLE crm.rooms (tenant_id text, PRIMARY KEY (tenant_id));
		CREATE TABLE crm.open (id int);
		CREATE POLICY mine ON crm.open USING (true);
		CREATE TABLE crm.parts (id int) PARTITION BY LIST (id);
		CREATE TABLE crm.part PARTITION OF crm.parts FOR VALUES IN (1);
		CREATE TABLE crm.bookings (room int, EXCLUDE USING btree (room WITH =))`)
	var names []isolation.Name
	for _, table := range []string{"nothing", "people", "countries", "rooms", "open", "part", "bookings"} {
		names = append(names, isolation.Name{Schema: "crm", Name: table})
	}
	_, err := isolation.Protect(t.Context(), super, isolation.Request{List: ours(t), Names: names, Column: "tenant_id"})
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"crm.nothing does not exist", "crm.people is no table", "crm.countries has rows", "crm.rooms has a tenant column of type text",
		"crm.open has policies of its own (mine)", "crm.part is a partition", "crm.bookings has the exclusion constraint bookings_room_excl"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in:\n%v", want, err)
		}
	}
}

func TestProtectRefusesATableThatOthersWithoutAWallReferTo(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	execute(t, super, crm)
	_, err := isolation.Protect(t.Context(), super, isolation.Request{List: ours(t), Names: []isolation.Name{contacts}, Column: "tenant_id"})
	if err == nil || !strings.Contains(err.Error(), "crm.deals refers to crm.contacts by deals_contact_id_fkey and has no wall: protect both at once") {
		t.Errorf("got %v", err)
	}
}
