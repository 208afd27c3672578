package tokens_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
)

// invite invites an address to a team on a plan without a limit, and is shown the token.
func (w *world) invite(t testing.TB, team pgtest.Team, email string) string {
	t.Helper()
	_, err := w.super.Exec(t.Context(), `UPDATE tenants.tenants SET plan = 'enterprise' WHERE id = $1`, team.ID)
	check(t, err)
	invited, err := member.Post{}.Invite(t.Context(), w.db, team.As(member.Owner), member.InviteInput{Email: email, Role: member.Guest})
	check(t, err)
	return invited.Token
}

func TestAnInvitationIsSeenAndAcceptedByWhomItIsFor(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	address := tokens.Links("https://" + public).Invitation(w.invite(t, team, "ann@example.org"))
	target := strings.TrimPrefix(address, "https://"+public)
	b := w.browser(public)
	body := page(t, b.get(target), http.StatusOK, `action="/auth/link"`, `name="redirect_to" value="/auth/invitation?token=`)
	for _, secret := range []string{"ann@example.org", team.Name, team.Slug, "guest"} {
		if strings.Contains(body, secret) {
			t.Errorf("whoever has the link is told %s", secret)
		}
	}
	b.asked(t, "email", "ann@example.org", "redirect_to", target)
	if got := b.get(w.link(t).RequestURI()); got.Code != http.StatusSeeOther || got.Header().Get("Location") != target {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	for range 2 { // to look is not to accept
		page(t, b.get(target), http.StatusOK, team.Name, "guest", "ann@example.org", "Accept")
	}
	if n := w.count(t, `SELECT count(*) FROM tenants.tenant_invitations WHERE accepted_at IS NULL`); n != 1 {
		t.Fatalf("%d invitations are open", n)
	}
	_, secret, _ := strings.Cut(target, "token=")
	for range 2 {
		page(t, b.post("/auth/invitation", "token", secret), http.StatusOK, team.Name, "guest")
	}
	b.program = true
	got := b.grant(t, "grant_type", "refresh")
	if got["tenant_id"] != team.ID.String() || got["role"] != "tenant_guest" {
		t.Errorf("%v", got)
	}
	if n := w.count(t, `SELECT count(*) FROM auth.sessions s, auth.sessions f WHERE s.id = $1 AND f.id = s.family_id AND f.tenant_id IS NULL`, got["session_id"]); n != 1 {
		t.Error("the session is not of the family that was signed in to")
	}
}

func TestAnInvitationIsShownToNobodyElse(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	secret := w.invite(t, team, "ann@example.org")
	b := w.browser(public)
	b.signIn(t, "bob@example.org")
	forwarded := page(t, b.get("/auth/invitation?token="+secret), http.StatusOK, "bob@example.org", `action="/auth/link"`, `action="/auth/signout"`)
	guessed := page(t, b.get("/auth/invitation?token=guessed"), http.StatusOK, "bob@example.org")
	if strings.ReplaceAll(forwarded, secret, "guessed") != guessed || strings.Contains(forwarded, "ann@example.org") || strings.Contains(forwarded, team.Name) {
		t.Errorf("a forwarded invitation says more than a guessed one:\n%s", forwarded)
	}
	page(t, b.post("/auth/invitation", "token", secret), http.StatusOK, "bob@example.org")
	b.program = true
	refused(t, b.get("/auth/invitation?token="+secret), http.StatusNotFound, "invalid_request", "not-found")
	refused(t, b.post("/auth/invitation", "token", secret), http.StatusNotFound, "invalid_request", "not-found")
	refused(t, w.program(public).get("/auth/invitation?token="+secret), http.StatusUnauthorized, "invalid_token", "invalid-token")
	refused(t, w.program(public).post("/auth/invitation", "token", secret), http.StatusUnauthorized, "invalid_token", "invalid-token")
	if n := w.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1`, team.ID); n != 4 {
		t.Errorf("the team has %d members", n)
	}
}

func TestAnInvitationThatEndedIsSaidToHaveEnded(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	secret := w.invite(t, team, "ann@example.org")
	_, err := w.super.Exec(t.Context(), `UPDATE tenants.tenant_invitations SET revoked_at = now()`)
	check(t, err)
	b := w.browser(public)
	b.signIn(t, "ann@example.org")
	page(t, b.get("/auth/invitation?token="+secret), http.StatusConflict, `role="alert"`)
	page(t, b.post("/auth/invitation", "token", secret), http.StatusConflict, `role="alert"`)
	b.program = true
	refused(t, b.post("/auth/invitation", "token", secret), http.StatusConflict, "invalid_request", "invitation-ended")
}

func TestATenantsHostAcceptsItsOwnInvitationsAlone(t *testing.T) {
	w := newWorld(t, nil)
	team, other := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	secret := w.invite(t, team, "ann@example.org")
	b := w.browser(other.Slug + ".example.com")
	page(t, b.post("/auth/link", "email", "ann@example.org"), http.StatusAccepted)
	page(t, b.get(w.link(t).RequestURI()), http.StatusOK, "no member here")
	for _, answer := range []int{b.get("/auth/invitation?token=" + secret).Code, b.post("/auth/invitation", "token", secret).Code} {
		if answer != http.StatusForbidden {
			t.Errorf("status %d", answer)
		}
	}
	if n := w.count(t, `SELECT count(*) FROM tenants.tenant_invitations WHERE accepted_at IS NULL`); n != 1 {
		t.Errorf("%d invitations are open", n)
	}
	home := w.browser(team.Slug + ".example.com")
	page(t, home.post("/auth/link", "email", "ann@example.org"), http.StatusAccepted)
	page(t, home.get(w.link(t).RequestURI()), http.StatusOK, "no member here")
	home.program = true
	got := answered(t, home.post("/auth/invitation", "token", secret), http.StatusOK)
	if got["tenant_id"] != team.ID.String() || got["refresh_token"] != nil {
		t.Errorf("%v", got)
	}
	answered(t, home.bearing(text(got["access_token"]), http.MethodGet, "/auth/session"), http.StatusOK)
}

func TestAnInvitationToATenantOutOfServiceIsNone(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	secret := w.invite(t, team, "ann@example.org")
	b := w.program(public)
	w.signedIn(t, b, "ann@example.org")
	seen := answered(t, b.get("/auth/invitation?token="+secret), http.StatusOK)
	if seen["slug"] != team.Slug || seen["role"] != "guest" {
		t.Errorf("%v", seen)
	}
	inside := pgtest.Operator
	inside.Tenant = team.ID
	_, err := tenant.Suspend(t.Context(), w.db, inside, "")
	check(t, err)
	refused(t, b.get("/auth/invitation?token="+secret), http.StatusNotFound, "invalid_request", "not-found")
}

// signedIn signs a program in by cookie.
func (w *world) signedIn(t testing.TB, b *browser, email string) id.User {
	t.Helper()
	got := b.grant(t, "grant_type", "exchange", "subject_token", w.vouched(t, email), "cookie", "true")
	if b.cookies[refreshKey] == "" || got["refresh_token"] != nil {
		t.Fatalf("%v with the cookies %v", got, b.cookies)
	}
	user, err := id.Parse[id.User](text(got["user_id"]))
	check(t, err)
	return user
}
