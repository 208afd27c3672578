package acceptance

import (
	"strings"
	"sync"
	"testing"
)

const createOnce = `mutation($n: String!, $k: String) { createTenant(name: $n, idempotencyKey: $k) { id slug } }`

func TestSameIdempotencyKeyAnswersWithTheSameTenant(t *testing.T) {
	t.Parallel()
	u, key := newUser(t), unique("key")
	first := u.must(t, createOnce, args{"n": "Once", "k": key}).text(t, "createTenant.id")
	again := u.must(t, createOnce, args{"n": "Once", "k": key}).text(t, "createTenant.id")
	if first != again {
		t.Errorf("the same key made %s and %s", first, again)
	}
	if n := auditRows(t, first); n != 1 {
		t.Errorf("%d audit rows of one creation", n)
	}
	if other := u.must(t, createOnce, args{"n": "Once", "k": key + "x"}).text(t, "createTenant.id"); other == first {
		t.Error("another key gave the same tenant")
	}
	if n := u.must(t, `{ myTenants { id } }`, nil).count(t, "myTenants"); n != 2 {
		t.Errorf("two keys made %d tenants", n)
	}
}

func TestIdempotencyKeyOfAnotherInputIsRefused(t *testing.T) {
	t.Parallel()
	u, key := newUser(t), unique("key")
	u.must(t, createOnce, args{"n": "Once", "k": key})
	u.refused(t, createOnce, args{"n": "Other", "k": key})
	for _, bad := range []string{"", strings.Repeat("k", 256), "a\x00b"} {
		if e := u.refused(t, createOnce, args{"n": "Once", "k": bad}); e.code() != "invalid-input" {
			t.Errorf("key %.10q: %s", bad, e.Message)
		}
	}
}

func TestIdempotencyKeyOfOneUserTellsAnotherNothing(t *testing.T) {
	t.Parallel()
	first, second, key := newUser(t), newUser(t), unique("key")
	mine := first.must(t, createOnce, args{"n": "Once", "k": key}).text(t, "createTenant.id")
	if theirs := second.must(t, createOnce, args{"n": "Once", "k": key}).text(t, "createTenant.id"); theirs == mine {
		t.Error("a stranger's key answered with my tenant")
	}
	h, g := newHouse(t), newHouse(t)
	invite := `mutation($e: String!, $k: String) { inviteMember(email: $e, idempotencyKey: $k) { id tenantId token } }`
	a := h.owner.must(t, invite, args{"e": "same@example.test", "k": key})
	b := g.owner.must(t, invite, args{"e": "same@example.test", "k": key})
	if a.text(t, "inviteMember.tenantId") == b.text(t, "inviteMember.tenantId") {
		t.Errorf("one house's key answered with another's invitation: %s", b.raw)
	}
}

func TestSameIdempotencyKeyAtOnceMakesOneTenant(t *testing.T) {
	t.Parallel()
	u, key := newUser(t), unique("key")
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			r := u.ask(t, createOnce, args{"n": "Race", "k": key})
			if len(r.Errors) == 0 {
				ids[i] = r.text(t, "createTenant.id")
			} else if r.Errors[0].code() == "unexpected" {
				t.Errorf("a race is no bug of the caller: %s", r.raw)
			}
		})
	}
	wg.Wait()
	made := map[string]bool{}
	for _, id := range ids {
		if id != "" {
			made[id] = true
		}
	}
	if len(made) != 1 {
		t.Errorf("one key made %d tenants: %v", len(made), ids)
	}
	if n := u.must(t, `{ myTenants { id } }`, nil).count(t, "myTenants"); n != 1 {
		t.Errorf("the user is in %d tenants", n)
	}
}

func TestCreationsOfMembersKeepTheirKeyToo(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), unique("key")
	u := h.local(t)
	add := `mutation($u: uuid!, $k: String) { addMember(userId: $u, idempotencyKey: $k) { userId role } }`
	h.owner.must(t, add, args{"u": u.id, "k": key})
	h.owner.must(t, add, args{"u": u.id, "k": key})
	h.owner.refused(t, add, args{"u": u.id, "k": key + "x"})
	invite := `mutation($e: String!, $k: String) { inviteMember(email: $e, idempotencyKey: $k) { id } }`
	first := h.owner.must(t, invite, args{"e": "twice@example.test", "k": key}).text(t, "inviteMember.id")
	again := h.owner.must(t, invite, args{"e": "twice@example.test", "k": key}).text(t, "inviteMember.id")
	if first != again {
		t.Errorf("the same key made invitations %s and %s", first, again)
	}
}
