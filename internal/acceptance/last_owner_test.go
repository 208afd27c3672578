package acceptance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func owners(t *testing.T, h house) int {
	t.Helper()
	return number(t, connect(t, asOwner), `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1 AND role = 'owner'`, h.id)
}

func TestLastOwnerCannotLeaveBeDemotedOrBeRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := args{"t": h.id, "u": h.owner.id}
	for _, query := range []string{
		`mutation($t: String, $u: uuid!) { updateMemberRole(tenant: $t, userId: $u, role: "admin") { role } }`,
		`mutation($t: String, $u: uuid!) { removeMember(tenant: $t, userId: $u) { role } }`,
	} {
		for name, who := range map[string]caller{"owner": h.owner.caller, "operator": operator()} {
			if e := who.refused(t, query, id); e.code() != "last-owner" {
				t.Errorf("%s as %s: %q %s", query, name, e.code(), e.Message)
			}
		}
	}
	if e := h.owner.refused(t, `mutation { leaveTenant { role } }`, nil); e.code() != "last-owner" {
		t.Errorf("leaving: %q", e.Message)
	}
	if n := owners(t, h); n != 1 {
		t.Errorf("%d owners", n)
	}
}

// The tables keep the rule for those who write past the actions as well.
func TestLastOwnerCannotBeTakenAwayThroughTheTables(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, query := range []string{
		`mutation { update_members(where: {tenant_id: {_eq: "$TENANT"}, user_id: {_eq: "$USER"}}, _set: {role: "guest"}) { affected_rows } }`,
		`mutation { delete_members(where: {tenant_id: {_eq: "$TENANT"}}) { affected_rows } }`,
		`mutation { delete_members_by_pk(tenant_id: "$TENANT", user_id: "$USER") { role } }`,
		`mutation { delete_users_by_pk(id: "$USER") { id } }`,
		`mutation { update_members_by_pk(pk_columns: {tenant_id: "$TENANT", user_id: "$USER"}, _set: {user_id: "` + h.guest.id + `"}) { role } }`,
	} {
		r := operator().ask(t, fill(query, "$TENANT", h.id, "$USER", h.owner.id), nil)
		if len(r.Errors) == 0 {
			t.Errorf("accepted: %s\n%s", query, r.raw)
		}
		if n := owners(t, h); n != 1 {
			t.Fatalf("%d owners after %s", n, query)
		}
	}
}

func TestTwoOwnersThatLeaveAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			second := h.admit(t, "owner")
			third := h.admit(t, "owner")
			ways := []func() reply{
				func() reply { return h.owner.ask(t, `mutation { leaveTenant { role } }`, nil) },
				func() reply { return second.ask(t, `mutation { leaveTenant { role } }`, nil) },
				func() reply {
					return h.owner.ask(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": third.id})
				},
				func() reply {
					return third.ask(t, `mutation($u: uuid!) { updateMemberRole(userId: $u, role: "member") { role } }`, args{"u": second.id})
				},
				func() reply {
					return second.ask(t, `mutation($u: uuid!) { updateMemberRole(userId: $u, role: "guest") { role } }`, args{"u": h.owner.id})
				},
				func() reply {
					return operator().ask(t, `mutation($t: uuid!, $u: uuid!) { update_members_by_pk(pk_columns: {tenant_id: $t, user_id: $u}, _set: {role: "admin"}) { role } }`,
						args{"t": h.id, "u": third.id})
				},
			}
			var wg sync.WaitGroup
			for _, way := range ways {
				wg.Go(func() {
					if r := way(); strings.Contains(r.raw, "internal error") || strings.Contains(r.raw, "deadlock") {
						t.Errorf("a race ended in a bug: %s", r.raw)
					}
				})
			}
			wg.Wait()
			if n := owners(t, h); n < 1 {
				t.Errorf("%d owners are left", n)
			}
			wantOwnerNamed(t, h)
		})
	}
}

// wantOwnerNamed demands that the tenant names a member of role owner.
func wantOwnerNamed(t *testing.T, h house) {
	t.Helper()
	n := number(t, connect(t, asOwner), `SELECT count(*) FROM tenants.tenants t JOIN tenants.tenant_members m
		ON m.tenant_id = t.id AND m.user_id = t.owner_user_id AND m.role = 'owner' WHERE t.id = $1`, h.id)
	if n != 1 {
		t.Error("the tenant's owner is no owner of it")
	}
}

func TestTenantAlwaysNamesAMemberWhoOwnsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.admit(t, "owner")
	second.must(t, `mutation($u: uuid!) { updateMemberRole(userId: $u, role: "member") { role } }`, args{"u": h.owner.id})
	wantOwnerNamed(t, h)
	second.must(t, `mutation($u: uuid!) { transferOwnership(userId: $u) { id } }`, args{"u": h.admin.id})
	wantOwnerNamed(t, h)
	h.admin.must(t, `mutation { acceptOwnership { ownerUserId } }`, nil)
	wantOwnerNamed(t, h)
	r := operator().must(t, `query($t: uuid!, $u: uuid!) { members_by_pk(tenant_id: $t, user_id: $u) { role } }`, args{"t": h.id, "u": second.id})
	if r.text(t, "members_by_pk.role") != "admin" {
		t.Errorf("who gave the ownership away is no admin: %s", r.raw)
	}
	admin := h.admin.signIn(t, h.id)
	third := h.admit(t, "owner")
	third.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": admin.id})
	wantOwnerNamed(t, h)
	h.admit(t, "owner")
	third.must(t, `mutation { leaveTenant { role } }`, nil)
	wantOwnerNamed(t, h)
}

func TestAdminNeitherMakesNorTouchesOwners(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.admit(t, "owner")
	fresh := newUser(t)
	before := fingerprint(t, h)
	for query, a := range map[string]args{
		`mutation($u: uuid!) { addMember(userId: $u, role: "owner") { role } }`:        {"u": fresh.id},
		`mutation($u: uuid!) { updateMemberRole(userId: $u, role: "owner") { role } }`: {"u": h.guest.id},
		`mutation($u: uuid!) { updateMemberRole(userId: $u, role: "guest") { role } }`: {"u": second.id},
		`mutation($u: uuid!) { removeMember(userId: $u) { role } }`:                    {"u": second.id},
		`mutation { inviteMember(email: "boss@example.test", role: "owner") { id } }`:  nil,
	} {
		if e := h.admin.refused(t, query, a); e.code() != "forbidden" {
			t.Errorf("%s: %q %s", query, e.code(), e.Message)
		}
	}
	h.admin.refused(t, `mutation($u: uuid!) { updateMemberRole(userId: $u, role: "owner") { role } }`, args{"u": h.admin.id})
	for table, rows := range fingerprint(t, h) {
		if rows != before[table] {
			t.Errorf("%s changed", table)
		}
	}
}

// An invitation that an owner made for an owner must not be one that an admin
// can renew for its token.
func TestAdminCannotTakeAnOwnersInvitation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.owner.must(t, `mutation { inviteMember(email: "heir@example.test", role: "owner") { id } }`, nil)
	e := h.admin.refused(t, `mutation($i: uuid!) { resendInvitation(invitationId: $i) { token } }`, args{"i": r.text(t, "inviteMember.id")})
	if e.code() != "forbidden" {
		t.Errorf("%q %s", e.code(), e.Message)
	}
}
