package actions_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// openInPlace are the actions open to whoever acts in a user's place: what is read, and
// what the user can change back. Everything else is the user's own word, or outlasts the
// visit in somebody's access or property.
var openInPlace = []string{
	"billingStanding", "checkQuota", "myTenants", "removeTenantSetting", "setTenantSetting", "signOut", "tenantBudget", "tenantStats",
	"tenantUsage", "updateTenant",
}

// inPlaceOf is a session that the operator opened in the place of a team's member.
func (h house) inPlaceOf(t testing.TB, team pgtest.Team, role member.Role) session.Session {
	t.Helper()
	s := team.As(role)
	made := h.must(t, pgtest.Operator, "impersonate", with(s.User, "tenant", team.Slug, "reason", "Ticket 7"))
	s.Impersonator = "operator"
	s.ID, _ = id.Parse[id.Session](made["sessionId"].(string))
	return s
}

func TestEveryActionIsClosedToImpersonationUnlessItsRowSaysOtherwise(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	inPlace := h.inPlaceOf(t, team, member.Owner)
	var open []string
	for _, action := range actions.Table(actions.Config{}) {
		got := h.call(t, inPlace, action.Name, map[string]any{"sessionId": "none"})
		message, _ := got.body["message"].(string)
		switch {
		case got.code() != "forbidden":
			open = append(open, action.Name)
		case len(action.Roles) > 0 && !strings.Contains(message, "operator, who acts in the user's place"):
			t.Errorf("%s: %s", action.Name, message)
		}
	}
	slices.Sort(open)
	if diff := cmp.Diff(openInPlace, open); diff != "" {
		t.Errorf("open to impersonation:\n%s", diff)
	}
}

func TestWhoeverActsInAUsersPlaceSignsOutOfTheVisitAlone(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	theirs, inPlace := h.signedIn(t, team, member.Guest), h.inPlaceOf(t, team, member.Guest)
	for _, more := range []map[string]any{{"everywhere": true}, {"sessionId": theirs.ID}} {
		h.refused(t, "forbidden", inPlace, "signOut", more)
	}
	h.must(t, inPlace, "signOut", map[string]any{"sessionId": inPlace.ID})
	h.refused(t, "session-ended", inPlace, "myTenants", nil)
	if got := h.call(t, theirs, "myTenants", nil); got.status != 200 {
		t.Errorf("the user is signed out: %v", got.body)
	}
}

// More doors than one accept invitations.
func TestNobodyAcceptsAnInvitationInAnothersPlace(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	me, address := h.outsider(t)
	sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": address})
	inPlace := me
	inPlace.Impersonator = "operator"
	if _, err := member.Accept(t.Context(), h.db, inPlace, sent["token"].(string)); !fault.Is(err, fault.Forbidden) {
		t.Errorf("accepted: %v", err)
	}
	h.must(t, me, "acceptInvitation", accepting(sent["token"]))
}
