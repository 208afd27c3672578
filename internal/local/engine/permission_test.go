package engine_test

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// filters are permission filters on tenants, each with the slugs it admits for a
// caller whose variables are those of TestEveryFormOfFilter.
var filters = []struct{ filter, want string }{
	{`{}`, "acme techco"},
	{`{slug: acme}`, "acme"},
	{`{slug: X-Hasura-Slug}`, "techco"},
	{`{slug: {_in: [acme, X-Hasura-Slug]}}`, "acme techco"},
	{`{slug: {_nin: [acme, X-Hasura-None]}}`, "techco"},
	{`{seats: {_in: X-Hasura-Numbers}}`, "techco"},
	{`{seats: {_nin: X-Hasura-Numbers}}`, "acme"},
	{`{seats: {_gt: 2, _lte: 5}}`, "acme"},
	{`{secret: {_eq: null}}`, "techco"},
	{`{secret: {_neq: null}}`, "acme"},
	{`{secret: {_neq: top}}`, "techco"}, // null is different, as in Hasura's filters
	{`{secret: {_is_null: true}}`, "techco"},
	{`{secret: {_is_null: X-Hasura-Yes}}`, "techco"},
	{`{name: {_ceq: slug}}`, ""},
	{`{seats: {_cgt: rank}}`, "acme"},
	{`{members: {tenant_id: {_ceq: [$, id]}, role: {_eq: member}}}`, "acme"},
	{`{settings: {_has_key: X-Hasura-Key}}`, "acme"},
	{`{settings: {_has_keys_any: X-Hasura-Keys}}`, "acme"},
	{`{settings: {_has_keys_all: [plan, none]}}`, ""},
	{`{settings: {_contains: {plan: pro}}}`, "acme"},
	{`{tags: {_contains: [red]}}`, "acme"},
	{`{tags: {_contained_in: "{red,x}"}}`, "techco"},
	{`{slug: {_nlike: "a%"}}`, "techco"},
	{`{slug: {_similar: "(acme|x)"}}`, "acme"},
	{`{_or: []}`, ""},
	{`{_not: {_or: [{slug: {_eq: acme}}, {seats: {_eq: 7}}]}}`, "techco"},
	{`{_and: [{status: {_eq: active}}, {seats: {_lt: 5}}]}`, "techco"},
	{`{_exists: {_table: announcements, _where: {id: {_eq: 1}}}}`, "acme techco"},
	{`{_exists: {_table: {schema: app, name: members}, _where: {tenant_id: {_ceq: [$, id]}, role: {_eq: member}}}}`, "acme"},
	{`{created_at: {_gte: "2026-01-03"}}`, "techco"},
	{`{notes: {author: {role: {_eq: member}}}}`, "acme"},
}

func TestEveryFormOfFilter(t *testing.T) {
	var permissions strings.Builder
	for i, f := range filters {
		fmt.Fprintf(&permissions, "  - {role: r%d, permission: {columns: [slug], filter: %s}}\n", i, f.filter)
	}
	base, err := fsRead(tables + "app_tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(base, "select_permissions:\n", "select_permissions:\n"+permissions.String(), 1)
	s := newStand(t, options{tree: edited(t, map[string]string{tables + "app_tenants.yaml": text})})
	if status, body := s.get(t, "/healthz?strict=true"); status != 200 {
		_, listed := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`)
		t.Fatalf("%s: %s", body, listed)
	}
	for i, f := range filters {
		header := asAdmin("X-Hasura-Role", fmt.Sprintf("r%d", i), "X-Hasura-Slug", "techco", "X-Hasura-None", "none", "X-Hasura-Numbers", "{1,2}",
			"X-Hasura-Yes", "true", "X-Hasura-Key", "plan", "X-Hasura-Keys", "{plan,none}")
		var rows []string
		for _, slug := range strings.Fields(f.want) {
			rows = append(rows, `{"slug":"`+slug+`"}`)
		}
		sort.Strings(rows)
		t.Run(f.filter, func(t *testing.T) {
			s.data(t, header, `{ tenants(order_by: {slug: asc}) { slug } }`, `{"tenants":[`+strings.Join(rows, ",")+`]}`)
		})
	}
}

// guarded is a permission that asks whether the caller stands: as a member, and along a
// relationship by a key of two columns for something of the member's own.
const guarded = `  - role: guarded
    permission:
      columns: [id, title]
      filter:
        _and:
          - tenant_id: {_eq: X-Hasura-Tenant-Id}
          - _exists:
              _table: {schema: app, name: members}
              _where: {tenant_id: {_eq: X-Hasura-Tenant-Id}, user_id: {_eq: X-Hasura-User-Id}, written: {title: {_eq: X-Hasura-Session-Id}, body: {_is_null: true}}}
      allow_aggregations: true
`

func TestGuardAlongAKeyOfTwoColumns(t *testing.T) {
	notes, members := tables+"app_notes.yaml", tables+"app_members.yaml"
	files := map[string]string{}
	for path, change := range map[string][2]string{
		notes: {"select_permissions:\n", "select_permissions:\n" + guarded},
		members: {"select_permissions:\n", "array_relationships:\n  - name: written\n    using:\n      foreign_key_constraint_on:\n" +
			"        columns: [tenant_id, author_id]\n        table: {schema: app, name: notes}\nselect_permissions:\n"},
	} {
		base, err := fsRead(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = strings.Replace(base, change[0], change[1], 1)
	}
	s := newStand(t, options{tree: edited(t, files)})
	as := func(tenant, user, session string) http.Header {
		return asAdmin("X-Hasura-Role", "guarded", "X-Hasura-Tenant-Id", tenant, "X-Hasura-User-Id", user, "X-Hasura-Session-Id", session)
	}
	const ask = `{ notes(order_by: {id: asc}) { title } notes_aggregate { aggregate { count } } }`
	const nothing = `{"notes":[],"notes_aggregate":{"aggregate":{"count":0}}}`
	s.data(t, as(acme, ben, "beta"), ask, `{"notes":[{"title":"alpha"},{"title":"beta"},{"title":"gamma"}],"notes_aggregate":{"aggregate":{"count":3}}}`)
	s.data(t, as(acme, anna, "beta"), ask, nothing)   // it is another member's
	s.data(t, as(acme, anna, "alpha"), ask, nothing)  // its body is not null
	s.data(t, as(techco, ben, "beta"), ask, nothing)  // he is no member there
	s.data(t, as(acme, ben, "delta"), ask, nothing)   // it is another tenant's
	s.data(t, as(acme, ben, "nothing"), ask, nothing) // there is none
	unnamed := asAdmin("X-Hasura-Role", "guarded", "X-Hasura-Tenant-Id", acme, "X-Hasura-User-Id", ben)
	s.fails(t, unnamed, ask, qerr.NotFound, `missing session variable: "x-hasura-session-id"`)
}

func TestDevModeTellsEveryone(t *testing.T) {
	s := newStand(t, options{change: func(c *engine.Config) { c.DevMode = true }})
	s.hook.answer(500, `{"reason": "told"}`)
	got := s.fails(t, s.as(t, "member", acme, anna), `{ now }`, qerr.Unexpected, "internal error")
	if !strings.Contains(fmt.Sprint(got.Errors[0].Extensions["internal"]), "told") {
		t.Errorf("extensions = %v", got.Errors[0].Extensions)
	}
}

func TestListsFitArrayColumns(t *testing.T) {
	s := newStand(t, options{})
	for given, want := range map[string]string{
		`["a", "b\"c", "d,e", "{}", "\\", null, ""]`: `["a","b\"c","d,e","{}","\\",null,""]`,
		`"{x,\"y z\"}"`: `["x","y z"]`,
		`[]`:            `[]`,
	} {
		s.data(t, asAdmin(), `mutation { update_tenants_by_pk(pk_columns: {id: "`+acme+`"}, _set: {tags: `+given+`}) { tags } }`,
			`{"update_tenants_by_pk":{"tags":`+want+`}}`)
	}
	s.fails(t, asAdmin(), `mutation { update_tenants_by_pk(pk_columns: {id: "`+acme+`"}, _set: {tags: {a: 1}}) { tags } }`, qerr.ParseFailed,
		`a value of type '_text' cannot be a list or an object`)
}
