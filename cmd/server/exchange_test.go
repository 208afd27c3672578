package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/nself/tenancy/internal/local/idp"
	"github.com/nself/tenancy/internal/pgtest"
)

// The whole way of a provider's token: a provider that serves its keys, the program with
// its settings, the door.
func TestATrustedProvidersTokenIsExchangedAndAnothersIsNot(t *testing.T) {
	trusted, err := idp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trusted.Close() })
	stranger, err := idp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Close() })
	under := pgtest.Database(t)
	db := under.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	email := ""
	if err := db.QueryRow(t.Context(), `SELECT email FROM auth.users WHERE id = $1`, team.Admin).Scan(&email); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	common := settings(under.URL("nself_server"), port)
	startReplica(t, build(t), func(name string) string {
		if name == "AUTH_PROVIDERS" {
			return fmt.Sprintf(`[{"issuer": %q, "audience": "tenancy"}]`, trusted.Issuer())
		}
		return common(name)
	})
	server := fmt.Sprintf("http://127.0.0.1:%d", port)
	within(t, "it is ready", func() bool { status, _ := ask(t, http.MethodGet, server+"/readyz", ""); return status == http.StatusOK })

	exchange := func(p *idp.Provider, email string, verified bool) (int, map[string]any) {
		claims := p.Claims("subject-of-"+email, "tenancy")
		claims["email"], claims["email_verified"], claims["role"] = email, verified, "admin"
		shown, err := p.Sign(claims, idp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.PostForm(server+"/auth/token", url.Values{"grant_type": {"exchange"}, "subject_token": {shown}, "tenant": {team.Slug}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var body map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, body
	}
	if status, got := exchange(trusted, email, true); status != http.StatusOK || got["role"] != "tenant_admin" || got["user_id"] != team.Admin.String() || got["tenant_id"] != team.ID.String() {
		t.Errorf("a member: %d %v", status, got)
	}
	for name, try := range map[string]func() (int, map[string]any){
		"another provider":          func() (int, map[string]any) { return exchange(stranger, email, true) },
		"an address not vouched":    func() (int, map[string]any) { return exchange(trusted, "x"+email, false) },
		"nobody of the tenant":      func() (int, map[string]any) { return exchange(trusted, "y"+email, true) },
		"an address of no provider": func() (int, map[string]any) { return exchange(trusted, "", true) },
	} {
		if status, got := try(); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
}
