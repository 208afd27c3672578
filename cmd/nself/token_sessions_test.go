package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// minted is a token of a member of acme, in full.
func (e environment) minted(t *testing.T, args ...string) accessToken {
	t.Helper()
	var made accessToken
	out := e.mustDo(t, append([]string{"token"}, append(args, "--tenant", "acme", "--json")...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.AccessToken == "" {
		t.Fatalf("%s: %v", out, err)
	}
	return made
}

// sessions are what token sessions lists with these flags.
func (e environment) sessions(t *testing.T, flags ...string) []signIn {
	t.Helper()
	var listed []signIn
	if err := json.Unmarshal([]byte(e.mustDo(t, append([]string{"token", "sessions", "--json"}, flags...)...)), &listed); err != nil {
		t.Fatal(err)
	}
	return listed
}

// asks is an environment without the operator's secret.
func (i installation) asks() environment {
	return environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
}

// rule is what one part of a test proves, in an installation that the parts share.
type rule struct {
	name  string
	prove func(t *testing.T, i installation)
}

// proveInTurn proves rules one after the other in one installation.
func proveInTurn(t *testing.T, rules []rule) {
	t.Helper()
	i := install(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.prove(t, i) })
	}
}

func TestTokensAreTakenBack(t *testing.T) {
	proveInTurn(t, []rule{
		{"a session that is revoked is over", aSessionThatIsRevokedIsOver},
		{"a hundred sessions are listed, and that there are more is told", aHundredSessionsAreListed},
		{"a user is signed out of one tenant or of all", aUserIsSignedOutOfOneTenantOrOfAll},
		{"signing out everywhere is asked about at a terminal", signingOutEverywhereIsAskedAbout},
		{"a token sees and ends the sessions of its role", aTokenEndsTheSessionsOfItsRole},
		{"impersonation is on the record", impersonationIsOnTheRecord},
		{"a rotated key overlaps the old one unless that is ended", aRotatedKeyOverlapsTheOldOne},
	})
}

func aSessionThatIsRevokedIsOver(t *testing.T, i installation) {
	t.Helper()
	first, second := i.minted(t, "mint", "member@acme.example"), i.minted(t, "mint", "member@acme.example")
	i.asks().mustDo(t, "tenant", "show", "acme", "--token", first.AccessToken)
	listed := i.mustDo(t, "token", "sessions", "--user", "member@acme.example", "--tenant", "acme", "--limit", "1")
	head, row, _ := strings.Cut(listed, "\n")
	if strings.Join(strings.Fields(head), " ") != "SESSION USER TENANT ROLE METHOD CREATED REFRESHED EXPIRES ENDED" ||
		strings.Join(strings.Fields(plain(row)), " ") != "<id> member@acme.example acme tenant_member operator <time> - <time> -" || !strings.HasPrefix(row, second.SessionID) {
		t.Errorf("%s", listed)
	}
	if out := i.mustDo(t, "token", "revoke", first.SessionID); plain(out) != "✓ Sessions ended: 1 of the sign-in of <id>\n" {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "no session of the sign-in of "+first.SessionID+" was running", "token", "revoke", first.SessionID)
	i.mustRefuse(t, exitRefused, "there is no session ", "token", "revoke", uuid.NewString())
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "show", "acme", "--token", first.AccessToken)
	i.asks().mustDo(t, "tenant", "show", "acme", "--token", second.AccessToken)
	for _, s := range i.sessions(t) {
		if s.ID == first.SessionID || s.EndedAt != nil {
			t.Errorf("%+v is not running", s)
		}
	}
	ended := 0
	for _, s := range i.sessions(t, "--all", "--tenant", "acme") {
		if s.ID == first.SessionID && s.EndedAt != nil && value(s.EndReason) != "" && s.Slug == "acme" && s.Email == "member@acme.example" {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("the ended session is listed %d times with --all", ended)
	}
	i.mustRefuse(t, exitRefused, `there is no tenant "sun" here`, "token", "sessions", "--tenant", "sun")
	i.mustRefuse(t, exitRefused, "acme has no member with the e-mail zoe@example.com", "token", "sessions", "--tenant", "acme", "--user", "zoe@example.com")
}

func aHundredSessionsAreListed(t *testing.T, i installation) {
	t.Helper()
	flags := []string{"token", "sessions", "--all", "--user", "guest@acme.example", "--json"}
	many := func(n int) {
		t.Helper()
		const sql = `INSERT INTO auth.sessions (id, tenant_id, user_id, role, family_id, method, expires_at, created_at)
			SELECT new, tenant_id, user_id, role, new, method, expires_at, created_at - interval '1 hour'
			FROM (SELECT gen_random_uuid() AS new FROM generate_series(1, $2)) n, auth.sessions WHERE id = $1`
		if _, err := i.owner(t).Exec(t.Context(), sql, i.minted(t, "mint", "guest@acme.example").SessionID, n); err != nil {
			t.Fatal(err)
		}
	}
	many(99 - len(i.sessions(t, flags[2:]...)))
	if got := i.nself(t, flags...); got.code != exitDone || got.err != "" || strings.Count(got.out, `"family_id"`) != 100 {
		t.Errorf("exit %d, %d sessions, %s", got.code, strings.Count(got.out, `"family_id"`), got.err)
	}
	newest := i.minted(t, "mint", "guest@acme.example").SessionID
	const told = "nself: these are the 100 newest, and there are more; --limit 0 lists all\n"
	if got := i.nself(t, flags...); got.code != exitDone || got.err != told || strings.Count(got.out, `"family_id"`) != 100 || !strings.Contains(got.out, newest) {
		t.Errorf("exit %d, %d sessions, %s", got.code, strings.Count(got.out, `"family_id"`), got.err)
	}
	if got := i.nself(t, append(flags, "--limit", "0")...); got.err != "" || strings.Count(got.out, `"family_id"`) != 101 {
		t.Errorf("all: %d sessions, %s", strings.Count(got.out, `"family_id"`), got.err)
	}
}

func aUserIsSignedOutOfOneTenantOrOfAll(t *testing.T, i installation) {
	t.Helper()
	user := []string{"token", "revoke", "--user", "member@acme.example"}
	here, there := i.minted(t, "mint", "member@acme.example"), strings.TrimSpace(i.mustDo(t, "token", "mint", "member@acme.example"))
	var told endedSessions
	if err := json.Unmarshal([]byte(i.mustDo(t, append(user, "--tenant", "acme", "--json")...)), &told); err != nil || told.Ended < 1 {
		t.Errorf("%+v, %v", told, err)
	}
	i.mustRefuse(t, exitRefused, "no session of member@acme.example in acme was running", append(user, "--tenant", "acme")...)
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "show", "acme", "--token", here.AccessToken)
	i.asks().mustDo(t, "tenant", "list", "--token", there)
	i.mustRefuse(t, exitUsage, `signing "member@acme.example" out everywhere needs --yes where there is no terminal to ask on`, user...)
	i.asks().mustDo(t, "tenant", "list", "--token", there)
	if out := i.mustDo(t, append(user, "--yes")...); out != "✓ Sessions ended: 1 of member@acme.example\n" {
		t.Errorf("%s", out)
	}
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "list", "--token", there)
	i.mustRefuse(t, exitRefused, "no session of member@acme.example was running", append(user, "--yes")...)
	i.mustRefuse(t, exitRefused, "no user with the e-mail zoe@example.com", "token", "revoke", "--user", "zoe@example.com", "-y")
}

func signingOutEverywhereIsAskedAbout(t *testing.T, i installation) {
	t.Helper()
	token := i.minted(t, "mint", "member@acme.example").AccessToken
	const question = "This signs member@acme.example out everywhere, in every tenant. Type yes to go on: "
	got := i.atTerminal(t, "y\n", "token", "revoke", "--user", "member@acme.example")
	if got != (result{exitRefused, "", question + "nself: nothing was done: \"y\" is not yes\n"}) {
		t.Errorf("%+v", got)
	}
	i.asks().mustDo(t, "tenant", "show", "acme", "--token", token)
	got = i.atTerminal(t, "yes\n", "token", "revoke", "--user", "member@acme.example")
	if got.code != exitDone || got.err != question || !strings.HasPrefix(got.out, "✓ Sessions ended: ") {
		t.Errorf("%+v", got)
	}
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "show", "acme", "--token", token)
}

func aTokenEndsTheSessionsOfItsRole(t *testing.T, i installation) {
	t.Helper()
	owner, member := i.settings.Get("ACME_OWNER_TOKEN"), i.minted(t, "mint", "member@acme.example")
	guest := i.minted(t, "mint", "guest@acme.example")
	for _, s := range i.asks().sessions(t, "--token", guest.AccessToken) {
		if s.UserID != i.settings.Get("ACME_GUEST_ID") || s.Email != "" {
			t.Errorf("a guest sees %+v", s)
		}
	}
	whose := map[string]bool{}
	for _, s := range i.asks().sessions(t, "--token", owner) {
		whose[s.Email] = true
		if s.Slug != "acme" {
			t.Errorf("acme's owner sees %+v", s)
		}
	}
	if !whose["member@acme.example"] || !whose["guest@acme.example"] {
		t.Errorf("an owner sees the sessions of %v", whose)
	}
	i.asks().mustRefuse(t, exitRefused, "nself: ", "token", "revoke", guest.SessionID, "--token", member.AccessToken)
	i.asks().mustRefuse(t, exitUsage, "is the operator's", "token", "revoke", "--user", "guest@acme.example", "--token", owner)
	i.asks().mustDo(t, "token", "revoke", guest.SessionID, "--tenant", "acme", "--token", owner)
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "show", "acme", "--token", guest.AccessToken)
	i.asks().mustDo(t, "token", "revoke", member.SessionID, "--token", member.AccessToken)
	i.asks().mustRefuse(t, exitRefused, "nself: ", "tenant", "show", "acme", "--token", member.AccessToken)
}
