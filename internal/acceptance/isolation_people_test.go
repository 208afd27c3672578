package acceptance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Nobody is made a member of a tenant by a stranger who knows, or guesses, an id: a
// shared identity joins by its own act alone. To whoever tries, all the people outside
// and no person at all are one.
func TestNoTenantPullsInPeopleWhoDidNotAgree(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	fresh, invited, left := newUser(t), newUser(t), mine.admit(t, "member")
	mine.invite(t, invited.email)
	left.must(t, `mutation { leaveTenant { role } }`, nil)
	both := theirs.admit(t, "guest")
	victims := append(theirs.people(), fresh, invited, left, both, theirs.local(t))
	before, beforeTheirs := fingerprint(t, mine), fingerprint(t, theirs)
	for _, attacker := range []person{mine.owner, mine.admin} {
		for _, query := range []string{
			`mutation($u: uuid!) { addMember(userId: $u) { role } }`,
			`mutation($u: uuid!) { addMember(userId: $u, role: "guest", tenant: "` + mine.slug + `") { joinedAt } }`,
			`mutation($u: uuid!) { addMember(userId: $u, role: "admin", idempotencyKey: "` + unique("key") + `") { userId } }`,
		} {
			none := attacker.refused(t, query, args{"u": nobody})
			if none.code() != "not-found" || !strings.Contains(none.Message, "invite") {
				t.Errorf("%s: %s %q", query, none.code(), none.Message)
			}
			none.Message = strings.ReplaceAll(none.Message, nobody, "…")
			for _, victim := range victims {
				r := attacker.ask(t, query, args{"u": victim.id})
				if len(r.Errors) == 0 {
					t.Errorf("the %s pulled %s in: %s", attacker.role, victim.email, r.raw)
					continue
				}
				r.Errors[0].Message = strings.ReplaceAll(r.Errors[0].Message, victim.id, "…")
				if diff := cmp.Diff(none, r.Errors[0]); diff != "" {
					t.Errorf("%s\n  %s and nobody answer differently (-nobody +person):\n%s", query, victim.email, diff)
				}
			}
		}
	}
	if diff := cmp.Diff(before, fingerprint(t, mine)); diff != "" {
		t.Errorf("the attempts left a trace:\n%s", diff)
	}
	if diff := cmp.Diff(beforeTheirs, fingerprint(t, theirs)); diff != "" {
		t.Errorf("the other tenant changed:\n%s", diff)
	}
	read := mine.owner.must(t, `query($e: [String!]!) { users(where: {email: {_in: $e}}) { id } }`, args{"e": emails(victims)})
	if n := read.count(t, "users"); n != 0 {
		t.Errorf("the owner reads %d of the people who are not in: %s", n, read.raw)
	}
}

func emails(people []person) []string {
	all := make([]string, len(people))
	for i, p := range people {
		all[i] = p.email
	}
	return all
}

// Who is in is visible to the tenant's people anyway, so that they are told the reason.
func TestWhoIsInAlreadyIsSaidToBe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own := h.local(t)
	add := `mutation($u: uuid!) { addMember(userId: $u, role: "guest") { role } }`
	h.admin.must(t, add, args{"u": own.id})
	for _, id := range []string{own.id, h.guest.id, h.owner.id} {
		if e := h.admin.refused(t, add, args{"u": id}); e.code() != "already-member" {
			t.Errorf("%s: %q", e.code(), e.Message)
		}
	}
}

// Leaving holds against an owner who keeps adding: the membership that ends in one
// transaction is no consent in another.
func TestWhoLeavesWhileAnOwnerAddsIsOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 10 {
		p := h.admit(t, "member")
		atOnce(t, 5, func(i int) reply {
			if i == 2 {
				return p.ask(t, `mutation { leaveTenant { role } }`, nil)
			}
			return h.owner.ask(t, `mutation($u: uuid!) { addMember(userId: $u) { role } }`, args{"u": p.id})
		})
		if r := h.owner.must(t, `query($u: uuid!) { members(where: {user_id: {_eq: $u}}) { role } }`, args{"u": p.id}); r.count(t, "members") != 0 {
			t.Fatalf("who left is a member again: %s", r.raw)
		}
	}
}
