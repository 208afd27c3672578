package actions_test

import (
	"testing"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// visit is an invitation somebody holds.
type visit struct {
	h    house
	team pgtest.Team
	me   session.Session
	mail string
	sent map[string]any
}

func (h house) invitedBy(t *testing.T, actor session.Session, team pgtest.Team) visit {
	v := visit{h: h, team: team}
	v.me, v.mail = h.outsider(t)
	v.sent = h.must(t, actor, "inviteMember", map[string]any{"email": v.mail, "tenant": team.Slug})
	return v
}

func (v *visit) resentBy(t *testing.T, actor session.Session) {
	v.sent = v.h.must(t, actor, "resendInvitation", map[string]any{"invitationId": v.sent["id"], "tenant": v.team.Slug})
}

// holds fails the test unless the invitation is as good as said, whoever asks.
func (v *visit) holds(t *testing.T, good bool) {
	t.Helper()
	invited, err := member.Invited(t.Context(), v.h.db, v.team.ID, v.mail)
	if err != nil || invited != good {
		t.Errorf("the address is invited: %t, %v", invited, err)
	}
	acceptable, err := member.Acceptable(t.Context(), v.h.db, v.sent["token"].(string))
	if err != nil || acceptable != good {
		t.Errorf("the invitation is acceptable: %t, %v", acceptable, err)
	}
	if good {
		v.h.must(t, v.me, "acceptInvitation", accepting(v.sent["token"]))
	} else {
		v.h.refused(t, "invitation-ended", v.me, "acceptInvitation", accepting(v.sent["token"]))
	}
}

func (h house) deleteAccount(t *testing.T, user id.User) {
	t.Helper()
	h.exec(t, `DELETE FROM auth.users WHERE id = $1`, user)
}

func TestTheInvitationsOfADeletedAccountStayEnded(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	v, other := h.invitedBy(t, team.As(member.Admin), team), h.invitedBy(t, team.As(member.Admin), team)
	h.must(t, owner(team), "removeMember", with(team.Admin))
	v.holds(t, false)
	h.deleteAccount(t, team.Admin)
	v.holds(t, false)
	v.resentBy(t, owner(team))
	v.holds(t, true)
	other.resentBy(t, pgtest.Operator)
	other.holds(t, true)
}

func TestTheOperatorsInvitationIsTheOperatorsWhoeverTheHeadersName(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	named := session.Session{Role: session.Operator, User: pgtest.User(t, h.db)}
	plain, byName := h.invitedBy(t, pgtest.Operator, team), h.invitedBy(t, named, team)
	plain.holds(t, true)
	h.deleteAccount(t, named.User)
	byName.holds(t, true)
}

func TestWhoeverSendsAnInvitationAgainVouchesForIt(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	taken, given := h.invitedBy(t, pgtest.Operator, team), h.invitedBy(t, team.As(member.Admin), team)
	taken.resentBy(t, team.As(member.Admin))
	given.resentBy(t, pgtest.Operator)
	h.must(t, owner(team), "removeMember", with(team.Admin))
	h.deleteAccount(t, team.Admin)
	taken.holds(t, false)
	given.holds(t, true)
}

func TestTheInvitationsOfAKeyEndWithIt(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for how, end := range map[string]func(key map[string]any){
		"revoked": func(key map[string]any) {
			h.must(t, owner(team), "revokeApiKey", map[string]any{"apiKeyId": key["id"]})
		},
		"past its time": func(key map[string]any) {
			h.exec(t, `UPDATE auth.api_keys SET expires_at = now() WHERE id = $1`, key["id"])
		},
		"without its identity": func(key map[string]any) { h.exec(t, `DELETE FROM auth.users WHERE id = $1`, key["userId"]) },
	} {
		t.Run(how, func(t *testing.T) {
			key := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k", "role": "admin", "expiresAt": time.Now().Add(time.Hour)})
			machine := as(t, session.TenantAdmin, key["userId"], team)
			v, early := h.invitedBy(t, machine, team), h.invitedBy(t, machine, team)
			early.holds(t, true)
			end(key)
			v.holds(t, false)
		})
	}
}

func TestTheOfferOfADeletedAccountStaysEnded(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
	h.must(t, newOwner(team, member.Admin), "transferOwnership", with(team.Guest))
	h.must(t, owner(team), "removeMember", with(team.Admin))
	h.refused(t, "transfer-ended", team.As(member.Guest), "acceptOwnership", nil)
	h.deleteAccount(t, team.Admin)
	h.refused(t, "transfer-ended", team.As(member.Guest), "acceptOwnership", nil)
	h.must(t, owner(team), "cancelOwnershipTransfer", nil)
	named := session.Session{Role: session.Operator, User: pgtest.User(t, h.db)}
	h.must(t, named, "transferOwnership", with(team.Guest, "tenant", team.Slug))
	h.deleteAccount(t, named.User)
	h.must(t, team.As(member.Guest), "acceptOwnership", nil)
}
