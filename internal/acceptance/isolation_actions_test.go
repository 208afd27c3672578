package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// fingerprint sums up every row of a house, so that any change shows.
func fingerprint(t *testing.T, h house) map[string]string {
	t.Helper()
	db := connect(t, asOwner)
	sums := map[string]string{}
	for table, filter := range map[string]string{
		"tenants.tenants":            "id = $1",
		"tenants.tenant_members":     "tenant_id = $1",
		"tenants.tenant_settings":    "tenant_id = $1",
		"tenants.tenant_invitations": "tenant_id = $1",
		"auth.sessions":              "tenant_id = $1",
		"audit.log":                  "tenant_id = $1",
	} {
		var sum string
		q := fmt.Sprintf(`SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM %s r WHERE %s`, table, filter)
		if err := db.QueryRow(t.Context(), q, h.id).Scan(&sum); err != nil {
			t.Fatal(err)
		}
		sums[table] = sum
	}
	return sums
}

const nobody = "00000000-0000-4000-8000-000000000000"

// reach is one action aimed at another tenant: theirs names a thing of the
// other house, nothing the same kind of thing that does not exist.
type reach struct {
	query           string
	theirs, nothing args
}

func reaches(t *testing.T, h house) []reach {
	invitation, _ := h.invite(t, unique("in")+"@example.test")
	key := h.owner.must(t, `mutation { createApiKey(name: "Theirs") { id } }`, nil).text(t, "createApiKey.id")
	missing := unique("no-house")
	tenant := func(query string) []reach {
		return []reach{
			{query, args{"t": h.id}, args{"t": nobody}},
			{query, args{"t": h.slug}, args{"t": missing}},
		}
	}
	var all []reach
	for _, call := range []string{
		`updateTenant(tenant: $t, name: "Taken Over") { name }`,
		`deleteTenant(tenant: $t, confirmSlug: "` + h.slug + `") { status }`,
		`switchTenant(tenant: $t) { accessToken }`,
		`inviteMember(tenant: $t, email: "spy@example.test", role: "admin") { token }`,
		`addMember(tenant: $t, userId: "` + nobody + `") { role }`,
		`updateMemberRole(tenant: $t, userId: "` + h.guest.id + `", role: "admin") { role }`,
		`removeMember(tenant: $t, userId: "` + h.guest.id + `") { role }`,
		`leaveTenant(tenant: $t) { role }`,
		`transferOwnership(tenant: $t, userId: "` + h.guest.id + `") { id }`,
		`acceptOwnership(tenant: $t) { ownerUserId }`,
		`cancelOwnershipTransfer(tenant: $t) { id }`,
		`inviteMembers(tenant: $t, emails: ["spy@example.test"], role: "admin") { token }`,
		`createApiKey(tenant: $t, name: "Spy", role: "admin") { key }`,
		`revokeApiKey(tenant: $t, apiKeyId: "` + key + `") { prefix }`,
		`revokeSessions(tenant: $t, userId: "` + h.guest.id + `") { ended }`,
		`setTenantSetting(tenant: $t, key: "secret", value: 1) { key }`,
		`removeTenantSetting(tenant: $t, key: "secret") { value }`,
		`revokeInvitation(tenant: $t, invitationId: "` + invitation + `") { email }`,
		`resendInvitation(tenant: $t, invitationId: "` + invitation + `") { token }`,
	} {
		all = append(all, tenant(`mutation($t: String!) { `+call+` }`)...)
	}
	all = append(all, tenant(`query($t: String!) { tenantStats(tenant: $t) { members plan slug } }`)...)
	for _, call := range []string{
		`updateMemberRole(userId: $u, role: "guest") { role }`,
		`removeMember(userId: $u) { role }`,
		`transferOwnership(userId: $u) { id }`,
		`revokeSessions(userId: $u) { ended }`,
	} {
		all = append(all, reach{`mutation($u: uuid!) { ` + call + ` }`, args{"u": h.guest.id}, args{"u": nobody}})
	}
	for call, ofTheirs := range map[string]string{
		`revokeInvitation(invitationId: $i) { email }`: invitation, `resendInvitation(invitationId: $i) { token }`: invitation,
		`revokeApiKey(apiKeyId: $i) { prefix }`: key,
	} {
		all = append(all, reach{`mutation($i: uuid!) { ` + call + ` }`, args{"i": ofTheirs}, args{"i": nobody}})
	}
	return all
}

func TestNoActionReachesAnotherTenantNorTellsThatItExists(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	all := reaches(t, theirs)
	before := fingerprint(t, theirs)
	for _, r := range all {
		real := mine.owner.refused(t, r.query, r.theirs)
		none := mine.owner.refused(t, r.query, r.nothing)
		for name := range r.theirs {
			typed, missing := fmt.Sprint(r.theirs[name]), fmt.Sprint(r.nothing[name])
			real.Message = strings.ReplaceAll(real.Message, typed, "…")
			none.Message = strings.ReplaceAll(none.Message, missing, "…")
		}
		if diff := cmp.Diff(none, real); diff != "" {
			t.Errorf("%s\n  another tenant's thing and no thing answer differently (-none +theirs):\n%s", r.query, diff)
		}
	}
	if diff := cmp.Diff(before, fingerprint(t, theirs)); diff != "" {
		t.Errorf("another tenant's rows changed:\n%s", diff)
	}
}

// The operator's own arguments are the only way to name another tenant, so a
// forged session at the webhook door, too, acts only where its user belongs.
func TestSessionOfAStrangerIsRefusedAtTheWebhookDoor(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	before := fingerprint(t, theirs)
	for _, role := range []string{"tenant_owner", "tenant_admin", "tenant_member", "tenant_guest"} {
		session := map[string]string{"x-hasura-role": role, "x-hasura-user-id": mine.owner.id, "x-hasura-tenant-id": theirs.id}
		for action, a := range map[string]args{
			"setTenantSetting": {"key": "k", "value": 1},
			"updateTenant":     {"name": "Mine"},
			"deleteTenant":     {"confirmSlug": theirs.slug},
			"tenantStats":      {},
			"leaveTenant":      {},
			"removeMember":     {"userId": theirs.guest.id},
		} {
			hasura().callAction(t, action, a, session).wantFault(t)
		}
	}
	if diff := cmp.Diff(before, fingerprint(t, theirs)); diff != "" {
		t.Errorf("the stranger changed something:\n%s", diff)
	}
}

func TestRoleOfTheTokenCountsOnlyWhileTheMemberHasIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator().must(t, `mutation($t: String!, $u: uuid!) { updateMemberRole(tenant: $t, userId: $u, role: "guest") { role } }`,
		args{"t": h.id, "u": h.admin.id})
	h.admin.refused(t, `mutation { setTenantSetting(key: "k", value: 1) { key } }`, nil)
	r := h.admin.must(t, `{ tenants { id } settings { key } members { role } auditLog { id } sessions { id } }`, nil)
	for _, field := range []string{"tenants", "settings", "members", "auditLog", "sessions"} {
		if n := r.count(t, field); n != 0 {
			t.Errorf("%s shows %d rows to a token of a role that ended", field, n)
		}
	}
	inSession(t, connect(t, asApp), h.admin.session(), func(tx pgx.Tx) {
		if n := number(t, tx, `SELECT count(*) FROM tenants.tenants`); n != 0 {
			t.Errorf("SQL shows %d tenants to a role that ended", n)
		}
	})
}
