package acceptance

import (
	"strings"
	"sync"
	"testing"
)

const accept = `mutation($k: String!) { acceptInvitation(token: $k) { tenantId userId role } }`

func TestInvitationLetsInOnlyWhomItNames(t *testing.T) {
	t.Parallel()
	h, invited, stranger := newHouse(t), newUser(t), newUser(t)
	_, token := h.invite(t, strings.ToUpper(invited.email))
	for _, who := range []person{stranger, newHouse(t).owner, h.guest} {
		if e := who.refused(t, accept, args{"k": token}); e.code() != "not-found" {
			t.Errorf("somebody else's invitation: %q %s", e.code(), e.Message)
		}
	}
	for _, wrong := range []string{"", token[:len(token)-1], token + "x", strings.ToUpper(token), strings.ToLower(token), " " + token, "%", token + "\x00"} {
		if wrong != token {
			invited.refused(t, accept, args{"k": wrong})
		}
	}
	r := invited.must(t, accept, args{"k": token})
	if r.text(t, "acceptInvitation.tenantId") != h.id || r.text(t, "acceptInvitation.userId") != invited.id || r.text(t, "acceptInvitation.role") != "member" {
		t.Errorf("%s", r.raw)
	}
	invited.must(t, accept, args{"k": token}) // accepting twice is safe
	if n := number(t, connect(t, asOwner), `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1`, h.id); n != 5 {
		t.Errorf("%d members", n)
	}
	if got := invited.signIn(t, h.id).role; got != "tenant_member" {
		t.Errorf("signed in as %s", got)
	}
}

func TestInvitationThatEndedLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	one, two, three, four := newUser(t), newUser(t), newUser(t), newUser(t)
	id, revoked := h.invite(t, one.email)
	h.owner.must(t, `mutation($i: uuid!) { revokeInvitation(invitationId: $i) { revokedAt } }`, args{"i": id})
	one.refused(t, accept, args{"k": revoked})
	h.owner.refused(t, `mutation($i: uuid!) { resendInvitation(invitationId: $i) { token } }`, args{"i": id})

	id, old := h.invite(t, two.email)
	h.owner.must(t, `mutation($i: uuid!) { resendInvitation(invitationId: $i) { id } }`, args{"i": id})
	renewed := invitationTo(t, two.email, old)
	two.refused(t, accept, args{"k": old})
	two.must(t, accept, args{"k": renewed})
	h.owner.refused(t, `mutation($i: uuid!) { revokeInvitation(invitationId: $i) { id } }`, args{"i": id})

	id, expired := h.invite(t, three.email)
	operator().must(t, `mutation($t: uuid!, $i: uuid!) { update_invitations_by_pk(pk_columns: {tenant_id: $t, id: $i}, _set: {expires_at: "2020-01-01T00:00:00Z"}) { id } }`,
		args{"t": h.id, "i": id})
	three.refused(t, accept, args{"k": expired})

	_, suspended := h.invite(t, four.email)
	operator().must(t, suspendIt, h.ref())
	four.refused(t, accept, args{"k": suspended})
}

// Whoever left or was removed does not come back by the invitation once used.
func TestUsedInvitationDoesNotBringARemovedMemberBack(t *testing.T) {
	t.Parallel()
	h, u := newHouse(t), newUser(t)
	_, token := h.invite(t, u.email)
	u.must(t, accept, args{"k": token})
	h.owner.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": u.id})
	u.refused(t, accept, args{"k": token})
}

func TestInvitationDoesNotChangeTheRoleOfAMember(t *testing.T) {
	t.Parallel()
	h, u := newHouse(t), newUser(t)
	_, token := h.invite(t, u.email)
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u, role: "owner") { role } }`, args{"t": h.id, "u": u.id})
	u.ask(t, accept, args{"k": token})
	if n := owners(t, h); n != 2 {
		t.Errorf("%d owners after one of them took an invitation as a member", n)
	}
	if r := h.owner.ask(t, `mutation($e: String!) { inviteMember(email: $e, role: "guest") { id } }`, args{"e": h.admin.email}); len(r.Errors) == 0 {
		h.admin.ask(t, accept, args{"k": r.text(t, "inviteMember.id")})
	}
	wantChannels(t, h.admin, allOpen, "after an invitation as a guest")
}

func TestInvitationAcceptedAtOnceFromManySidesMakesOneMember(t *testing.T) {
	t.Parallel()
	h, u := newHouse(t), newUser(t)
	_, token := h.invite(t, u.email)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if r := u.ask(t, accept, args{"k": token}); len(r.Errors) > 0 && r.Errors[0].code() == "unexpected" {
				t.Errorf("%s", r.raw)
			}
		})
	}
	wg.Wait()
	if n := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND actor_user_id = $2`, h.id, u.id); n != 1 {
		t.Errorf("one joining wrote %d audit rows", n)
	}
}

// An identity that is local to one tenant is nobody in another, even where the
// address is the same.
func TestIdentityOfOneTenantCannotJoinAnother(t *testing.T) {
	t.Parallel()
	home, other := newHouse(t), newHouse(t)
	p := home.local(t)
	none := other.owner.refused(t, `mutation { addMember(userId: "`+nobody+`") { role } }`, nil)
	real := other.owner.refused(t, `mutation($u: uuid!) { addMember(userId: $u) { role } }`, args{"u": p.id})
	if none.code() != real.code() || strings.ReplaceAll(none.Message, nobody, "…") != strings.ReplaceAll(real.Message, p.id, "…") {
		t.Errorf("another tenant's identity and none answer differently: %q, %q", real.Message, none.Message)
	}
	_, token := other.invite(t, p.email)
	asUser := hasura().callAction(t, "acceptInvitation", args{"token": token}, p.session())
	asUser.wantFault(t)
	operator().refused(t, `mutation($t: uuid!, $u: uuid!) { insert_members_one(object: {tenant_id: $t, user_id: $u, role: "guest"}) { role } }`, args{"t": other.id, "u": p.id})
	home.owner.must(t, `mutation($u: uuid!) { addMember(userId: $u, role: "guest") { role } }`, args{"u": p.id})
}

// Folding a letter's case must not turn one mailbox into another.
func TestFoldingAnAddressNeverMakesAnothersOfIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for typed, other := range map[string]string{"\u212a@example.test": "k@example.test", "\u0130@example.test": "i@example.test"} {
		r := h.owner.ask(t, `mutation($e: String!) { inviteMember(email: $e) { email } }`, args{"e": typed})
		if len(r.Errors) == 0 && r.text(t, "inviteMember.email") == other {
			t.Errorf("%q was invited as %q", typed, other)
		}
	}
}
