package audit

import (
	"testing"

	"github.com/nself/tenancy/internal/isolation"
)

// As pg_get_expr spells it.
const sessionTenant = "( SELECT tenants.active_tenant_id() AS active_tenant_id)"

func TestOnlyAnExpressionThatHoldsEveryRowToTheTenantBinds(t *testing.T) {
	s := newCRMState(t)
	contacts, users := s.named("crm", "contacts"), s.named("auth", "users")
	mine := "(tenant_id = " + sessionTenant + ")"
	for text, want := range map[string]grip{
		mine:                                  active,
		"(" + mine + ")":                      active,
		"(" + sessionTenant + " = tenant_id)": active,
		"(contacts.tenant_id = " + sessionTenant + ")":                                      active,
		"(tenant_id = tenants.active_tenant_id())":                                          active,
		"(tenant_id = " + sessionTenant + "::uuid)":                                         active,
		"(" + mine + " AND (email <> 'a) OR (b'::text))":                                    active,
		"(" + mine + " OR false)":                                                           active,
		"(" + mine + " OR (" + mine + " AND (id IS NULL)))":                                 active,
		"(tenant_id = ( SELECT tenants.current_tenant_id() AS current_tenant_id))":          claimed,
		"(tenant_id = ((current_setting('hasura.user'::text))::jsonb ->> 'x'::text)::uuid)": claimed,
		"false":                                 shut,
		"true":                                  loose,
		"":                                      loose,
		"(" + mine + " OR true)":                loose,
		"(" + mine + " OR (email = 'x'::text))": loose,
		"(NOT " + mine + ")":                    loose,
		"(id = " + sessionTenant + ")":          loose,
		"(tenant_id <> " + sessionTenant + ")":  loose,
		"(tenant_id = '00000000-0000-0000-0000-000000000000'::uuid)":                                                               loose,
		"(tenant_id = ( SELECT companies.tenant_id FROM crm.companies WHERE (companies.tenant_id <> tenants.active_tenant_id())))": loose,
		"((tenant_id)::text = (" + sessionTenant + ")::text)":                                                                      active,
		"(tenant_id = COALESCE(" + sessionTenant + ", tenant_id))":                                                                 loose,
		"(tenant_id = CASE WHEN (" + sessionTenant + " IS NULL) THEN tenant_id ELSE " + sessionTenant + " END)":                    loose,
		"(tenant_id = ANY (ARRAY[" + sessionTenant + ", tenant_id]))":                                                              loose,
		"(NOT (tenant_id IS DISTINCT FROM " + sessionTenant + "))":                                                                 loose,
		"((tenant_id)::character varying(1) = (" + sessionTenant + ")::character varying(1))":                                      loose,
		"(tenant_id = NULLIF(" + sessionTenant + ", id))":                                                                          loose,
		"((" + mine + ") IS NOT TRUE)":                                                                                             loose,
		"(tenant_id = ( SELECT tenants.active_tenant_id() AS a UNION SELECT contacts.tenant_id AS b))":                             loose,
		"(tenant_id = (NULLIF(current_setting('hasura.user'::text, true), ''::text))::uuid)":                                       claimed,
		"(tenant_id = (COALESCE(current_setting('hasura.user'::text, true), (tenant_id)::text))::uuid)":                            loose,
		"CASE WHEN " + mine + " THEN true ELSE true END":                                                                           loose,
		"(EXISTS ( SELECT FROM tenants.tenant_members m WHERE (m.tenant_id = " + sessionTenant + ")))":                             loose,
	} {
		if got := s.reading(contacts).of(text); got.grip != want {
			t.Errorf("%s has grip %d, want %d", text, got.grip, want)
		}
	}
	member := "(EXISTS ( SELECT FROM tenants.tenant_members m WHERE ((m.user_id = users.id) AND (m.tenant_id = " + sessionTenant + "))))"
	if got := s.reading(users).of("(" + mine + " OR " + member + ")"); got.grip != active || !got.people {
		t.Errorf("people are bound by membership too: %+v", got)
	}
	for _, open := range []string{
		"(EXISTS ( SELECT FROM tenants.tenant_members m WHERE (m.tenant_id = " + sessionTenant + ")))",
		"(EXISTS ( SELECT FROM tenants.tenant_members m WHERE ((m.user_id = m.user_id) AND (m.tenant_id = " + sessionTenant + "))))",
		"(EXISTS ( SELECT FROM tenants.tenant_members m WHERE (m.user_id = users.id)))",
		"(EXISTS ( SELECT FROM tenants.tenant_members m WHERE ((m.user_id = users.id) OR (m.tenant_id = " + sessionTenant + "))))",
		"(EXISTS ( SELECT FROM crm.companies m WHERE ((m.user_id = users.id) AND (m.tenant_id = " + sessionTenant + "))))",
		"(EXISTS ( SELECT FROM (tenants.tenant_members m JOIN crm.companies c ON (true)) WHERE ((m.user_id = users.id) AND (c.tenant_id = " + sessionTenant + "))))",
	} {
		if got := s.reading(users).of(open); got.grip != loose {
			t.Errorf("%s has grip %d, and shows people of other tenants", open, got.grip)
		}
	}
	unbound := "( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound)"
	if got := s.reading(contacts).of("(" + unbound + " OR " + mine + ")"); got.grip != active || !got.unbound {
		t.Errorf("Hasura's way is not seen: %+v", got)
	}
	for _, open := range []string{"COALESCE(" + unbound + ", true)", "(" + unbound + " IS NOT NULL)", "(NOT " + unbound + ")"} {
		if got := s.reading(contacts).of("(" + open + " OR " + mine + ")"); got.grip != loose {
			t.Errorf("%s is taken for Hasura's way: %+v", open, got)
		}
	}
}

func TestACallIsWrappedOnlyInASubselectWithoutATable(t *testing.T) {
	s := newCRMState(t)
	for text, want := range map[string]string{
		"(tenant_id = tenants.active_tenant_id())":                           "(tenant_id = (SELECT tenants.active_tenant_id()))",
		"(tenant_id = " + sessionTenant + ")":                                "(tenant_id = " + sessionTenant + ")",
		"(a = lower(b))":                                                     "(a = lower(b))",
		"(a = current_setting('hasura.user'::text))":                         "(a = (SELECT current_setting('hasura.user'::text)))",
		"(EXISTS ( SELECT FROM m WHERE (m.t = tenants.active_tenant_id())))": "(EXISTS ( SELECT FROM m WHERE (m.t = (SELECT tenants.active_tenant_id()))))",
	} {
		got, changed := s.wrap(text)
		if got != want || changed != (text != want) {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

func newCRMState(t *testing.T) *state {
	t.Helper()
	c := newCRM(t)
	s, err := examine(t.Context(), c.tx, Config{List: c.list})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.tenants) == 0 || s.declaration("crm", "contacts").Rows != isolation.Rows("") {
		t.Fatal("there are no tenant tables")
	}
	return s
}

func FuzzExpressionsNeverPanic(f *testing.F) {
	f.Add("((tenant_id = ( SELECT tenants.active_tenant_id() AS a)) OR (EXISTS ( SELECT FROM m WHERE true)))")
	f.Add("'unclosed (")
	f.Add(")))(((")
	f.Fuzz(func(t *testing.T, text string) {
		s := &state{catalog: &catalog{}}
		table := &tenantTable{relation: &relation{Schema: "a", Name: "b"}, name: "tenant_id"}
		s.reading(table).of(text)
		if wrapped, changed := s.wrap(text); !changed && wrapped != text {
			t.Errorf("%q became %q unchanged", text, wrapped)
		}
	})
}
