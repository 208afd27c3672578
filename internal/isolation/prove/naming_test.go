package prove

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// camelCase is what Hasura tells of two tables under its naming convention graphql-default,
// in an installation whose tenants are numbered.
const camelCase = `
scalar uuid
enum OrderBy { ASC ASC_NULLS_FIRST ASC_NULLS_LAST DESC DESC_NULLS_FIRST DESC_NULLS_LAST }
input IntComparisonExp { _eq: Int _in: [Int!] _isNull: Boolean }
input UuidComparisonExp { _eq: uuid _in: [uuid!] _isNull: Boolean }
input StringComparisonExp { _eq: String _in: [String!] _like: String _isNull: Boolean }

type Contacts { tenantId: Int! id: uuid! email: String! deals(distinctOn: [DealsSelectColumn!], limit: Int, offset: Int, orderBy: [DealsOrderBy!], where: DealsBoolExp): [Deals!]! }
type ContactsAggregate { aggregate: ContactsAggregateFields nodes: [Contacts!]! }
type ContactsAggregateFields { count(columns: [ContactsSelectColumn!], distinct: Boolean): Int! max: ContactsMaxFields }
type ContactsMaxFields { email: String tenantId: Int }
type ContactsMutationResponse { affectedRows: Int! returning: [Contacts!]! }
input ContactsBoolExp { _and: [ContactsBoolExp!] _not: ContactsBoolExp _or: [ContactsBoolExp!] tenantId: IntComparisonExp id: UuidComparisonExp email: StringComparisonExp deals: DealsBoolExp dealsAggregate: DealsAggregateBoolExp }
input ContactsInsertInput { tenantId: Int id: uuid email: String deals: DealsArrRelInsertInput }
input ContactsOnConflict { constraint: ContactsConstraint! updateColumns: [ContactsUpdateColumn!]! = [] where: ContactsBoolExp }
input ContactsOrderBy { tenantId: OrderBy id: OrderBy email: OrderBy dealsAggregate: DealsAggregateOrderBy }
input ContactsPkColumnsInput { tenantId: Int! id: uuid! }
input ContactsSetInput { email: String }
input ContactsUpdates { _set: ContactsSetInput where: ContactsBoolExp! }
enum ContactsConstraint { CONTACTS_PKEY }
enum ContactsSelectColumn { EMAIL ID TENANT_ID }
enum ContactsUpdateColumn { EMAIL }

type Deals { tenantId: Int! id: uuid! contactId: uuid! contact: Contacts }
input DealsBoolExp { _and: [DealsBoolExp!] _not: DealsBoolExp _or: [DealsBoolExp!] tenantId: IntComparisonExp id: UuidComparisonExp contact: ContactsBoolExp }
input DealsAggregateBoolExp { count: DealsAggregateBoolExpCount }
input DealsAggregateBoolExpCount { filter: DealsBoolExp predicate: IntComparisonExp! }
input DealsInsertInput { id: uuid contactId: uuid }
input DealsArrRelInsertInput { data: [DealsInsertInput!]! }
input DealsOrderBy { id: OrderBy contact: ContactsOrderBy }
input DealsAggregateOrderBy { count: OrderBy }
enum DealsSelectColumn { ID }

type QueryRoot {
  contacts(distinctOn: [ContactsSelectColumn!], limit: Int, offset: Int, orderBy: [ContactsOrderBy!], where: ContactsBoolExp): [Contacts!]!
  contactsAggregate(limit: Int, where: ContactsBoolExp): ContactsAggregate!
  contactsByPk(tenantId: Int!, id: uuid!): Contacts
  deals(distinctOn: [DealsSelectColumn!], limit: Int, orderBy: [DealsOrderBy!], where: DealsBoolExp): [Deals!]!
  tenantStats(tenantId: Int!): Int
}
type MutationRoot {
  insertContacts(objects: [ContactsInsertInput!]!, onConflict: ContactsOnConflict): ContactsMutationResponse
  insertContactsOne(object: ContactsInsertInput!, onConflict: ContactsOnConflict): Contacts
  updateContacts(_set: ContactsSetInput, where: ContactsBoolExp!): ContactsMutationResponse
  updateContactsByPk(_set: ContactsSetInput, pkColumns: ContactsPkColumnsInput!): Contacts
  updateContactsMany(updates: [ContactsUpdates!]!): [ContactsMutationResponse]
  deleteContacts(where: ContactsBoolExp!): ContactsMutationResponse
  deleteContactsByPk(tenantId: Int!, id: uuid!): Contacts
  archiveContacts: Contacts
  mergeContacts(limit: Int, where: ContactsBoolExp): [Contacts!]!
  suspendTenant(tenantId: Int!): Boolean
}
schema { query: QueryRoot mutation: MutationRoot }`

// told answers introspection as an endpoint with that schema would.
func told(schema *ast.Schema) map[string]any {
	var types []any
	for _, d := range schema.Types {
		one := map[string]any{"kind": d.Kind, "name": d.Name}
		var fields, inputs, values []any
		for _, f := range d.Fields {
			in := map[string]any{"name": f.Name, "type": reference(schema, f.Type), "defaultValue": nil}
			if f.DefaultValue != nil {
				in["defaultValue"] = f.DefaultValue.String()
			}
			var args []any
			for _, a := range f.Arguments {
				args = append(args, map[string]any{"name": a.Name, "type": reference(schema, a.Type)})
			}
			in["args"] = args
			if d.Kind == ast.InputObject {
				inputs = append(inputs, in)
			} else {
				fields = append(fields, in)
			}
		}
		for _, v := range d.EnumValues {
			values = append(values, map[string]any{"name": v.Name})
		}
		one["fields"], one["inputFields"], one["enumValues"] = fields, inputs, values
		types = append(types, one)
	}
	return map[string]any{"data": map[string]any{"__schema": map[string]any{
		"queryType": map[string]any{"name": schema.Query.Name}, "mutationType": map[string]any{"name": schema.Mutation.Name}, "types": types,
	}}}
}

func reference(schema *ast.Schema, t *ast.Type) map[string]any {
	switch {
	case t.NonNull:
		inner := *t
		inner.NonNull = false
		return map[string]any{"kind": "NON_NULL", "ofType": reference(schema, &inner)}
	case t.Elem != nil:
		return map[string]any{"kind": "LIST", "ofType": reference(schema, t.Elem)}
	}
	return map[string]any{"kind": schema.Types[t.NamedType].Kind, "name": t.NamedType}
}

// numbered is a caller of a tenant whose number its token tells, who has learned camelCase.
func numbered(t *testing.T, tenant string) *caller {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: camelCase})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(told(schema)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	asks, err := newClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{name: "member", client: asks, claims: claims{session: map[string]string{"x-hasura-tenant-id": tenant}}}
	if err := c.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func names(fields ...*field) string {
	var list []string
	for _, f := range fields {
		if f == nil {
			list = append(list, "-")
		} else {
			list = append(list, f.Name)
		}
	}
	return strings.Join(list, " ")
}

func TestRootFieldsAreKnownByTheirShapeUnderEveryNamingConvention(t *testing.T) {
	t.Parallel()
	c := numbered(t, "7")
	contacts, deals := c.table("Contacts"), c.table("Deals")
	if contacts == nil || deals == nil || len(c.tables) != 2 {
		t.Fatalf("%d tables", len(c.tables))
	}
	got := []string{
		names(contacts.lists...), names(contacts.aggregates...), names(contacts.byPK), names(contacts.insert, contacts.insertOne),
		names(contacts.update, contacts.updateByPK, contacts.updateMany), names(contacts.delete, contacts.deleteByPK),
		names(contacts.functionMutations...), names(contacts.columns...), names(contacts.relationships...), strings.Join(contacts.key, " "),
		names(deals.lists...), names(deals.relationships...), names(deals.insertField()),
		conflictArgument(contacts.insertOne), updateColumns(c.schema.types["ContactsOnConflict"]),
	}
	want := []string{
		"contacts", "contactsAggregate", "contactsByPk", "insertContacts insertContactsOne",
		"updateContacts updateContactsByPk updateContactsMany", "deleteContacts deleteContactsByPk",
		"archiveContacts mergeContacts", "tenantId id email", "deals", "tenantId id",
		"deals", "contact", "-", "onConflict", "updateColumns",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var actions []string
	for _, action := range c.actions {
		actions = append(actions, action.field.Name)
	}
	if diff := cmp.Diff([]string{"suspendTenant", "tenantStats"}, actions); diff != "" {
		t.Error(diff)
	}
}

// reaching is an explorer of tenant 7 that reaches for tenant 8, with a contact planted on
// both sides and a deal that the other one had. It collects what it would try.
func reaching(t *testing.T, tried map[Kind][]request) *explorer {
	t.Helper()
	mine, theirs := &side{callers: []*caller{numbered(t, "7")}}, &side{callers: []*caller{numbered(t, "8")}}
	for s, email := range map[*side]string{mine: "prv00000000000a@prove.invalid", theirs: "prv00000000000b@prove.invalid"} {
		planted := row{"tenantId": json.Number("7"), "id": "8f14e45f-ceea-467f-a8f1-0a1f5b6d2c11", "email": email}
		if s == theirs {
			planted["tenantId"], planted["id"] = json.Number("8"), "c9f0f895-fb98-4b91-a1d5-7a1a36c2b5e0"
		}
		s.planted = map[string]*plant{"Contacts": {table: "Contacts", by: s.callers[0], object: planted, row: planted, fresh: []string{"email"}}}
	}
	w := &world{mine: mine, theirs: theirs, marks: map[string]string{}, rows: map[string][]row{}, common: map[string]bool{}}
	w.remember("Contacts", theirs.planted["Contacts"].row)
	w.rows["Deals"] = []row{{"tenantId": json.Number("8"), "id": "1679091c-5a88-4faf-8fb5-e6087eb1b2dc"}}
	w.remember("Deals", w.rows["Deals"][0])
	return &explorer{
		caller: mine.callers[0], world: w, actsToo: true,
		try:  func(a attempt) { tried[a.kind] = append(tried[a.kind], a.theirs) },
		skip: func(Kind, string, string) {},
	}
}

func TestEveryKindIsTriedUnderCamelCaseNamesAndNumberedTenants(t *testing.T) {
	t.Parallel()
	tried := map[Kind][]request{}
	x := reaching(t, tried)
	x.reads()
	x.writes()
	for _, kind := range []Kind{List, Order, Where, ByKey, Aggregate, Nested, Insert, Upsert, Update, Delete, Action} {
		if len(tried[kind]) == 0 {
			t.Errorf("no attempt of kind %s", kind)
		}
	}
	holds := func(kind Kind, document, variables string) {
		t.Helper()
		for _, sent := range tried[kind] {
			text, err := json.Marshal(sent.Variables)
			if err == nil && strings.Contains(sent.Document, document) && strings.Contains(string(text), variables) {
				return
			}
		}
		t.Errorf("no attempt of kind %s holds %s with %s: %v", kind, document, variables, tried[kind])
	}
	for kind, list := range tried {
		for _, sent := range list {
			if text, err := json.Marshal(sent.Variables); err != nil || strings.Contains(string(text), "_is_null") {
				t.Errorf("%s: %s", kind, text)
			}
		}
	}
	holds(Where, "contacts(", `"_isNull":false`)
	holds(Where, "contacts(", `"dealsAggregate":{"count"`)
	holds(ByKey, "contactsByPk(id: $id, tenantId: $tenantId)", `"tenantId":8`)
	holds(Order, "orderBy: $orderBy", `{"deals`)
	holds(List, "distinctOn: $distinctOn", "EMAIL")
	holds(Insert, "insertContactsOne(object: $object)", `"tenantId":8`)
	holds(Upsert, "onConflict: $onConflict", `"updateColumns":["EMAIL"]`)
	holds(Update, "pkColumns: $pkColumns", `"tenantId":8`)
	holds(Delete, "deleteContactsByPk", `"tenantId":8`)
	holds(Action, "suspendTenant(tenantId: $tenantId)", `"tenantId":8`)
	holds(Action, "tenantStats(tenantId: $tenantId)", `"tenantId":8`)
}

func TestANumberOfTheOtherTenantIsKnownByItsName(t *testing.T) {
	t.Parallel()
	w := reaching(t, map[Kind][]request{}).world
	for text, want := range map[string]string{
		`{"data":{"contacts":[{"tenantId":8}]}}`: "the other tenant's tenantId",
		`{"data":{"contacts":[{"tenantId":7}]}}`: "",
		`{"data":{"contacts":[{"size":8}]}}`:     "",
	} {
		got, err := decode("", http.StatusOK, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if found := w.shown(attempt{}, request{}, got); found != want {
			t.Errorf("%s: %q", text, found)
		}
	}
}

func TestAPlantedRowHoldsItsTenantsNumberAsANumber(t *testing.T) {
	t.Parallel()
	c := numbered(t, "7")
	contacts := c.table("Contacts")
	work := &planting{
		side: &side{callers: []*caller{c}}, caller: c, table: contacts, field: contacts.insertOne, input: c.schema.types["ContactsInsertInput"],
		fresh: map[string]bool{}, tried: map[string]int{}, points: map[string]string{},
	}
	work.begin()
	if text, err := json.Marshal(work.object); err != nil || !strings.Contains(string(text), `"tenantId":7`) {
		t.Errorf("%s, %v", text, err)
	}
}
