package prove

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// broken is one way to lose the wall. Everything else of the set is as it should be.
type broken struct {
	name string
	edit func(t *testing.T, tree fstest.MapFS) // of the metadata
	sql  string                                // of policies and tables, where Postgres would hold what Hasura lets go
	role string                                // tenant_member where empty
	want Kind                                  // the report has to find it by this
	at   string                                // at this root field
}

const crm = tablesDirectory + "crm_"

// member replaces text within one permission of the member.
func memberOf(table, kind, old, changed string) func(*testing.T, fstest.MapFS) {
	return func(t *testing.T, tree fstest.MapFS) {
		t.Helper()
		file := tree[crm+table+".yaml"]
		text := string(file.Data)
		section := strings.Index(text, kind+"_permissions:")
		start := section + strings.Index(text[section:], "- role: tenant_member")
		at := start + strings.Index(text[start:], old)
		if section < 0 || start < section || at < start {
			t.Fatalf("%s of %s does not hold %q", kind, table, old)
		}
		file.Data = []byte(text[:at] + changed + text[at+len(old):])
	}
}

// added appends text to a file of the metadata.
func added(path, more string) func(*testing.T, fstest.MapFS) {
	return func(_ *testing.T, tree fstest.MapFS) {
		if tree[path] == nil {
			tree[path] = &fstest.MapFile{}
		}
		tree[path].Data = append(tree[path].Data, more...)
	}
}

func all(edits ...func(*testing.T, fstest.MapFS)) func(*testing.T, fstest.MapFS) {
	return func(t *testing.T, tree fstest.MapFS) {
		t.Helper()
		for _, edit := range edits {
			edit(t, tree)
		}
	}
}

// filter replaces the member's whole filter.
func filterOf(table, kind, filter string) func(*testing.T, fstest.MapFS) {
	return memberOf(table, kind, "filter: "+tenantFilter, "filter: "+filter)
}

const (
	noRLS = `ALTER TABLE crm.contacts DISABLE ROW LEVEL SECURITY; ALTER TABLE crm.notes DISABLE ROW LEVEL SECURITY; ALTER TABLE crm.deals DISABLE ROW LEVEL SECURITY;`
	// anyTenant lets Hasura's role write rows of any tenant.
	anyTenant = `ALTER POLICY hasura_session ON crm.notes USING (true) WITH CHECK (true);`
	movable   = `DROP TRIGGER tenant_id_is_immutable ON crm.notes;` + noRLS
)

const functionsFile = `
- function: {schema: crm, name: search_contacts}
  configuration: {custom_name: searchContacts}
`

var brokenSets = []broken{
	{name: "select filter missing", edit: filterOf("contacts", "select", "{}"), want: List, at: "crm_contacts"},
	{name: "filter on a column of no tenant", edit: filterOf("contacts", "select", "{name: {_is_null: false}}"), want: List, at: "crm_contacts"},
	{name: "an _or around the filter", edit: filterOf("contacts", "select", "{_or: [{phone: {_is_null: false}}, "+tenantFilter+"]}"), want: Where, at: "crm_contacts"},
	{name: "an _exists that is not correlated", want: ByKey, at: "crm_deals_by_pk",
		edit: filterOf("deals", "select", "{_exists: {_table: {schema: crm, name: contacts}, _where: {tenant_id: {_eq: X-Hasura-Tenant-Id}}}}")},
	{name: "a _not around the filter", edit: filterOf("notes", "select", "{_not: "+tenantFilter+"}"), want: List, at: "crm_notes"},
	{name: "aggregates alone, of every tenant", want: Count, at: "crm_deals_aggregate",
		edit: all(filterOf("deals", "select", "{}"), memberOf("deals", "select", "columns: ["+crmTables["deals"].columns+"]", "columns: [stage]\n      query_root_fields: [select_aggregate]"))},
	{name: "a relationship that leaves the tenant", want: Nested, at: "crm_stages",
		edit: all(filterOf("deals", "select", "{stage_details: {code: {_is_null: false}}}"),
			added(crm+"stages.yaml", "array_relationships: [{name: deals, using: {foreign_key_constraint_on: {column: stage, table: {schema: crm, name: deals}}}}]\n"))},
	{name: "insert without check and preset", sql: noRLS, want: Insert, at: "insert_crm_contacts_one",
		edit: all(memberOf("contacts", "insert", "columns: [", "columns: [tenant_id, "), memberOf("contacts", "insert", "check: "+tenantFilter, "check: {}"),
			memberOf("contacts", "insert", "      set: {tenant_id: x-hasura-Tenant-Id}\n", ""))},
	{name: "insert checked by another column, policy without a check", sql: anyTenant, want: Insert, at: "insert_crm_notes_one",
		edit: all(memberOf("notes", "insert", "columns: [", "columns: [tenant_id, "), memberOf("notes", "insert", "check: "+tenantFilter, "check: {slug: {_is_null: false}}"),
			memberOf("notes", "insert", "      set: {tenant_id: x-hasura-Tenant-Id}\n", ""))},
	{name: "update without check moves a row", sql: movable, want: Move, at: "update_crm_notes",
		edit: all(memberOf("notes", "update", "columns: [", "columns: [tenant_id, "), memberOf("notes", "update", "      check: "+tenantFilter+"\n", ""))},
	{name: "update filter missing", sql: noRLS, want: Update, at: "update_crm_contacts",
		edit: all(filterOf("contacts", "update", "{}"), memberOf("contacts", "update", "check: "+tenantFilter, "check: {}"))},
	{name: "delete filter missing", sql: noRLS, want: Delete, at: "delete_crm_notes", edit: filterOf("notes", "delete", "{}")},
	{name: "upsert over a global unique key", want: Upsert, at: "insert_crm_notes_one",
		sql: noRLS + `ALTER TABLE crm.notes ADD UNIQUE (slug);`, edit: all(filterOf("notes", "update", "{}"), memberOf("notes", "update", "check: "+tenantFilter, "check: {}"))},
	{name: "a global unique key tells", sql: `ALTER TABLE crm.contacts ADD UNIQUE (email);`, want: Insert, at: "insert_crm_contacts_one"},
	{name: "a foreign key of one column", want: Insert, at: "insert_crm_deals_one",
		sql: `ALTER TABLE crm.contacts ADD UNIQUE (id); ALTER TABLE crm.deals DROP CONSTRAINT deals_tenant_id_contact_id_fkey;
			ALTER TABLE crm.deals ADD CONSTRAINT deals_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES crm.contacts (id) ON DELETE CASCADE;`,
		edit: func(t *testing.T, tree fstest.MapFS) {
			t.Helper()
			for _, table := range []string{"contacts", "deals"} {
				file := tree[crm+table+".yaml"]
				text := strings.ReplaceAll(string(file.Data), "{columns: [tenant_id, contact_id], table: ", "{column: contact_id, table: ")
				file.Data = []byte(strings.ReplaceAll(text, "[tenant_id, contact_id]}", "contact_id}"))
			}
		}},
	{name: "a function over a table without a filter", want: Function, at: "searchContacts",
		sql: `CREATE FUNCTION crm.search_contacts(search text) RETURNS SETOF crm.contacts LANGUAGE sql STABLE AS 'SELECT * FROM crm.contacts WHERE email = search OR name = search';`,
		edit: all(filterOf("contacts", "select", "{}"), added("databases/databases.yaml", "  functions: \"!include default/functions/functions.yaml\"\n"),
			added("databases/default/functions/functions.yaml", functionsFile))},
	{name: "a computed field that reads every tenant", want: List, at: "crm_contacts",
		sql: `CREATE FUNCTION crm.everyone(c crm.contacts) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT string_agg(email, '', '') FROM crm.contacts';`,
		edit: all(added(crm+"contacts.yaml", "computed_fields: [{name: everyone, definition: {function: {schema: crm, name: everyone}}}]\n"),
			memberOf("contacts", "select", "columns: [", "computed_fields: [everyone]\n      columns: ["))},
	{name: "a computed figure over every tenant", want: Count, at: "crm_contacts",
		sql: `CREATE FUNCTION crm.how_many(c crm.contacts) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM crm.contacts';`,
		edit: all(added(crm+"contacts.yaml", "computed_fields: [{name: how_many, definition: {function: {schema: crm, name: how_many}}}]\n"),
			memberOf("contacts", "select", "columns: [", "computed_fields: [how_many]\n      columns: ["))},
	{name: "an inherited role that widens", role: "tenant_lead", want: List, at: "crm_contacts",
		edit: func(_ *testing.T, tree fstest.MapFS) {
			tree["inherited_roles.yaml"] = &fstest.MapFile{Data: []byte("- {role_name: tenant_lead, role_set: [tenant_member, auditor]}\n")}
			file := tree[crm+"contacts.yaml"]
			file.Data = []byte(strings.Replace(string(file.Data), "select_permissions:\n", "select_permissions:\n  - {role: auditor, permission: {columns: [id, email], filter: {}}}\n", 1))
		}},
	{name: "an action that tells what is there", edit: actionFiles("type Query { contactExists(contactId: uuid!): Boolean! }", "contactExists"), want: Action, at: "contactExists"},
	{name: "an action whose error names the other's value", want: Action, at: "claimContact",
		edit: actionFiles("type Mutation { claimContact(contactId: uuid!): String }", "claimContact")},
	{name: "a view without a filter", edit: filterOf("open_deals", "select", "{}"), want: List, at: "crm_open_deals"},
	{name: "a nested insert into a table that anyone writes", sql: noRLS + `ALTER TABLE crm.notes DROP CONSTRAINT notes_tenant_id_deal_id_fkey;`, want: NestedInsert, at: "insert_crm_deals_one",
		edit: all(memberOf("notes", "insert", "columns: [", "columns: [tenant_id, "), memberOf("notes", "insert", "check: "+tenantFilter, "check: {}"),
			memberOf("notes", "insert", "      set: {tenant_id: x-hasura-Tenant-Id}\n", ""),
			func(_ *testing.T, tree fstest.MapFS) {
				file := tree[crm+"deals.yaml"]
				file.Data = []byte(strings.Replace(string(file.Data), "foreign_key_constraint_on: {columns: [tenant_id, deal_id], table: {schema: crm, name: notes}}",
					"manual_configuration: {remote_table: {schema: crm, name: notes}, column_mapping: {id: deal_id}}", 1))
			})},
}

func TestEveryBrokenSetIsCaught(t *testing.T) {
	if len(brokenSets) < 20 {
		t.Fatalf("only %d broken sets", len(brokenSets))
	}
	t.Parallel()
	t.Run("in metadata alone", func(t *testing.T) {
		t.Parallel()
		var s *stand
		s = newStand(t, smallTree(t), "", leakyHandler(t, &s).URL)
		for _, set := range brokenSets {
			if set.sql == "" {
				t.Run(set.name, func(t *testing.T) {
					s.replace(t, set.tree(t))
					s.catches(t, set)
				})
			}
		}
	})
	for _, set := range brokenSets {
		if set.sql != "" {
			t.Run(set.name, func(t *testing.T) {
				t.Parallel()
				newStand(t, set.tree(t), set.sql, nowhereElse).catches(t, set)
			})
		}
	}
}

// nowhereElse is where actions are sent that nobody calls.
const nowhereElse = "http://127.0.0.1:1"

func (b broken) tree(t *testing.T) fstest.MapFS {
	t.Helper()
	tree := smallTree(t)
	if b.edit != nil {
		b.edit(t, tree)
	}
	return tree
}

// catches tries every root field, and looks whether the one that leaks is told.
func (s *stand) catches(t *testing.T, set broken) {
	t.Helper()
	report := s.prove(t, set.role)
	caught := slices.ContainsFunc(report.Leaks, func(l Leak) bool { return l.Kind == set.want && l.Field == set.at && l.Query != "" })
	if !caught || report.OK() {
		t.Errorf("not caught by %s at %s; %d attempts; caught by %v\nskipped %v", set.want, set.at, report.Attempts, summary(report), report.Skipped)
	}
	if len(report.Left)+len(report.Faults) > 0 {
		t.Errorf("left %v, faults %v", report.Left, report.Faults)
	}
	if rows := s.everything(t); rows != "" {
		t.Errorf("these rows stayed:\n%s", rows)
	}
}

func summary(r *Report) map[string]int {
	found := map[string]int{}
	for _, leak := range r.Leaks {
		found[string(leak.Kind)+" at "+leak.Field]++
	}
	return found
}

// prove runs as one member of the own tenant against the other's owner.
func (s *stand) prove(t *testing.T, role string, only ...string) *Report {
	t.Helper()
	if role == "" {
		role = "tenant_member"
	}
	token := s.sign(t, map[string]any{"x-hasura-user-id": s.mine.Member.String(), "x-hasura-tenant-id": s.mine.ID.String()}, role)
	report, err := Run(t.Context(), Options{Endpoint: s.url, As: []string{token}, Against: s.token(t, s.theirs, "owner"), Actions: true, Only: only, Shared: []string{"crm_stages"}})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The small set without anything broken leaks nothing, so that what the broken ones leak
// is what was broken.
func TestTheSetThatIsNotBrokenHolds(t *testing.T) {
	t.Parallel()
	s := newStand(t, smallTree(t), "", nowhereElse)
	report := s.prove(t, "")
	if !report.OK() || report.Attempts < 300 || len(report.Skipped) > 0 {
		t.Errorf("%d attempts, leaks %v, skipped %v, left %v, faults %v", report.Attempts, report.Leaks, report.Skipped, report.Left, report.Faults)
	}
}
