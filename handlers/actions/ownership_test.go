package actions_test

import (
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
)

func newOwner(team pgtest.Team, user member.Role) session.Session {
	s := team.As(user)
	s.Role = session.TenantOwner
	return s
}

func (h house) audited(t testing.TB, team pgtest.Team, action string) int {
	t.Helper()
	return h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = $2`, team.ID, action)
}

func TestOwnershipIsOfferedAndNothingChangesUntilItIsAccepted(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	offer := h.must(t, owner(team), "transferOwnership", with(team.Guest))
	if offer["fromUserId"] != team.Owner.String() || offer["toUserId"] != team.Guest.String() || offer["acceptedAt"] != nil || offer["endedAt"] != nil {
		t.Errorf("offered %v", offer)
	}
	mails := h.mails(t)
	if len(mails) != 1 || mails[0].Kind != queue.OwnershipTransfer || mails[0].To != h.email(t, team.Guest) ||
		mails[0].Values[queue.From] != h.email(t, team.Owner) || mails[0].Values[queue.TenantName] != team.Name || mails[0].Values[queue.Expires] == "" {
		t.Errorf("mailed %+v", mails)
	}
	if n := h.count(t, `SELECT count(*) FROM tenants.ownership_transfers WHERE id = $1 AND expires_at = created_at + interval '7 days'`, offer["id"]); n != 1 {
		t.Error("an offer does not last seven days")
	}
	h.must(t, owner(team), "updateTenant", map[string]any{"name": "Mine still"})
	for _, role := range []member.Role{member.Owner, member.Admin, member.Plain} {
		h.refused(t, "not-found", team.As(role), "acceptOwnership", nil)
	}
	h.refused(t, "forbidden", pgtest.Operator, "acceptOwnership", map[string]any{"tenant": team.Slug})
	got := h.must(t, team.As(member.Guest), "acceptOwnership", nil)
	if got["ownerUserId"] != team.Guest.String() {
		t.Errorf("accepted %v", got)
	}
	if n := h.count(t, `SELECT count(*) FROM tenants.tenants WHERE id = $1 AND updated_at = $2::timestamptz AND owner_user_id = $3`, team.ID, got["updatedAt"], team.Guest); n != 1 {
		t.Errorf("the reply says %v, the row says otherwise", got)
	}
	h.refused(t, "role-changed", owner(team), "updateTenant", map[string]any{"name": "Mine"})
	h.must(t, newOwner(team, member.Guest), "updateTenant", map[string]any{"name": "Theirs"})
	if n := h.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2 AND role = 'admin'`, team.ID, team.Owner); n != 1 {
		t.Error("who gave the tenant away is no admin")
	}
	h.refused(t, "transfer-ended", newOwner(team, member.Guest), "acceptOwnership", nil)
	if h.audited(t, team, "offer_ownership") != 1 || h.audited(t, team, "transfer_ownership") != 1 {
		t.Error("offer and acceptance are not one audit row each")
	}
}

func TestOneOfferIsOpenAtATime(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.refused(t, "not-found", owner(team), "transferOwnership", with(pgtest.User(t, h.db)))
	h.refused(t, "wrong-status", owner(team), "transferOwnership", with(team.Owner))
	machine := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k"})
	h.refused(t, "not-found", owner(team), "transferOwnership", map[string]any{"userId": machine["userId"]})
	h.must(t, pgtest.Operator, "transferOwnership", with(team.Admin, "tenant", team.Slug))
	h.refused(t, "wrong-status", owner(team), "transferOwnership", with(team.Guest))
	h.exec(t, `UPDATE tenants.ownership_transfers SET expires_at = now() WHERE tenant_id = $1`, team.ID)
	h.refused(t, "transfer-ended", team.As(member.Admin), "acceptOwnership", nil)
	h.refused(t, "transfer-ended", team.As(member.Admin), "cancelOwnershipTransfer", nil)
	h.must(t, owner(team), "transferOwnership", with(team.Guest))
	h.must(t, team.As(member.Guest), "acceptOwnership", nil)
}

func (h house) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.under.Superuser(t).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func TestAnOfferIsTakenBackByAnOwnerOrDeclinedByItsReceiverAndByNobodyElse(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.refused(t, "not-found", owner(team), "cancelOwnershipTransfer", nil)
	for actor, action := range map[member.Role]string{member.Owner: "cancel_ownership_transfer", member.Guest: "decline_ownership"} {
		h.must(t, owner(team), "transferOwnership", with(team.Guest))
		for _, role := range []member.Role{member.Admin, member.Plain} {
			h.refused(t, "not-found", team.As(role), "cancelOwnershipTransfer", nil)
		}
		if got := h.must(t, team.As(actor), "cancelOwnershipTransfer", nil); got["endedAt"] == nil {
			t.Errorf("ended %v", got)
		}
		h.refused(t, "transfer-ended", team.As(actor), "cancelOwnershipTransfer", nil)
		h.refused(t, "transfer-ended", team.As(member.Guest), "acceptOwnership", nil)
		if n := h.audited(t, team, action); n != 1 {
			t.Errorf("%d rows of %s", n, action)
		}
	}
	h.must(t, owner(team), "transferOwnership", with(team.Guest))
	h.must(t, pgtest.Operator, "cancelOwnershipTransfer", map[string]any{"tenant": team.Slug})
}

// What held when the tenant was offered must hold when it is accepted.
func TestAnOfferEndsWithWhatItRestsOn(t *testing.T) {
	h := newHouse(t)
	coOwner := func(team pgtest.Team) session.Session {
		h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
		return newOwner(team, member.Admin)
	}
	for what, c := range map[string]struct {
		code string
		end  func(team pgtest.Team)
	}{
		"the giver owns no more": {"transfer-ended", func(team pgtest.Team) {
			second := coOwner(team)
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.must(t, second, "updateMemberRole", with(team.Owner, "role", "member"))
		}},
		"the giver is gone": {"not-found", func(team pgtest.Team) {
			second := coOwner(team)
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.must(t, second, "removeMember", with(team.Owner))
		}},
		"whoever offered it owns no more": {"transfer-ended", func(team pgtest.Team) {
			h.must(t, coOwner(team), "transferOwnership", with(team.Guest))
			h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "admin"))
		}},
		"the tenant is out of service": {"tenant-not-active", func(team pgtest.Team) {
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": team.Slug})
		}},
		"the receiver is no member": {"not-a-member", func(team pgtest.Team) {
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.must(t, owner(team), "removeMember", with(team.Guest))
		}},
		"the receiver came back": {"not-found", func(team pgtest.Team) {
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.must(t, owner(team), "removeMember", with(team.Guest))
			h.must(t, pgtest.Operator, "addMember", with(team.Guest, "role", "guest", "tenant", team.Slug))
		}},
		"the receiver is a machine": {"not-found", func(team pgtest.Team) {
			h.must(t, owner(team), "transferOwnership", with(team.Guest))
			h.exec(t, `UPDATE auth.users SET kind = 'service', tenant_id = $2 WHERE id = $1`, team.Guest, team.ID)
		}},
	} {
		team := pgtest.NewTeam(t, h.db)
		if what == "the receiver is a machine" {
			team.Guest = h.local(t, team)
			h.must(t, owner(team), "addMember", with(team.Guest, "role", "guest"))
		}
		c.end(team)
		got := h.call(t, team.As(member.Guest), "acceptOwnership", nil)
		if got.code() != c.code {
			t.Errorf("%s: %d %v", what, got.status, got.body)
		}
	}
}

func TestAnotherTenantsOfferIsNone(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "transferOwnership", with(team.Guest))
	h.must(t, pgtest.Operator, "addMember", with(team.Guest, "role", "guest", "tenant", other.Slug))
	there := session.Session{Role: session.Guest, User: team.Guest, Tenant: other.ID}
	for _, action := range []string{"acceptOwnership", "cancelOwnershipTransfer"} {
		h.refused(t, "not-found", there, action, nil)
		h.refused(t, "not-found", there, action, map[string]any{"tenant": team.Slug})
		h.refused(t, "not-found", owner(other), action, nil)
	}
}

func TestOneWhoAcceptsWhileItIsTakenBackEitherOwnsOrNot(t *testing.T) {
	h := newHouse(t)
	for range 15 {
		team := pgtest.NewTeam(t, h.db)
		h.must(t, owner(team), "transferOwnership", with(team.Guest))
		answers := make([]reply, 4)
		var wait sync.WaitGroup
		wait.Go(func() { answers[0] = h.call(t, team.As(member.Guest), "acceptOwnership", nil) })
		wait.Go(func() { answers[1] = h.call(t, team.As(member.Guest), "acceptOwnership", nil) })
		wait.Go(func() { answers[2] = h.call(t, owner(team), "cancelOwnershipTransfer", nil) })
		wait.Go(func() { answers[3] = h.call(t, owner(team), "removeMember", with(team.Guest)) })
		wait.Wait()
		for _, a := range answers {
			if a.status >= 500 {
				t.Errorf("answered %v", a.body)
			}
		}
		accepted := answers[0].status == 200 || answers[1].status == 200
		if accepted && answers[0].status == answers[1].status || accepted && answers[2].status == 200 {
			t.Errorf("accepted twice, or accepted and taken back: %v", answers)
		}
		if n := h.count(t, `SELECT count(*) FROM tenants.tenants t JOIN tenants.tenant_members m ON m.tenant_id = t.id AND m.user_id = t.owner_user_id
			WHERE t.id = $1 AND m.role = 'owner'`, team.ID); n != 1 {
			t.Fatalf("the tenant names no owner: %v", answers)
		}
	}
}

func TestATenantNamesNoOwnerButAnOwner(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	_, err := h.under.Pool(t, "nself_owner").Exec(t.Context(), `UPDATE tenants.tenants SET owner_user_id = $1 WHERE id = $2`, team.Guest, team.ID)
	if pg.Constraint(err) != "tenants_name_an_owner" {
		t.Errorf("a tenant names a guest as its owner: %v", err)
	}
}
