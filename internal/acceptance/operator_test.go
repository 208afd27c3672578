package acceptance

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func mutations(t *testing.T, who caller) []string {
	t.Helper()
	r := who.must(t, `{ __schema { mutationType { fields { name } } } }`, nil)
	var schema struct {
		MutationType *struct{ Fields []struct{ Name string } }
	}
	if err := json.Unmarshal(r.Data["__schema"], &schema); err != nil {
		t.Fatal(err)
	}
	var names []string
	if schema.MutationType != nil {
		for _, f := range schema.MutationType.Fields {
			names = append(names, f.Name)
		}
	}
	return names
}

// ofTenantSchema are changes of a table in a tenant's own schema.
var ofTenantSchema = regexp.MustCompile(`^(insert|update|delete)_tenant_[0-9a-f]{8}_`)

// A tenant changes its tables through actions, which check and write down;
// never through the tables themselves.
func TestNoTenantRoleMayChangeATableDirectly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, who := range append(h.people(), h.member.signIn(t, "")) {
		for _, name := range mutations(t, who.caller) {
			if ofTenantSchema.MatchString(name) {
				continue // the customer's own, which another test is about
			}
			if strings.HasPrefix(name, "insert_") || strings.HasPrefix(name, "update_") || strings.HasPrefix(name, "delete_") {
				t.Errorf("%s may %s", who.role, name)
			}
		}
		for _, query := range []string{
			`mutation { update_tenants(where: {}, _set: {plan: "enterprise"}) { affected_rows } }`,
			`mutation { insert_members_one(object: {tenant_id: "` + h.id + `", user_id: "` + who.id + `", role: "owner"}, on_conflict: {constraint: tenant_members_pkey, update_columns: [role]}) { role } }`,
			`mutation { delete_auditLog(where: {}) { affected_rows } }`,
			`mutation { update_plans(where: {}, _set: {price_minor: 0}) { affected_rows } }`,
			`mutation { insert_sessions_one(object: {role: "admin"}) { id } }`,
		} {
			if e := who.refused(t, query, nil); e.code() != "validation-failed" {
				t.Errorf("%s: %q", query, e.code())
			}
		}
	}
}

func TestOperatorPassesBothWallsWhateverHeadersComeWithTheSecret(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	set := `mutation($t: uuid!) { insert_settings_one(object: {tenant_id: $t, key: "by_hand", value: 1}, on_conflict: {constraint: tenant_settings_pkey, update_columns: [value]}) { key } }`
	for _, who := range []caller{
		operator(),
		operator().with("X-Hasura-Tenant-Id", mine.id),
		operator().with("X-Hasura-User-Id", mine.owner.id),
		operator().with("X-Hasura-Role", "admin").with("X-Hasura-Tenant-Id", mine.id),
		operator().with("Authorization", "Bearer "+mine.guest.token),
		operator().with("Authorization", "Bearer nonsense"),
	} {
		who.must(t, set, args{"t": theirs.id})
		if n := who.must(t, `query($t: uuid!) { tenants(where: {id: {_eq: $t}}) { id } }`, args{"t": theirs.id}).count(t, "tenants"); n != 1 {
			t.Errorf("the operator with %v sees %d tenants", who, n)
		}
	}
}

// With the secret the operator may act as any role; then that role's rules hold.
func TestOperatorActingAsATenantsRoleIsHeldToIt(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	claims, _ := verified(t, mine.owner.token)
	as := operator().with("X-Hasura-Role", "tenant_owner").with("X-Hasura-Tenant-Id", mine.id).with("X-Hasura-User-Id", mine.owner.id).
		with("X-Hasura-Session-Id", claims["sid"].(string))
	q := `{ tenants { id name } settings { value } users { email } tenantStats { slug } }`
	r := as.must(t, q, nil)
	wantNoMarks(t, theirs, q, r.raw)
	as.refused(t, `mutation($t: String!) { suspendTenant(tenant: $t) { id } }`, mine.ref())
	as.refused(t, `mutation($t: String!) { setTenantSetting(tenant: $t, key: "a", value: 1) { key } }`, theirs.ref())
	e := operator().with("X-Hasura-Role", "tenant_owner").refused(t, `{ tenants { id } }`, nil)
	if e.code() != "not-found" || !strings.Contains(e.Message, "x-hasura-tenant-id") && !strings.Contains(strings.ToLower(e.Message), "missing session variable") {
		t.Errorf("a missing session variable: %q %s", e.code(), e.Message)
	}
	stranger := as.with("X-Hasura-User-Id", theirs.owner.id)
	if n := stranger.must(t, `{ tenants { id } }`, nil).count(t, "tenants"); n != 0 {
		t.Errorf("a user who is no member sees %d tenants", n)
	}
}

func TestMetadataIsOnlyForTheOperator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := `{"type":"export_metadata","args":{}}`
	for name, who := range map[string]caller{
		"nobody": anonymous(), "an owner": h.owner.caller, "a wrong secret": anonymous().with("X-Hasura-Admin-Secret", "x"),
		"an owner who asks for admin": h.owner.with("X-Hasura-Role", "admin"), "the webhook secret": hasura(),
	} {
		for _, path := range []string{"/v1/metadata", "/v1/query", "/v2/query", "/v1alpha1/pg_dump", "/v1alpha1/config"} {
			status, raw := who.post(t, path, body)
			if status < 400 && !strings.Contains(raw, `"error"`) {
				t.Errorf("%s at %s: %d %.200s", name, path, status, raw)
			}
			if strings.Contains(raw, "tenant_members") {
				t.Errorf("%s reads the metadata at %s", name, path)
			}
		}
	}
}

func TestMutationsOfAnOperationStopAtTheFirstThatFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.owner.refused(t, `mutation {
		a: setTenantSetting(key: "first", value: 1) { key }
		b: setTenantSetting(key: "NOT A KEY", value: 1) { key }
		c: setTenantSetting(key: "third", value: 1) { key } }`, nil)
	var keys []string
	for _, row := range rowsOf(t, h, "settings") {
		keys = append(keys, row["key"].(string))
	}
	if !slices.Contains(keys, "first") || slices.Contains(keys, "third") {
		t.Errorf("settings are %v", keys)
	}
}
