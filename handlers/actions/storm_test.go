package actions_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

// Changes that lock the same rows in different orders must wait, never break.
func TestAStormOfChangesToOneTenantEndsInNoDeadlock(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
	users := []id.User{team.Owner, team.Admin, team.Member, team.Guest}
	roles := []member.Role{member.Owner, member.Admin, member.Plain, member.Guest}
	storm := func(random *rand.Rand) (action string, input map[string]any) {
		user, role := users[random.IntN(4)], roles[random.IntN(4)]
		action = []string{
			"updateMemberRole", "addMember", "removeMember", "transferOwnership", "cancelOwnershipTransfer",
			"updateTenant", "suspendTenant", "activateTenant", "createApiKey",
		}[random.IntN(9)]
		switch action {
		case "updateMemberRole", "addMember":
			return action, with(user, "tenant", team.ID, "role", role)
		case "removeMember", "transferOwnership":
			return action, with(user, "tenant", team.ID)
		case "updateTenant":
			return action, map[string]any{"tenant": team.ID, "name": role, "slug": []any{nil, team.Slug, "s" + team.Slug}[random.IntN(3)]}
		case "createApiKey":
			return action, map[string]any{"tenant": team.ID, "name": role}
		}
		return action, map[string]any{"tenant": team.ID}
	}
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range 40 {
				action, input := storm(random)
				if got := h.call(t, pgtest.Operator, action, input); got.status >= 500 {
					t.Errorf("%s(%v): %v", action, input, got.body)
				}
			}
		})
	}
	wait.Wait()
}
