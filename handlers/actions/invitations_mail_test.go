package actions_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
)

// outsider is a user of no tenant, with an address.
func (h house) outsider(t testing.TB) (session.Session, string) {
	t.Helper()
	user := pgtest.User(t, h.db)
	return session.Session{Role: session.User, User: user}, h.email(t, user)
}

func accepting(token any) map[string]any { return map[string]any{"token": token} }

func TestAnInvitationGoesByMailAndItsTokenToNobodyElse(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	if _, err := h.db.Exec(t.Context(), `UPDATE auth.users SET name = 'Ada' WHERE id = $1`, team.Admin); err != nil {
		t.Fatal(err)
	}
	me, address := h.outsider(t)
	sent := h.must(t, team.As(member.Admin), "inviteMember", map[string]any{"email": address, "role": "guest"})
	if sent["token"] != nil {
		t.Errorf("whoever invites is shown the token that was mailed: %v", sent)
	}
	mails := h.mails(t)
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	m := mails[0]
	want := map[string]string{
		queue.Link: invitationPage + h.mailed(t, address), queue.TenantName: team.Name, queue.InviterName: "Ada",
		queue.InviterEmail: h.email(t, team.Admin), queue.Role: "guest", queue.Expires: m.Until.Format(time.RFC3339),
	}
	if diff := cmp.Diff(want, m.Values); diff != "" || m.Kind != queue.Invitation || m.To != address || m.Tenant != team.ID {
		t.Errorf("mailed %+v:\n%s", m, diff)
	}
	old := h.mailed(t, address)
	resent := h.must(t, owner(team), "resendInvitation", map[string]any{"invitationId": sent["id"]})
	if resent["token"] != nil || len(h.mails(t)) != 2 || h.mailed(t, address) == old {
		t.Errorf("resent %v, %d mails", resent, len(h.mails(t)))
	}
	h.refused(t, "not-found", me, "acceptInvitation", accepting(old))
	if got := h.must(t, me, "acceptInvitation", accepting(h.mailed(t, address))); got["role"] != "guest" || got["invitedBy"] != team.Owner.String() {
		t.Errorf("accepted %v", got)
	}
}

func TestARefusedInvitationMailsNothing(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	_, address := h.outsider(t)
	h.must(t, pgtest.Operator, "inviteMember", map[string]any{"tenant": team.Slug, "email": address})
	if from := h.mails(t)[0].Values; from[queue.InviterName] != "" || from[queue.InviterEmail] != "" {
		t.Errorf("the operator is called %v", from)
	}
	h.refused(t, "already-invited", owner(team), "inviteMember", map[string]any{"email": address})
	h.refused(t, "already-member", owner(team), "inviteMember", map[string]any{"email": h.email(t, team.Guest)})
	h.refused(t, "forbidden", team.As(member.Admin), "inviteMember", map[string]any{"email": "boss@example.com", "role": "owner"})
	h.refused(t, "invalid-input", owner(team), "inviteMember", map[string]any{"email": "nobody"})
	if n := len(h.mails(t)); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestOnlyAnOwnerOpensAnInvitationToAnyAddress(t *testing.T) {
	h := newHouseWithMail(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	open := map[string]any{"email": "list@example.com", "anyAddress": true}
	h.refused(t, "forbidden", team.As(member.Admin), "inviteMember", open)
	h.refused(t, "invalid-input", owner(team), "inviteMember", map[string]any{"email": "list@example.com", "anyAddress": true, "role": "owner"})
	sent := h.must(t, owner(team), "inviteMember", open)
	if sent["token"] != h.mailed(t, "list@example.com") {
		t.Error("an owner who opens an invitation is not given the token to hand on")
	}
	one := map[string]any{"invitationId": sent["id"]}
	h.refused(t, "forbidden", team.As(member.Admin), "resendInvitation", one)
	token := accepting(sent["token"])

	local := session.Session{Role: session.User, User: h.local(t, other)}
	h.refused(t, "not-found", local, "acceptInvitation", token)
	key := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k"})
	h.must(t, owner(team), "revokeApiKey", map[string]any{"apiKeyId": key["id"]})
	machine := session.Session{Role: session.User, User: as(t, session.User, key["userId"], team).User}
	h.refused(t, "not-found", machine, "acceptInvitation", token)
	if got := h.must(t, team.As(member.Admin), "acceptInvitation", token); got["role"] != "admin" {
		t.Errorf("a member who looks at the link becomes %v", got)
	}
	me, _ := h.outsider(t)
	for range 2 {
		if got := h.must(t, me, "acceptInvitation", token); got["role"] != "member" {
			t.Errorf("accepted %v", got)
		}
	}
	late, _ := h.outsider(t)
	h.refused(t, "invitation-ended", late, "acceptInvitation", token)
}

// as is a session of a user an action named.
func as(t testing.TB, role session.Role, user any, team pgtest.Team) session.Session {
	t.Helper()
	parsed, err := id.Parse[id.User](user.(string))
	if err != nil {
		t.Fatal(err)
	}
	return session.Session{Role: role, User: parsed, Tenant: team.ID}
}

func TestManyAddressesAreInvitedEachForItself(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "inviteMember", map[string]any{"email": "open@example.com"})
	got := h.call(t, team.As(member.Admin), "inviteMembers", map[string]any{"role": "guest", "emails": []string{
		"one@example.com", "nobody", " ONE@example.com", "open@example.com", h.email(t, team.Guest), "nobody", "two@example.com",
	}})
	if got.status != 200 {
		t.Fatalf("%d %v", got.status, got.body)
	}
	var told []string
	for _, o := range got.list {
		outcome := o.(map[string]any)
		told = append(told, fmt.Sprint(outcome["email"], " ", outcome["role"], " ", outcome["code"]))
		if (outcome["code"] == nil) != (outcome["invitationId"] != nil && outcome["expiresAt"] != nil && outcome["message"] == nil) || outcome["token"] != nil {
			t.Errorf("outcome %v", outcome)
		}
	}
	want := []string{
		"one@example.com guest <nil>", "nobody <nil> invalid-input", "open@example.com <nil> already-invited",
		h.email(t, team.Guest) + " <nil> already-member", "two@example.com guest <nil>",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if n := len(h.mails(t)); n != 3 {
		t.Errorf("%d mails", n)
	}
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'invite_member'`, team.ID); n != 3 {
		t.Errorf("%d audit rows", n)
	}
}

// What the database would not take is wrong with one address too.
func TestAnAddressThatCannotBeStoredIsThatAddresssOwnProblem(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	wrong := []string{
		"nul\x00@example.com", "\x00", strings.Repeat("a", 250) + "@example.com", "half\xff@", "İ@example.com", "a@b@example.com",
		"\u2066hidden@example.com", "", strings.Repeat("x", 5000) + "@example.com", "a\tb@example.com",
	}
	got := h.call(t, owner(team), "inviteMembers", map[string]any{"emails": append(wrong, "fine@example.com")})
	if got.status != 200 || len(got.list) != len(wrong)+1 {
		t.Fatalf("%d %v %v", got.status, got.body, got.list)
	}
	for i, o := range got.list {
		if code := o.(map[string]any)["code"]; (i < len(wrong)) != (code == "invalid-input") {
			t.Errorf("%.300v", o)
		}
	}
	if mails := h.mails(t); len(mails) != 1 || mails[0].To != "fine@example.com" {
		t.Errorf("mailed %+v", mails)
	}
	h.refused(t, "invalid-input", owner(team), "inviteMember", map[string]any{"email": "nul\x00@example.com"})
}

func TestManyAddressesAreRefusedAtOnceWhereNoneCouldBe(t *testing.T) {
	h := newHouseWithMail(t)
	team := pgtest.NewTeam(t, h.db)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("p%d@example.com", i)
	}
	h.refused(t, "invalid-input", owner(team), "inviteMembers", map[string]any{"emails": many})
	h.refused(t, "invalid-input", owner(team), "inviteMembers", map[string]any{"emails": []string{}})
	h.refused(t, "invalid-input", owner(team), "inviteMembers", map[string]any{"emails": "a@b.example"})
	h.refused(t, "forbidden", team.As(member.Admin), "inviteMembers", map[string]any{"emails": many[:2], "role": "owner"})
	h.refused(t, "not-found", owner(team), "inviteMembers", map[string]any{"emails": many[:2], "tenant": pgtest.NewTeam(t, h.db).Slug})
	if n := len(h.mails(t)); n != 0 {
		t.Errorf("%d mails", n)
	}
	if got := h.call(t, owner(team), "inviteMembers", map[string]any{"emails": many[:100]}); got.status != 200 || len(got.list) != 100 || len(h.mails(t)) != 100 {
		t.Errorf("a hundred: %d, %d outcomes, %d mails", got.status, len(got.list), len(h.mails(t)))
	}
}

// An invitation must not outlive the right to make it: whoever is shown out could come
// back by one of their own. Somebody who may invites vouches for it by sending it again.
func TestAnInvitationEndsWithItsSendersRightToInvite(t *testing.T) {
	h := newHouse(t)
	for what, end := range map[string]func(team pgtest.Team){
		"removed": func(team pgtest.Team) { h.must(t, owner(team), "removeMember", with(team.Admin)) },
		"demoted": func(team pgtest.Team) { h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "member")) },
		"left":    func(team pgtest.Team) { h.must(t, team.As(member.Admin), "leaveTenant", nil) },
	} {
		team := pgtest.NewTeam(t, h.db)
		me, address := h.outsider(t)
		sent := h.must(t, team.As(member.Admin), "inviteMember", map[string]any{"email": address})
		end(team)
		if got := h.refused(t, "invitation-ended", me, "acceptInvitation", accepting(sent["token"])); !strings.Contains(got.body["message"].(string), "sent again") {
			t.Errorf("%s: %v", what, got.body)
		}
		resent := h.must(t, owner(team), "resendInvitation", map[string]any{"invitationId": sent["id"]})
		h.must(t, me, "acceptInvitation", accepting(resent["token"]))
	}
	team := pgtest.NewTeam(t, h.db)
	me, address := h.outsider(t)
	sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": address, "role": "owner"})
	h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
	h.must(t, owner(team), "updateMemberRole", with(team.Owner, "role", "admin"))
	h.refused(t, "invitation-ended", me, "acceptInvitation", accepting(sent["token"]))
	key := h.must(t, as(t, "tenant_owner", team.Admin.String(), team), "createApiKey", map[string]any{"name": "k", "role": "admin"})
	sent = h.must(t, as(t, "tenant_admin", key["userId"], team), "inviteMember", map[string]any{"email": "by@key.example"})
	h.must(t, as(t, "tenant_owner", team.Admin.String(), team), "revokeApiKey", map[string]any{"apiKeyId": key["id"]})
	if _, err := h.db.Exec(t.Context(), `UPDATE auth.users SET email = 'by@key.example' WHERE id = $1`, me.User); err != nil {
		t.Fatal(err)
	}
	h.refused(t, "invitation-ended", me, "acceptInvitation", accepting(sent["token"]))
}

func TestAPlansUsersAreCountedWhereverSomebodyJoins(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	me, address := h.outsider(t)
	sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": address})
	h.must(t, pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "free"})
	fifth := h.local(t, team)
	h.must(t, owner(team), "addMember", with(fifth))
	for range 3 {
		h.must(t, owner(team), "createApiKey", map[string]any{"name": "machines are no users"})
	}
	h.must(t, owner(team), "inviteMember", map[string]any{"email": "waiting@example.com"})
	for action, actor := range map[string]session.Session{"addMember": owner(team), "acceptInvitation": me} {
		input := accepting(sent["token"])
		if action == "addMember" {
			input = with(h.local(t, team))
		}
		got := h.refused(t, "quota-exceeded", actor, action, input)
		if e := got.body["extensions"].(map[string]any); e["limit"] != 5.0 || e["current"] != 5.0 {
			t.Errorf("%s: %v", action, got.body)
		}
	}
	if n := h.count(t, `SELECT count(*) FROM tenants.tenant_invitations WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL`, sent["id"]); n != 1 {
		t.Error("the invitation does not stay open")
	}
	h.must(t, owner(team), "removeMember", with(fifth))
	h.must(t, me, "acceptInvitation", accepting(sent["token"]))
}

func TestOfTwentyWhoAcceptAtOnceOneGetsTheLastPlace(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "free"})
	codes := make([]any, 20)
	var wait sync.WaitGroup
	for i := range codes {
		me, address := h.outsider(t)
		sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": address})
		wait.Go(func() { codes[i] = h.call(t, me, "acceptInvitation", accepting(sent["token"])).code() })
	}
	wait.Wait()
	joined := 0
	for _, code := range codes {
		if code == nil {
			joined++
		} else if code != "quota-exceeded" {
			t.Errorf("answered %v", code)
		}
	}
	if n := h.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1`, team.ID); n != 5 || joined != 1 {
		t.Errorf("%d members, %d joined: %v", n, joined, codes)
	}
}
