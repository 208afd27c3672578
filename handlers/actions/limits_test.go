package actions_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// tooMany fails the test unless the action was refused for now.
func (h house) tooMany(t testing.TB, team pgtest.Team, action string, input map[string]any) {
	t.Helper()
	got := h.refused(t, "too-many-requests", owner(team), action, input)
	if after, _ := got.body["extensions"].(map[string]any)["retryAfter"].(float64); got.status != 429 || after < 1 || after > 3600 {
		t.Errorf("%s: %d %v", action, got.status, got.body)
	}
}

func TestFiveInvitationsAnHourGoToOneAddressFromAllTenantsTogether(t *testing.T) {
	h := newHouseWithMail(t)
	inviting := map[string]any{"email": "victim@example.com"}
	var team pgtest.Team
	var sent map[string]any
	for range 3 {
		team = pgtest.NewTeam(t, h.db)
		sent = h.must(t, owner(team), "inviteMember", inviting)
		h.refused(t, "already-invited", owner(team), "inviteMember", inviting)
	}
	again := map[string]any{"invitationId": sent["id"]}
	for range 2 {
		h.must(t, team.As(member.Admin), "resendInvitation", again)
	}
	before := len(h.mails(t))
	late := pgtest.NewTeam(t, h.db)
	h.tooMany(t, team, "resendInvitation", again)
	h.tooMany(t, late, "inviteMember", map[string]any{"email": " Victim@Example.com", "anyAddress": true})
	got := h.call(t, owner(late), "inviteMembers", map[string]any{"emails": []string{"victim@example.com", "else@example.com"}})
	if first, second := got.list[0].(map[string]any), got.list[1].(map[string]any); first["code"] != "too-many-requests" ||
		!strings.Contains(fmt.Sprint(first["message"]), "victim@example.com") || second["code"] != nil {
		t.Errorf("of many: %v", got.list)
	}
	if n := len(h.mails(t)) - before; n != 1 {
		t.Errorf("%d more mails", n)
	}
	h.must(t, pgtest.Operator, "resendInvitation", map[string]any{"invitationId": sent["id"], "tenant": team.Slug})
	h.must(t, pgtest.Operator, "inviteMember", map[string]any{"email": "victim@example.com", "tenant": late.Slug})
}

func TestTwoHundredInvitationsAnHourLeaveOneTenant(t *testing.T) {
	h := newHouseWithMail(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	bulk := func(name string, most int) (refused int) {
		many := make([]string, most)
		for i := range many {
			many[i] = fmt.Sprintf("%s%d@example.com", name, i)
		}
		for _, o := range h.call(t, owner(team), "inviteMembers", map[string]any{"emails": many}).list {
			if o.(map[string]any)["code"] == "too-many-requests" {
				refused++
			}
		}
		return refused
	}
	one := map[string]any{"invitationId": h.must(t, owner(team), "inviteMember", map[string]any{"email": "first@example.com"})["id"]}
	if first, second, third := bulk("a", 100), bulk("b", 98), bulk("c", 2); first != 0 || second != 0 || third != 1 {
		t.Errorf("refused %d, %d and %d", first, second, third)
	}
	h.tooMany(t, team, "inviteMember", map[string]any{"email": "late@example.com"})
	h.tooMany(t, team, "resendInvitation", one)
	h.must(t, owner(other), "inviteMember", map[string]any{"email": "late@example.com"})
}

func TestWhereNoMailIsSentInvitationsAreNotCounted(t *testing.T) {
	h := newHouse(t)
	for range 6 {
		h.must(t, owner(pgtest.NewTeam(t, h.db)), "inviteMember", map[string]any{"email": "one@example.com"})
	}
	if n := h.count(t, `SELECT count(*) FROM auth.rate_limits`); n != 0 {
		t.Errorf("%d counts", n)
	}
}

// The same addresses, in two orders, from two tenants and by the operator at once.
func TestAddressesInvitedInManyOrdersAtOnceEndInNoDeadlock(t *testing.T) {
	h := newHouseWithMail(t)
	teams := []pgtest.Team{pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)}
	up := make([]string, 40)
	for i := range up {
		up[i] = fmt.Sprintf("p%02d@example.com", i)
	}
	down := slices.Clone(up)
	slices.Reverse(down)
	var wait sync.WaitGroup
	for i := range 8 {
		team, actor, emails := teams[i%2], owner(teams[i%2]), up
		if i/2%2 == 1 {
			emails = down
		}
		if i >= 6 {
			actor = pgtest.Operator
		}
		wait.Go(func() {
			got := h.call(t, actor, "inviteMembers", map[string]any{"emails": emails, "tenant": team.Slug})
			if got.status != 200 || len(got.list) != 40 || got.list[0].(map[string]any)["email"] != emails[0] {
				t.Errorf("%d %v, %d outcomes", got.status, got.body, len(got.list))
			}
		})
	}
	wait.Wait()
	if n := len(h.mails(t)); n != 80 {
		t.Errorf("%d mails", n)
	}
}

// storm is what happens at once in one tenant, and what of it was done.
type storm struct {
	house
	team   pgtest.Team
	people []session.Session
	emails []string
	random *rand.Rand
	done   *sync.Map
}

func (s storm) blow(t *testing.T, actor session.Session, action string, input map[string]any) map[string]any {
	t.Helper()
	got := s.call(t, actor, action, input)
	switch {
	case got.status >= 500:
		t.Errorf("%s(%v): %v", action, input, got.body)
	case got.status == 200:
		s.done.Store(action, true)
	}
	return got.body
}

// gust invites one or many, or changes an invitation that is open.
func (s storm) gust(t *testing.T) {
	t.Helper()
	actor := []session.Session{owner(s.team), s.team.As(member.Admin), pgtest.Operator}[s.random.IntN(3)]
	one := s.random.IntN(len(s.people))
	input := map[string]any{"tenant": s.team.Slug}
	switch action := []string{"inviteMembers", "inviteMember", "resendInvitation", "revokeInvitation"}[s.random.IntN(4)]; action {
	case "inviteMembers":
		s.random.Shuffle(len(s.emails), func(a, b int) { s.emails[a], s.emails[b] = s.emails[b], s.emails[a] })
		input["emails"] = s.emails[:3]
		s.blow(t, actor, action, input)
	case "inviteMember":
		input["email"], input["anyAddress"] = s.emails[one], true
		if sent := s.blow(t, owner(s.team), action, input); sent["token"] != nil {
			s.blow(t, s.people[one], "acceptInvitation", accepting(sent["token"]))
			s.blow(t, actor, "removeMember", with(s.people[one].User, "tenant", s.team.Slug))
		}
	default:
		var open string
		err := s.under.Superuser(t).QueryRow(t.Context(), `SELECT coalesce((SELECT id FROM tenants.tenant_invitations
			WHERE tenant_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL ORDER BY random() LIMIT 1), $1)::text`, s.team.ID).Scan(&open)
		if err != nil {
			t.Error(err)
		}
		input["invitationId"] = open
		s.blow(t, actor, action, input)
	}
}

// What is counted, invited, sent again, taken back and accepted at once waits, in two
// tenants that invite the same people.
func TestAStormOfInvitationsEndsInNoDeadlock(t *testing.T) {
	h := newHouseWithMail(t)
	teams := []pgtest.Team{pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)}
	people, emails := make([]session.Session, 10), make([]string, 10)
	for i := range people {
		people[i], emails[i] = h.outsider(t)
	}
	var done sync.Map
	var wait sync.WaitGroup
	for i := range 6 {
		s := storm{h, teams[i%2], people, slices.Clone(emails), rand.New(rand.NewPCG(uint64(i), 11)), &done}
		wait.Go(func() {
			for range 40 {
				s.gust(t)
			}
		})
	}
	wait.Wait()
	for _, action := range []string{"inviteMembers", "inviteMember", "resendInvitation", "revokeInvitation", "acceptInvitation", "removeMember"} {
		if _, ok := done.Load(action); !ok {
			t.Errorf("%s was never done", action)
		}
	}
}
