package actions_test

import (
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestAcceptingAsAMemberAlreadyIsRecorded(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	user := pgtest.User(t, h.db)
	sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": h.email(t, user)})
	h.must(t, pgtest.Operator, "addMember", with(user, "tenant", team.Slug))
	for range 2 {
		h.must(t, session.Session{Role: session.User, User: user}, "acceptInvitation", map[string]any{"token": sent["token"]})
	}
	if got := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'accept_invitation' AND tenant_id = $1`, team.ID.String()); got != 1 {
		t.Errorf("%d audit rows", got)
	}
}

func TestOnlyTheInvitedAddressAcceptsAndOnlyOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	invited, stranger := pgtest.User(t, h.db), pgtest.User(t, h.db)
	var email string
	if err := h.db.QueryRow(t.Context(), `SELECT email FROM auth.users WHERE id = $1`, invited).Scan(&email); err != nil {
		t.Fatal(err)
	}
	sent := h.must(t, team.As(member.Admin), "inviteMember", map[string]any{"email": "  " + email, "role": "guest", "idempotencyKey": "i"})
	again := h.must(t, team.As(member.Admin), "inviteMember", map[string]any{"email": "  " + email, "role": "guest", "idempotencyKey": "i"})
	if sent["token"] == nil || again["id"] != sent["id"] || again["token"] != nil {
		t.Fatalf("the token is shown once: %v then %v", sent, again)
	}
	if got := h.count(t, `SELECT count(*) FROM nself.idempotency_keys WHERE reply::text LIKE '%' || $1 || '%'`, sent["token"]); got != 0 {
		t.Error("the token is stored")
	}
	h.refused(t, "already-invited", owner(team), "inviteMember", map[string]any{"email": email})
	token := map[string]any{"token": sent["token"]}
	h.refused(t, "not-found", session.Session{Role: session.User, User: stranger}, "acceptInvitation", token)
	me := session.Session{Role: session.User, User: invited}
	h.refused(t, "not-found", me, "acceptInvitation", map[string]any{"token": "guess"})
	for range 2 {
		if got := h.must(t, me, "acceptInvitation", token); got["role"] != "guest" || got["tenantId"] != team.ID.String() {
			t.Fatalf("accepted: %v", got)
		}
	}
	h.must(t, owner(team), "removeMember", with(invited))
	h.refused(t, "invitation-ended", me, "acceptInvitation", token)
	h.refused(t, "already-member", owner(team), "inviteMember", map[string]any{"email": h.email(t, team.Guest)})
}

func (h house) email(t testing.TB, user id.User) (email string) {
	t.Helper()
	if err := h.db.QueryRow(t.Context(), `SELECT email FROM auth.users WHERE id = $1`, user).Scan(&email); err != nil {
		t.Fatal(err)
	}
	return email
}

func TestARevokedResentOrExpiredInvitationsTokenEnds(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	invite := func() (session.Session, map[string]any) {
		user := pgtest.User(t, h.db)
		return session.Session{Role: session.User, User: user}, h.must(t, owner(team), "inviteMember", map[string]any{"email": h.email(t, user)})
	}
	one := func(sent map[string]any) map[string]any { return map[string]any{"invitationId": sent["id"]} }
	accept := func(sent map[string]any) map[string]any { return map[string]any{"token": sent["token"]} }

	me, sent := invite()
	h.must(t, owner(team), "revokeInvitation", one(sent))
	h.refused(t, "invitation-ended", me, "acceptInvitation", accept(sent))
	h.refused(t, "invitation-ended", owner(team), "resendInvitation", one(sent))

	me, sent = invite()
	resent := h.must(t, owner(team), "resendInvitation", one(sent))
	h.refused(t, "not-found", me, "acceptInvitation", accept(sent))
	h.must(t, me, "acceptInvitation", accept(resent))

	me, sent = invite()
	if _, err := h.under.Superuser(t).Exec(t.Context(), `UPDATE tenants.tenant_invitations SET expires_at = now() WHERE accepted_at IS NULL`); err != nil {
		t.Fatal(err)
	}
	h.refused(t, "invitation-ended", me, "acceptInvitation", accept(sent))
	h.must(t, owner(team), "inviteMember", map[string]any{"email": h.email(t, me.User)})

	other := pgtest.NewTeam(t, h.db)
	h.refused(t, "not-found", owner(other), "revokeInvitation", one(sent))
}
