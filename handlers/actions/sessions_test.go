package actions_test

import (
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// signedIn is the session of a team's member after a sign-in.
func (h house) signedIn(t testing.TB, team pgtest.Team, role member.Role) session.Session {
	t.Helper()
	s := team.As(role)
	opened, err := h.minter.Open(t.Context(), h.db, s, token.SignIn{User: s.User, Tenant: team.ID, Method: token.ByLink})
	if err != nil {
		t.Fatal(err)
	}
	s.ID = opened.Session
	return s
}

func TestAnEndedSessionMayDoNothing(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "addMember", with(team.Owner, "tenant", other.Slug))
	for _, end := range []map[string]any{{}, {"everywhere": true}} {
		me := h.signedIn(t, team, member.Owner)
		if got := h.must(t, me, "signOut", end); got["ended"] != 1.0 {
			t.Errorf("signed out of %v", got)
		}
		for action, input := range map[string]map[string]any{
			"tenantStats": nil, "createTenant": {"name": "n"}, "myTenants": nil, "switchTenant": {"tenant": other.Slug}, "signOut": end,
			"acceptInvitation": {"token": "t"}, "revokeSessions": {"userId": team.Guest}, "createApiKey": {"name": "k"}, "acceptOwnership": nil,
		} {
			h.refused(t, "session-ended", me, action, input)
		}
	}
}

func TestAStolenNameOfASessionOpensNothing(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	owners := h.signedIn(t, team, member.Owner)
	guest := team.As(member.Guest)
	guest.ID = owners.ID
	h.refused(t, "session-ended", guest, "leaveTenant", nil)
	guest.ID = id.New[id.Session]()
	h.refused(t, "session-ended", guest, "myTenants", nil)
}

func TestSignOutIsTheCallersOwn(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	me, again, theirs := h.signedIn(t, team, member.Guest), h.signedIn(t, team, member.Guest), h.signedIn(t, team, member.Owner)
	h.refused(t, "not-found", me, "signOut", map[string]any{"sessionId": theirs.ID})
	h.refused(t, "invalid-input", me, "signOut", map[string]any{"userId": team.Owner, "everywhere": true})
	h.refused(t, "invalid-input", me, "signOut", map[string]any{"sessionId": again.ID, "everywhere": true})
	h.must(t, me, "signOut", map[string]any{"sessionId": again.ID})
	h.refused(t, "session-ended", again, "myTenants", nil)
	h.must(t, theirs, "tenantStats", nil)
	if got := h.call(t, me, "myTenants", nil); len(got.list) != 1 {
		t.Errorf("%v", got)
	}
	for _, wrong := range []map[string]any{{}, {"everywhere": true}, {"userId": team.Owner}, {"userId": team.Owner, "everywhere": false}} {
		h.refused(t, "invalid-input", pgtest.Operator, "signOut", wrong)
	}
	h.must(t, pgtest.Operator, "signOut", with(team.Owner, "everywhere", true))
	h.refused(t, "session-ended", theirs, "tenantStats", nil)
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'sign_out'`); n != 2 {
		t.Errorf("%d audit rows", n)
	}
}

func TestManagersRevokeSessionsOfTheirTenantAndAdminsNoOwners(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	boss, guest, stranger := h.signedIn(t, team, member.Owner), h.signedIn(t, team, member.Guest), h.signedIn(t, other, member.Guest)
	admin := team.As(member.Admin)
	h.refused(t, "forbidden", guest, "revokeSessions", map[string]any{"userId": guest.User})
	h.refused(t, "forbidden", admin, "revokeSessions", map[string]any{"sessionId": boss.ID})
	h.refused(t, "forbidden", admin, "revokeSessions", map[string]any{"userId": boss.User})
	h.refused(t, "not-found", owner(team), "revokeSessions", map[string]any{"sessionId": stranger.ID})
	h.refused(t, "not-found", owner(team), "revokeSessions", map[string]any{"userId": stranger.User})
	h.refused(t, "invalid-input", owner(team), "revokeSessions", nil)
	h.refused(t, "invalid-input", owner(team), "revokeSessions", map[string]any{"sessionId": guest.ID, "userId": guest.User})
	if got := h.must(t, admin, "revokeSessions", map[string]any{"userId": guest.User}); got["ended"] != 1.0 {
		t.Errorf("revoked %v", got)
	}
	h.refused(t, "session-ended", guest, "leaveTenant", nil)
	h.must(t, stranger, "leaveTenant", nil)
	if n := h.audited(t, team, "revoke_sessions"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestTheOperatorActsInAUsersPlaceInSightAndWithinBounds(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	input := func(more ...any) map[string]any {
		return with(team.Admin, append([]any{"tenant", team.Slug, "reason", "Ticket 7"}, more...)...)
	}
	for _, role := range []member.Role{member.Owner, member.Admin, member.Plain, member.Guest} {
		h.refused(t, "forbidden", team.As(role), "impersonate", input())
	}
	got := h.refused(t, "invalid-input", pgtest.Operator, "impersonate", map[string]any{"userId": "x", "reason": " a ", "ttlSeconds": 3601})
	if problems := got.body["extensions"].(map[string]any)["problems"].([]any); len(problems) != 3 {
		t.Errorf("told %v", problems)
	}
	h.refused(t, "not-found", pgtest.Operator, "impersonate", with(pgtest.User(t, h.db), "tenant", team.Slug, "reason", "Ticket 7"))
	h.refused(t, "not-found", pgtest.Operator, "impersonate", with(team.Admin, "tenant", "nowhere", "reason", "Ticket 7"))
	made := h.must(t, pgtest.Operator, "impersonate", input("ttlSeconds", 3600))
	if made["role"] != "tenant_admin" || made["refreshToken"] != nil || made["accessToken"] == "" {
		t.Errorf("made %v", made)
	}
	inPlace := team.As(member.Admin)
	inPlace.Impersonator = "operator"
	inPlace.ID, _ = id.Parse[id.Session](made["sessionId"].(string))
	h.must(t, inPlace, "setTenantSetting", map[string]any{"key": "k", "value": 1})
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'set_tenant_setting' AND impersonator = 'operator' AND session_id = $1 AND actor_user_id = $2`,
		inPlace.ID, team.Admin); n != 1 {
		t.Error("the log does not tell who acted in whose place")
	}
	for action, input := range map[string]map[string]any{
		"createApiKey": {"name": "k"}, "inviteMember": {"email": "a@b.example"}, "inviteMembers": {"emails": []string{"a@b.example"}},
		"acceptOwnership": nil, "switchTenant": {"tenant": team.Slug}, "signOut": {"everywhere": true},
	} {
		h.refused(t, "forbidden", inPlace, action, input)
	}
	inPlace.User, inPlace.Role = team.Owner, session.TenantOwner
	h.refused(t, "forbidden", inPlace, "transferOwnership", with(team.Guest))
	h.refused(t, "forbidden", inPlace, "deleteTenant", map[string]any{"confirmSlug": team.Slug})
	inPlace.User, inPlace.Role = team.Admin, session.TenantAdmin
	h.must(t, inPlace, "signOut", map[string]any{"everywhere": false})
	h.refused(t, "session-ended", inPlace, "myTenants", nil)
}

func TestTheOperatorRotatesTheSigningKey(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.refused(t, "forbidden", owner(team), "rotateSigningKey", nil)
	first := h.must(t, pgtest.Operator, "rotateSigningKey", nil)
	second := h.must(t, pgtest.Operator, "rotateSigningKey", map[string]any{"revokeOld": true})
	if len(first["retiring"].([]any)) != 1 || first["algorithm"] != "ES256" || first["kid"] == second["kid"] || len(second["retiring"].([]any)) == 0 {
		t.Errorf("rotated to %v, then %v", first, second)
	}
}

func TestATokenOfAnotherTenantKeepsWhatItsSessionHas(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "addMember", with(team.Owner, "tenant", other.Slug))
	me := h.signedIn(t, team, member.Owner)
	got := h.must(t, me, "switchTenant", map[string]any{"tenant": other.Slug})
	if got["refreshToken"] == nil || got["role"] != "tenant_member" || got["sessionId"] == me.ID.String() {
		t.Errorf("switched to %v", got)
	}
	key := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k"})
	machine := as(t, session.Member, key["userId"], team)
	minted, err := h.minter.MintForKey(t.Context(), h.db, team.ID, machine.User)
	if err != nil {
		t.Fatal(err)
	}
	machine.ID = minted.Session
	h.refused(t, "forbidden", machine, "switchTenant", map[string]any{"tenant": team.Slug})
}
