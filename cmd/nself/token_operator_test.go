package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// part decodes one part of a JWT: 0 the header, 1 the claims.
func part(t *testing.T, jwt string, number int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[number])
	if err != nil {
		t.Fatal(err)
	}
	var found map[string]any
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func impersonationIsOnTheRecord(t *testing.T, i installation) {
	t.Helper()
	const reason = "ticket 4711: empty list"
	got := i.nself(t, "token", "impersonate", "member@acme.example", "--tenant", "acme", "--reason", reason, "--ttl", "5m")
	jwt := strings.TrimSuffix(got.out, "\n")
	if got.code != exitDone || strings.ContainsAny(jwt, " \n") || !strings.HasPrefix(got.err, "Token to act as member@acme.example as tenant_member, until ") {
		t.Fatalf("%+v", got)
	}
	if claims := part(t, jwt, 1); claims["act"] == nil {
		t.Errorf("the claims do not say who acts: %v", claims)
	}
	listed := i.sessions(t, "--user", "member@acme.example", "--tenant", "acme")
	at := slices.IndexFunc(listed, func(s signIn) bool { return s.Method == "impersonation" })
	if at < 0 || value(listed[at].Reason) != reason || time.Until(*listed[at].ExpiresAt) > 5*time.Minute {
		t.Errorf("%+v", listed)
	}
	var kept int
	err := i.owner(t).QueryRow(t.Context(), `SELECT count(*) FROM audit.log WHERE action = 'impersonate' AND after ->> 'reason' = $1`, reason).Scan(&kept)
	if err != nil || kept != 1 {
		t.Errorf("the audit log has it %d times (%v)", kept, err)
	}
	i.asks().mustDo(t, "tenant", "show", "acme", "--token", jwt)
	i.mustRefuse(t, exitUsage, "--reason is needed", "token", "impersonate", "member@acme.example")
	i.mustRefuse(t, exitRefused, "reason", "token", "impersonate", "member@acme.example", "--tenant", "acme", "--reason", "x")
	i.mustRefuse(t, exitRefused, "3600", "token", "impersonate", "member@acme.example", "--tenant", "acme", "--reason", reason, "--ttl", "2h")
	i.mustRefuse(t, exitRefused, "techco has no member with the e-mail member@acme.example", "token", "impersonate", "member@acme.example", "--tenant", "techco", "--reason", reason)
	i.asks().mustRefuse(t, exitRefused, "may not use impersonate", "token", "impersonate", i.settings.Get("ACME_OWNER_ID"), "--reason", reason, "--token", jwt)
}

// published are the ids of the keys that the server publishes.
func (i installation) published(t *testing.T) []string {
	t.Helper()
	reply, err := http.Get(i.environment["SERVER_URL"] + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(set.Keys))
	for n, key := range set.Keys {
		ids[n] = key.KID
	}
	return ids
}

func aRotatedKeyOverlapsTheOldOne(t *testing.T, i installation) {
	t.Helper()
	i.asks().mustRefuse(t, exitRefused, "may not use rotateSigningKey", "token", "rotate-key", "--token", i.settings.Get("ACME_OWNER_TOKEN"))
	before := i.minted(t, "mint", "member@acme.example").AccessToken
	old := part(t, before, 0)["kid"].(string)
	var made signingKey
	if err := json.Unmarshal([]byte(i.mustDo(t, "token", "rotate-key", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	if !made.SignsFrom.After(made.CreatedAt) || !made.OldVerifyUntil.After(made.SignsFrom.Add(24*time.Hour)) || !slices.Equal(made.Retiring, []string{old}) {
		t.Errorf("%+v after %s", made, old)
	}
	if keys := i.published(t); !slices.Contains(keys, old) || !slices.Contains(keys, made.KID) {
		t.Errorf("published are %v, want %s and %s", keys, old, made.KID)
	}
	i.asks().mustDo(t, "tenant", "show", "acme", "--token", before)

	if out := i.mustDo(t, "token", "rotate-key"); !strings.Contains(plain(out), "\n  Signs from:            <time>\n  Old keys:              "+made.KID+"\n  Old keys verify until: <time>\n") {
		t.Errorf("%s", out)
	}

	ending := []string{"token", "rotate-key", "--revoke-old"}
	i.mustRefuse(t, exitUsage, "ending the old keys needs --yes where there is no terminal to ask on", ending...)
	got := i.atTerminal(t, "no\n", ending...)
	if got.code != exitRefused || !strings.Contains(got.err, "Every access token that is out is refused at once") || len(i.published(t)) != 3 {
		t.Errorf("%+v", got)
	}
	out := i.mustDo(t, append(ending, "--yes")...)
	if !strings.HasPrefix(out, "✓ Signing key made: ") || !strings.Contains(plain(out), "  Signs from: <time>\n  Withdrawn:  ") || !strings.Contains(out, old) {
		t.Errorf("%s", out)
	}
	after := part(t, i.minted(t, "mint", "member@acme.example").AccessToken, 0)["kid"].(string)
	if keys := i.published(t); !slices.Equal(keys, []string{after}) || !strings.Contains(out, after) {
		t.Errorf("published are %v, and %s signs", keys, after)
	}
}
