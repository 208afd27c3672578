package acceptance

import (
	"strings"
	"testing"
)

func TestDemoTenantsHaveTheirPeopleAndEachTokenWorks(t *testing.T) {
	t.Parallel()
	for tenant, plan := range map[string]string{"ACME": "pro", "TECHCO": "free"} {
		for _, role := range []string{"OWNER", "ADMIN", "MEMBER", "GUEST"} {
			r := demo(tenant+"_"+role).must(t, `{ tenants { id slug plan } members { user_id role } myTenants { role } }`, nil)
			if r.text(t, "tenants.0.id") != local.Get(tenant+"_TENANT_ID") || r.text(t, "tenants.0.slug") != strings.ToLower(tenant) ||
				r.text(t, "tenants.0.plan") != plan || r.count(t, "members") != 4 || r.text(t, "myTenants.0.role") != strings.ToLower(role) {
				t.Errorf("%s of %s sees %s", role, tenant, r.raw)
			}
			if !strings.Contains(r.raw, local.Get(tenant+"_"+role+"_ID")) {
				t.Errorf("%s_%s_ID is no member: %s", tenant, role, r.raw)
			}
		}
	}
}

// Code generators and clients read the whole schema first.
func TestIntrospectionDescribesWhatEachRoleMayDo(t *testing.T) {
	t.Parallel()
	query := `{ __schema { queryType { fields { name args { name type { name kind ofType { name kind ofType { name kind ofType { name } } } } } } }
		mutationType { fields { name } } types { kind name fields { name type { name kind } } inputFields { name } enumValues { name } } } }`
	size := 0
	for _, who := range []caller{demo("ACME_GUEST"), demo("ACME_MEMBER"), demo("ACME_ADMIN"), demo("ACME_OWNER"), operator()} {
		r := who.must(t, query, nil)
		if len(r.raw) < size {
			t.Errorf("a role that may more is shown less: %d after %d characters", len(r.raw), size)
		}
		size = len(r.raw)
	}
	for _, root := range []string{"tenants", "members", "settings", "plans", "auditLog"} {
		for _, field := range []string{root, root + "_by_pk", root + "_aggregate"} {
			if r := operator().must(t, `{ __schema { queryType { fields { name } } } }`, nil); !strings.Contains(r.raw, quoted(field)) {
				t.Errorf("no root field %s", field)
			}
		}
	}
}
