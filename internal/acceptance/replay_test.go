package acceptance

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// The same person may use the same key in two tenants.
func TestIdempotencyKeyCountsPerTenant(t *testing.T) {
	t.Parallel()
	first, second := newHouse(t), newHouse(t)
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u, role: "owner") { role } }`, args{"t": second.id, "u": first.owner.id})
	there := first.owner.signIn(t, second.id)
	invite := `mutation($k: String) { inviteMember(email: "both@example.test", idempotencyKey: $k) { tenantId token } }`
	key := unique("key")
	a := first.owner.must(t, invite, args{"k": key})
	b := there.must(t, invite, args{"k": key})
	if a.text(t, "inviteMember.tenantId") != first.id || b.text(t, "inviteMember.tenantId") != second.id {
		t.Errorf("one key, two tenants: %s %s", a.raw, b.raw)
	}
}

// What a key answers is what its owner may see now, not what he once made.
func TestReplayOfAKeyTellsNothingToWhoWasRemoved(t *testing.T) {
	t.Parallel()
	founder, heir, key := newUser(t), newUser(t), unique("key")
	name := unique("Founded")
	create := `mutation($n: String!, $k: String) { createTenant(name: $n, idempotencyKey: $k) { id name slug metadata } }`
	id := founder.must(t, create, args{"n": name, "k": key}).text(t, "createTenant.id")
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u, role: "owner") { role } }`, args{"t": id, "u": heir.id})
	heirs := heir.signIn(t, id)
	heirs.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": founder.id})
	later := unique("Confidential")
	heirs.must(t, `mutation($n: String) { updateTenant(name: $n) { name } }`, args{"n": later})
	r := founder.ask(t, create, args{"n": name, "k": key})
	if strings.Contains(r.raw, later) {
		t.Errorf("who was removed reads the tenant through an old key: %s", r.raw)
	}
}

func TestInvitationsTokenIsShownOnce(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), unique("key")
	invite := `mutation($k: String) { inviteMember(email: "once@example.test", anyAddress: true, idempotencyKey: $k) { id token } }`
	first := h.owner.must(t, invite, args{"k": key})
	again := h.owner.must(t, invite, args{"k": key})
	if first.text(t, "inviteMember.id") != again.text(t, "inviteMember.id") || first.at(t, "inviteMember.token") == nil || again.at(t, "inviteMember.token") != nil {
		t.Errorf("%s, then %s", first.raw, again.raw)
	}
	if r := h.owner.ask(t, `{ invitations { token_hash } }`, nil); len(r.Errors) == 0 {
		t.Errorf("the hash of a token can be read: %s", r.raw)
	}
}

// Changes that lock the same rows in different orders must wait, never break.
func TestStormOfChangesToOneTenantEndsInNoBug(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.admit(t, "owner")
	users := []string{h.owner.id, second.id, h.admin.id, h.member.id, h.guest.id}
	roles := []string{"owner", "admin", "member", "guest"}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range 25 {
				user, role := users[random.IntN(len(users))], roles[random.IntN(len(roles))]
				query := []string{
					`mutation { updateMemberRole(tenant: "$TENANT", userId: "$USER", role: "$ROLE") { role } }`,
					`mutation { transferOwnership(tenant: "$TENANT", userId: "$USER") { id } }`,
					`mutation { cancelOwnershipTransfer(tenant: "$TENANT") { id } }`,
					`mutation { addMember(tenant: "$TENANT", userId: "$USER", role: "$ROLE") { role } }`,
					`mutation { removeMember(tenant: "$TENANT", userId: "$USER") { role } }`,
					`mutation { suspendTenant(tenant: "$TENANT", reason: "$ROLE") { id } activateTenant(tenant: "$TENANT") { id } }`,
					`mutation { updateTenant(tenant: "$TENANT", name: "$ROLE") { id } }`,
					`mutation { setTenantSetting(tenant: "$TENANT", key: "storm", value: "$ROLE") { key } }`,
					`mutation { update_members(where: {tenant_id: {_eq: "$TENANT"}, user_id: {_eq: "$USER"}}, _set: {role: "$ROLE"}) { affected_rows } }`,
				}[random.IntN(9)]
				text := fill(query, "$TENANT", h.id, "$USER", user, "$ROLE", role)
				r := operator().ask(t, text, nil)
				for _, e := range r.Errors {
					if e.code() == "unexpected" || strings.Contains(r.raw, "deadlock") || strings.Contains(r.raw, "serialize") {
						t.Errorf("%s\n  %s", text, r.raw)
					}
				}
			}
		})
	}
	wg.Wait()
	if owners(t, h) < 1 {
		t.Error("the storm left no owner")
	}
	wantOwnerNamed(t, h)
}

func TestTenantWithASchemaOfItsOwnIsSealedFromTheOthers(t *testing.T) {
	t.Parallel()
	u, other := newUser(t), newHouse(t)
	r := u.must(t, `mutation($n: String!) { createTenant(name: $n, strategy: "schema") { id slug } }`, args{"n": unique("Sealed")})
	id := r.text(t, "createTenant.id")
	owner := u.signIn(t, id)
	schema := owner.must(t, `{ tenantSchemas { schema_name tenant_id } }`, nil).text(t, "tenantSchemas.0.schema_name")
	if want := "tenant_" + id[:8]; !strings.HasPrefix(schema, want) {
		t.Errorf("schema %q, want %q", schema, want)
	}
	if r := other.owner.must(t, `{ tenantSchemas { schema_name } }`, nil); r.count(t, "tenantSchemas") != 0 {
		t.Errorf("%s", r.raw)
	}
	db := connect(t, asApp)
	for _, sql := range []string{`CREATE TABLE ` + schema + `.mine ()`, `DROP SCHEMA ` + schema + ` CASCADE`, `ALTER SCHEMA ` + schema + ` OWNER TO nself_app`} {
		refusedSQL(t, db, sql)
	}
}
