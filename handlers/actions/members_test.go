package actions_test

import (
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func with(user id.User, more ...any) map[string]any {
	input := map[string]any{"userId": user}
	for i := 0; i+1 < len(more); i += 2 {
		input[more[i].(string)] = more[i+1]
	}
	return input
}

func TestMembersAreAddedChangedAndRemovedWithOneAuditRowEach(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	user := h.local(t, team)
	if got := h.must(t, owner(team), "addMember", with(user, "role", "guest")); got["role"] != "guest" || got["invitedBy"] != team.Owner.String() {
		t.Errorf("added: %v", got)
	}
	h.refused(t, "already-member", owner(team), "addMember", with(user))
	if got := h.must(t, owner(team), "updateMemberRole", with(user, "role", "admin")); got["role"] != "admin" {
		t.Errorf("updated: %v", got)
	}
	h.must(t, owner(team), "removeMember", with(user))
	h.refused(t, "not-found", owner(team), "removeMember", with(user))
	if got := h.count(t, `SELECT count(*) FROM audit.log WHERE target = 'member:' || $1 AND actor_user_id = $2`, user.String(), team.Owner.String()); got != 3 {
		t.Errorf("%d audit rows for three changes", got)
	}
}

func TestAnAdminHasNoSayAboutOwners(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	admin := team.As(member.Admin)
	h.refused(t, "forbidden", admin, "addMember", with(pgtest.User(t, h.db), "role", "owner"))
	h.refused(t, "forbidden", admin, "inviteMember", map[string]any{"email": "x@y.example", "role": "owner"})
	h.refused(t, "forbidden", admin, "updateMemberRole", with(team.Member, "role", "owner"))
	h.refused(t, "forbidden", admin, "updateMemberRole", with(team.Owner, "role", "guest"))
	h.refused(t, "forbidden", admin, "removeMember", with(team.Owner))
	h.refused(t, "forbidden", admin, "transferOwnership", with(team.Admin))
	h.refused(t, "forbidden", admin, "deleteTenant", map[string]any{"confirmSlug": team.Slug})
	h.must(t, admin, "updateMemberRole", with(team.Guest, "role", "member"))
}

func TestTheLastOwnerCannotLeaveBeDemotedOrBeRemoved(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.refused(t, "last-owner", owner(team), "leaveTenant", nil)
	h.refused(t, "last-owner", owner(team), "updateMemberRole", with(team.Owner, "role", "admin"))
	h.refused(t, "last-owner", pgtest.Operator, "removeMember", with(team.Owner, "tenant", team.Slug))
}

func TestOfTwoOwnersWhoLeaveAtOnceOneStays(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		team := pgtest.NewTeam(t, h.db)
		h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
		second := session.Session{Role: session.TenantOwner, User: team.Admin, Tenant: team.ID}
		var wait sync.WaitGroup
		done := make([]int, 3)
		wait.Go(func() { done[0] = h.call(t, owner(team), "leaveTenant", nil).status })
		wait.Go(func() { done[1] = h.call(t, second, "leaveTenant", nil).status })
		wait.Go(func() {
			done[2] = h.call(t, second, "updateMemberRole", with(team.Owner, "role", "guest")).status
		})
		wait.Wait()
		for _, status := range done {
			if status >= 500 {
				t.Errorf("answers %v", done)
			}
		}
		if got := h.count(t, `SELECT count(*) FROM tenants.tenants t JOIN tenants.tenant_members m ON m.tenant_id = t.id AND m.user_id = t.owner_user_id
			WHERE t.id = $1 AND m.role = 'owner'`, team.ID.String()); got != 1 {
			t.Fatalf("the tenant's owner is not an owner any more; answers %v", done)
		}
	}
}

func TestAnOperatorWhoseHeadersNameNobodyIsToldSo(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	nowhere := session.Session{Role: session.Operator, Tenant: id.New[id.Tenant]()}
	nobody := session.Session{Role: session.Operator, User: id.New[id.User](), Tenant: team.ID}
	for action, input := range map[string]map[string]any{
		"setTenantSetting": {"key": "k", "value": 1}, "addMember": with(pgtest.User(t, h.db)), "inviteMember": {"email": "a@b.example"},
	} {
		h.refused(t, "not-found", nowhere, action, input)
	}
	h.refused(t, "invalid-session", nobody, "addMember", with(pgtest.User(t, h.db)))
	h.refused(t, "invalid-session", nobody, "inviteMember", map[string]any{"email": "a@b.example"})
}

func TestARemovedOrDemotedMemberIsRefusedWithAValidToken(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	admin := team.As(member.Admin)
	h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "guest"))
	h.refused(t, "role-changed", admin, "setTenantSetting", map[string]any{"key": "k", "value": 1})
	if got := h.must(t, admin, "switchTenant", map[string]any{"tenant": team.Slug}); got["role"] != "tenant_guest" {
		t.Errorf("the way on after a change of role is %v", got)
	}
	h.must(t, owner(team), "removeMember", with(team.Admin))
	h.refused(t, "not-a-member", admin, "setTenantSetting", map[string]any{"key": "k", "value": 1})
	h.refused(t, "not-found", admin, "switchTenant", map[string]any{"tenant": team.Slug})
	h.refused(t, "not-a-member", admin, "createTenant", map[string]any{"name": "x"})
	if got := h.seenAs(t, "nself_app", admin); got != 0 {
		t.Errorf("nself_app sees %d members under a removed member's session", got)
	}
}

func TestSwitchTenantMintsForTheCallersOwnTenantsOnly(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "addMember", with(team.Guest, "role", "admin", "tenant", other.Slug))
	got := h.must(t, team.As(member.Guest), "switchTenant", map[string]any{"tenant": other.Slug})
	if got["role"] != "tenant_admin" || got["tenantId"] != other.ID.String() || got["accessToken"] == "" {
		t.Errorf("switched: %v", got)
	}
	h.refused(t, "not-found", owner(team), "switchTenant", map[string]any{"tenant": other.Slug})
	h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": other.Slug})
	h.refused(t, "not-found", team.As(member.Guest), "switchTenant", map[string]any{"tenant": other.Slug})
}
