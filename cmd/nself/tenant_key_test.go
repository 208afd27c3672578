package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var keyForm = regexp.MustCompile(`^nsk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}\n$`)

// exchanges reports whether the key is good for an access token.
func (i installation) exchanges(t *testing.T, key string) bool {
	t.Helper()
	reply, err := http.PostForm(i.environment["SERVER_URL"]+"/auth/token", url.Values{"grant_type": {"api_key"}, "api_key": {key}})
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

func aKeyIsShownOnceAndServesUntilItIsRevoked(t *testing.T, i installation) {
	t.Helper()
	got := i.nself(t, "tenant", "key", "create", "acme", "nightly export", "--role", "guest", "--expires", "720h")
	key := strings.TrimSpace(got.out)
	if got.code != exitDone || !keyForm.MatchString(got.out) || !strings.HasPrefix(got.err, "API key nightly export ("+key[:12]+") of acme as guest, until 2") {
		t.Fatalf("%+v", got)
	}
	if !i.exchanges(t, key) {
		t.Error("the key is good for no token")
	}
	if out := i.mustDo(t, "tenant", "member", "list", "acme"); !strings.Contains(strings.Join(strings.Fields(out), " "), " (API key) nightly export guest ") {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "user", "list"); strings.Contains(out, "nightly export") {
		t.Errorf("a key is listed as one of the people:\n%s", out)
	}
	if out := i.mustDo(t, "token", "sessions", "--limit", "1"); !strings.Contains(out, "nightly export (API key)  acme ") {
		t.Errorf("%s", out)
	}
	listed := i.mustDo(t, "tenant", "key", "list", "acme")
	head, row, _ := strings.Cut(listed, "\n")
	if strings.Join(strings.Fields(head), " ") != "ID BEGINS WITH NAME ROLE CREATED EXPIRES LAST USED REVOKED" ||
		strings.Join(strings.Fields(plain(row)), " ") != "<id> "+key[:12]+" nightly export guest <time> <time> <time> -" || strings.Contains(listed, key) {
		t.Errorf("%s", listed)
	}
	if out := i.mustDo(t, "tenant", "key", "revoke", "acme", key[:8]); out != "✓ API key revoked: nightly export ("+key[:12]+") of acme\n" {
		t.Errorf("%s", out)
	}
	if i.exchanges(t, key) {
		t.Error("the key is good for a token after it was revoked")
	}
	i.mustRefuse(t, exitRefused, `acme has no API key that begins with "`+key[:12]+`"; nself tenant key list acme shows them`, "tenant", "key", "revoke", "acme", key[:12])
	if out := i.mustDo(t, "tenant", "key", "list", "acme", "--json"); out != "[]\n" {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "tenant", "key", "list", "acme", "--all"); !strings.Contains(out, key[:12]) {
		t.Errorf("%s", out)
	}
	got = i.nself(t, "tenant", "key", "create", "acme", "ci", "--json")
	var made apiKey
	if err := json.Unmarshal([]byte(got.out), &made); err != nil || made.Role != "member" || made.ExpiresAt != nil || !strings.Contains(got.err, ", until it is revoked; ") {
		t.Errorf("%+v, %v", got, err)
	}
	i.mustDo(t, "tenant", "key", "revoke", "acme", made.ID)
	i.mustRefuse(t, exitRefused, "admin, member or guest", "tenant", "key", "create", "acme", "boss", "--role", "owner")
}

func aBeginningOfTwoKeysIsRefused(t *testing.T, i installation) {
	t.Helper()
	for _, name := range []string{"first", "second"} {
		i.mustDo(t, "tenant", "key", "create", "acme", name)
	}
	if _, err := i.owner(t).Exec(t.Context(), `UPDATE auth.api_keys SET prefix = 'twin' || right(name, 4)`); err != nil {
		t.Fatal(err)
	}
	got := i.nself(t, "tenant", "key", "revoke", "acme", "nsk_twin")
	if got.code != exitRefused || got.out != "" || !strings.Contains(got.err, `nsk_twinirst "first" (`) || !strings.Contains(got.err, `nsk_twincond "second" (`) {
		t.Errorf("%+v", got)
	}
	if out := i.mustDo(t, "tenant", "key", "list", "acme"); strings.Count(out, "\n") != 3 {
		t.Errorf("%s", out)
	}
	i.mustDo(t, "tenant", "key", "revoke", "acme", "twini")
	i.mustDo(t, "tenant", "key", "revoke", "acme", "twin")
}

func TestAKeyIsNamedByWhatItBeginsWith(t *testing.T) {
	key := apiKey{Prefix: "ab3defgh"}
	for typed, want := range map[string]bool{
		"a": true, "nsk_": true, "nsk_ab3": true, "ab3defgh": true, "nsk_ab3defgh": true, "nsk_ab3defgh_0123": true, "ab3defgh_0123": true,
		"b": false, "AB3": false, "nsk_b": false, "ab3defghi": false, "nsk_ab3defghi": false, "ab3defgh0": false,
	} {
		if got := key.beginsLike(typed); got != want {
			t.Errorf("%s: %t", typed, got)
		}
	}
}

func TestTheEndOfAnAPIKeyIsAnyFutureTime(t *testing.T) {
	now := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	for typed, want := range map[string]string{
		"720h": "2027-01-31T12:00:00Z", "1m30s": "2027-01-01T12:01:30Z", "2027-01-31": "2027-01-31T00:00:00Z",
		"2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z",
		"2027-01-01":                "is not in the future", "0s": "is not in the future", "-1h": "is not in the future", "2026-12-31T23:59:59Z": "is not in the future",
		"30d": "is neither", "31.1.2027": "is neither", "2027-02-30": "is neither", "soon": "is neither", "720": "is neither",
	} {
		got, err := endOf(typed, now)
		if err == nil && got.Format(time.RFC3339) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", typed, got, err, want)
		}
	}
}
