package tokens_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

// delivered reports whether the newest mail is to be sent.
func (w *world) delivered(t testing.TB) bool {
	t.Helper()
	sent, err := w.config.Desk.Deliver(t.Context(), w.db, w.mail(t))
	check(t, err)
	return sent
}

func TestWhereSignUpIsClosedWhoeverIsInvitedComesAllTheWay(t *testing.T) {
	w := newWorld(t, nil)
	w.desk.SignUp = false
	w.open()
	team := pgtest.NewTeam(t, w.db)
	for _, host := range []string{public, team.Slug + ".example.com"} {
		email := strings.ReplaceAll(host, ".", "-") + "@example.org"
		secret := w.invite(t, team, email)
		target := "/auth/invitation?token=" + secret
		b := w.browser(host)
		page(t, b.get(target), http.StatusOK, `action="/auth/link"`)
		b.asked(t, "email", email, "redirect_to", target)
		if n := w.count(t, `SELECT count(*) FROM auth.sign_in_links l WHERE strpos(l::text, $1) > 0 OR strpos(l::text, 'invitation') > 0`, secret); n != 0 {
			t.Error("whoever reads the links takes the invitation")
		}
		if !w.delivered(t) {
			t.Fatal("the link is not mailed")
		}
		if got := b.get(w.link(t).RequestURI()); got.Code != http.StatusSeeOther || got.Header().Get("Location") != target {
			t.Fatalf("%d %s", got.Code, got.Body)
		}
		page(t, b.post("/auth/invitation", "token", secret), http.StatusOK, team.Name, "guest")
		b.program = true
		if got := b.grant(t, "grant_type", "refresh"); got["tenant_id"] != team.ID.String() || got["role"] != "tenant_guest" {
			t.Errorf("at %s: %v", host, got)
		}
	}
}

func TestWhereSignUpIsClosedAStrangerIsAskedAsWhoeverIsInvited(t *testing.T) {
	w := newWorld(t, nil)
	w.desk.SignUp = false
	w.open()
	w.invite(t, pgtest.NewTeam(t, w.db), "ann@example.org")
	vary := regexp.MustCompile(`[0-9]{6}|nself_link=[A-Za-z0-9_-]+|(ann|bob)@example\.org`)
	seen := map[string]bool{}
	for email, mailed := range map[string]bool{"ann@example.org": true, "bob@example.org": false} {
		b := w.browser(public)
		seen[vary.ReplaceAllString(outcome(b.post("/auth/link", "email", email)), "…")] = true
		if w.delivered(t) != mailed {
			t.Errorf("to %s is mailed: %t", email, !mailed)
		}
		if !mailed {
			page(t, b.get(w.link(t).RequestURI()), http.StatusBadRequest, "That did not work")
		}
	}
	if len(seen) != 1 {
		t.Errorf("they differ: %v", seen)
	}
	refused(t, w.program(public).post("/auth/token", "grant_type", "exchange", "subject_token", w.vouched(t, "bob@example.org")),
		http.StatusBadRequest, "invalid_grant", "invalid-grant")
	w.exchange(t, public, "ann@example.org")
}

func TestWhoeverJoinedIsToldWhereTheyAreSignedIn(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	home := team.Slug + ".example.com"
	for host, again := range map[string]bool{public: true, home: false} {
		email := strings.ReplaceAll(host, ".", "-") + "@example.org"
		secret := w.invite(t, team, email)
		b := w.browser(host)
		b.asked(t, "email", email)
		page(t, b.get(w.link(t).RequestURI()), http.StatusOK, "You are signed in")
		body := page(t, b.post("/auth/invitation", "token", secret), http.StatusOK, "on this host")
		if strings.Contains(body, "At "+home+" you sign in once more") != again {
			t.Errorf("at %s:\n%s", host, body)
		}
	}
}
