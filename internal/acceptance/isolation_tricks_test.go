package acceptance

import (
	"strings"
	"testing"
)

// tricks are queries of one tenant's people that try to reach into another by
// its id, its slug, its owner's id and its owner's address.
var tricks = []string{
	`{ users(where: {memberships: {tenant: {slug: {_eq: "$SLUG"}}}}) { id email } }`,
	`{ users(where: {memberships: {tenant_id: {_eq: "$TENANT"}}}) { id email memberships { tenant { name } } } }`,
	`{ users(order_by: {memberships_aggregate: {count: desc}}) { email memberships_aggregate { aggregate { count } nodes { tenant_id } } } }`,
	`{ users(where: {email: {_like: "%"}}) { id email } }`,
	`{ users { id email memberships(where: {tenant_id: {_eq: "$TENANT"}}) { role tenant { name settings { value } } } } }`,
	`{ members { user { memberships { tenant { name members { user { email } } } } } } }`,
	`{ members(where: {user: {memberships: {tenant: {slug: {_eq: "$SLUG"}}}}}) { user_id tenant { name } } }`,
	`{ members(where: {_or: [{tenant_id: {_eq: "$TENANT"}}, {tenant: {slug: {_neq: ""}}}]}) { user_id } }`,
	`{ tenants(where: {_or: [{}, {slug: {_eq: "$SLUG"}}]}) { id name } }`,
	`{ tenants(where: {_not: {slug: {_eq: "nothing"}}}, order_by: {slug: desc}, limit: 1000) { id name } }`,
	`{ tenants(where: {owner: {email: {_eq: "$EMAIL"}}}) { name } }`,
	`{ tenants(where: {members: {user_id: {_eq: "$OWNER"}}}) { name } }`,
	`{ tenants { owner { memberships { tenant { name } } } plan_details { limits { plan_details { code } } } } }`,
	`{ auditLog(where: {_or: [{tenant_id: {_eq: "$TENANT"}}, {tenant_id: {_is_null: true}}]}) { id action after } }`,
	`{ auditLog(where: {actor_user_id: {_eq: "$OWNER"}}) { id target after before actor { email } } }`,
	`{ auditLog(where: {tenant: {slug: {_eq: "$SLUG"}}}) { id tenant { name } } }`,
	`{ sessions(where: {user: {email: {_eq: "$EMAIL"}}}) { id } }`,
	`{ sessions(where: {_or: [{tenant_id: {_eq: "$TENANT"}}, {tenant_id: {_is_null: true}}]}) { id user { email } } }`,
	`{ invitations(where: {tenant: {slug: {_eq: "$SLUG"}}}) { id email } }`,
	`{ settings(where: {tenant: {members: {user_id: {_eq: "$OWNER"}}}}) { value } }`,
	`{ settings_aggregate(where: {tenant_id: {_eq: "$TENANT"}}) { aggregate { count max { key } } nodes { value } } }`,
	`query a($t: uuid! = "$TENANT") { tenants_by_pk(id: $t) { name ...more } } fragment more on tenants { members { user { email } } }`,
	`{ a: tenants_by_pk(id: "$TENANT") { name } b: members_by_pk(tenant_id: "$TENANT", user_id: "$OWNER") { role } c: users_by_pk(id: "$OWNER") { email } }`,
	`{ tenantStats(tenant: "$TENANT") { slug members } }`,
	`{ tenantStats(tenant: "$SLUG") { tenantId plan } }`,
	`{ myTenants { id name } }`,
}

func TestNoTrickOfAQueryReachesAnotherTenant(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	theirs.invite(t, unique("in")+"@example.test")
	for _, who := range append(mine.people(), mine.member.signIn(t, "")) {
		t.Run(who.role, func(t *testing.T) {
			t.Parallel()
			for _, trick := range tricks {
				q := fill(trick, "$TENANT", theirs.id, "$SLUG", theirs.slug, "$OWNER", theirs.owner.id, "$EMAIL", theirs.owner.email)
				r := who.ask(t, q, nil)
				wantNoMarks(t, theirs, q, r.raw)
				if who.role == "tenant_owner" && len(r.Errors) > 0 && !strings.Contains(q, "tenantStats") {
					t.Errorf("%s\n  is no trick but a mistake: %s", q, r.raw)
				}
			}
		})
	}
}

func TestHeadersOfTheClientNeverChangeTheSession(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	for name, headers := range map[string]map[string]string{
		"tenant":            {"X-Hasura-Tenant-Id": theirs.id},
		"user and tenant":   {"X-Hasura-User-Id": theirs.owner.id, "X-Hasura-Tenant-Id": theirs.id},
		"lower case":        {"x-hasura-tenant-id": theirs.id},
		"tenant list":       {"X-Hasura-Tenant-Ids": "{" + theirs.id + "}"},
		"allowed roles":     {"X-Hasura-Allowed-Roles": `["admin"]`, "X-Hasura-Default-Role": "admin"},
		"own headers":       {"X-Tenant-ID": theirs.id, "X-Tenant-Slug": theirs.slug},
		"backend only":      {"X-Hasura-Use-Backend-Only-Permissions": "true"},
		"empty role":        {"X-Hasura-Role": ""},
		"host of the other": {"Host": theirs.slug + ".localhost", "X-Forwarded-Host": theirs.slug + ".localhost"},
		"webhook secret":    {"X-Webhook-Secret": local.Get("NSELF_WEBHOOK_SECRET")},
	} {
		who := mine.owner.caller
		for k, v := range headers {
			who = who.with(k, v)
		}
		q := `{ tenants { id } users { email } settings { value } myTenants { id } tenantStats { tenantId } }`
		r := who.must(t, q, nil)
		wantNoMarks(t, theirs, name+": "+q, r.raw)
		if r.text(t, "tenants.0.id") != mine.id || r.text(t, "tenantStats.tenantId") != mine.id {
			t.Errorf("%s: the session changed: %s", name, r.raw)
		}
		who.must(t, `mutation { setTenantSetting(key: "mark", value: 1) { tenantId } }`, nil)
	}
	if n := len(rowsOf(t, theirs, "settings")); n != len(rowsOf(t, newHouse(t), "settings")) {
		t.Errorf("the other house has %d settings now", n)
	}
}

func TestHeadersThatAskForMoreAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, role := range []string{"admin", "Admin", "tenant_admin", "tenant_member", "user", "TENANT_OWNER"} {
		r := h.owner.with("X-Hasura-Role", role).ask(t, `{ tenants { id } }`, nil)
		if len(r.Errors) == 0 || r.Errors[0].code() != "access-denied" {
			t.Errorf("role %q: %s", role, r.raw)
		}
		r = anonymous().with("X-Hasura-Role", role).ask(t, `{ tenants { id } }`, nil)
		if len(r.Errors) == 0 {
			t.Errorf("role %q with no token: %s", role, r.raw)
		}
	}
	for _, secret := range []string{"x", local.Get("HASURA_GRAPHQL_ADMIN_SECRET") + "x", strings.ToUpper(local.Get("HASURA_GRAPHQL_ADMIN_SECRET"))} {
		r := h.owner.with("X-Hasura-Admin-Secret", secret).ask(t, `{ tenants { id } }`, nil)
		if len(r.Errors) == 0 || r.Errors[0].code() != "access-denied" {
			t.Errorf("a wrong admin secret: %s", r.raw)
		}
	}
}

func TestUserOfTwoTenantsSeesEachOnlyWithItsOwnToken(t *testing.T) {
	t.Parallel()
	first, second := newHouse(t), newHouse(t)
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u, role: "guest") { role } }`,
		args{"t": second.id, "u": first.owner.id})
	q := `{ tenants { name } members { tenant_id } users { email memberships { tenant { name } } } settings { value } }`
	r := first.owner.must(t, q, nil)
	wantNoMarks(t, second, q, r.raw)
	r = first.admin.must(t, q, nil)
	wantNoMarks(t, second, q, r.raw)
	there := first.owner.signIn(t, second.id)
	if there.role != "tenant_guest" {
		t.Fatalf("the owner of one house signed in as %s of the other", there.role)
	}
	r = there.must(t, `{ tenants { name } members { tenant_id } users { id memberships { tenant { name } } } settings { value } }`, nil)
	if strings.Contains(r.raw, first.id) || strings.Contains(r.raw, first.name) || strings.Contains(r.raw, first.secret) {
		t.Errorf("as a guest of the second: %s", r.raw)
	}
	there.refused(t, `mutation { setTenantSetting(key: "a", value: 1) { key } }`, nil)
}
