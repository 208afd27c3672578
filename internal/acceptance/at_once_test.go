package acceptance

import (
	"strings"
	"sync"
	"testing"
)

// The same call from many sides at once is served or refused by a rule, each
// time; what the rows' own constraints catch late is no bug of the caller.
func TestSameCallFromManySidesAtOnceEndsInNoBug(t *testing.T) {
	t.Parallel()
	for _, call := range []struct {
		query string
		wins  int // how many may succeed; 0 for any number
	}{
		{`mutation { inviteMember(tenant: "$TENANT", email: "once@example.test") { id } }`, 0},
		{`mutation { addMember(tenant: "$TENANT", userId: "$STRANGER") { role } }`, 1},
		{`mutation { removeMember(tenant: "$TENANT", userId: "$GUEST") { role } }`, 1},
		{`mutation { setTenantSetting(tenant: "$TENANT", key: "fresh", value: 1) { key } }`, 0},
		{`mutation { removeTenantSetting(tenant: "$TENANT", key: "secret") { key } }`, 1},
		{`mutation { suspendTenant(tenant: "$TENANT") { id } }`, 1},
		{`mutation { deleteTenant(tenant: "$TENANT", confirmSlug: "$SLUG") { id } }`, 1},
		{`mutation { updateTenant(tenant: "$TENANT", slug: "renamed-$SLUG") { id } }`, 0},
		{`mutation { transferOwnership(tenant: "$TENANT", userId: "$GUEST") { id } }`, 0},
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(call.query, "mutation { "), "(")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, u := newHouse(t), newUser(t)
			query := fill(call.query, "$TENANT", h.id, "$STRANGER", u.id, "$GUEST", h.guest.id, "$SLUG", h.slug)
			wins := atOnce(t, 6, func(int) reply { return operator().ask(t, query, nil) })
			if wins == 0 || call.wins > 0 && wins != call.wins {
				t.Errorf("%d of 6 succeeded", wins)
			}
		})
	}
}

// atOnce counts the successes of calls that run side by side.
func atOnce(t *testing.T, times int, call func(i int) reply) int {
	t.Helper()
	replies := make([]reply, times)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = call(i) })
	}
	wg.Wait()
	wins := 0
	for _, r := range replies {
		if len(r.Errors) == 0 {
			wins++
		} else if r.Errors[0].code() == "unexpected" {
			t.Errorf("a race ended in a bug: %s", r.raw)
		}
	}
	return wins
}

func TestOneOfManyTenantsAtOnceTakesTheNewSlug(t *testing.T) {
	t.Parallel()
	houses := make([]house, 4)
	for i := range houses {
		houses[i] = newHouse(t)
	}
	slug := unique("coveted")
	wins := atOnce(t, len(houses), func(i int) reply {
		return houses[i].owner.ask(t, `mutation($s: String) { updateTenant(slug: $s) { slug } }`, args{"s": slug})
	})
	if wins != 1 {
		t.Errorf("%d tenants took the same slug", wins)
	}
}
