package actions_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func headers(secret, media string) http.Header {
	return http.Header{"X-Webhook-Secret": {secret}, "Content-Type": {media}}
}

func TestTheDoorRefusesInHasurasFormAndNeverWith401(t *testing.T) {
	h := newHouse(t)
	good := `{"action":{"name":"myTenants"},"input":{},"session_variables":{"x-hasura-role":"admin"},"request_query":null}`
	asJSON := headers(secret, "application/json")
	for name, c := range map[string]struct {
		action, body string
		header       http.Header
		status       int
		code         string
	}{
		"no secret":            {"myTenants", good, http.Header{"Content-Type": {"application/json"}}, 403, "bad-webhook-secret"},
		"wrong secret":         {"myTenants", good, headers("junk", "application/json"), 403, "bad-webhook-secret"},
		"both secrets at once": {"myTenants", good, headers(secret+",the-secret-before-rotation", "application/json"), 403, "bad-webhook-secret"},
		"unknown action":       {"dropTenants", good, asJSON, 404, "unknown-action"},
		"action of the path":   {"tenantStats", good, asJSON, 400, "invalid-json"},
		"wrong content type":   {"myTenants", good, headers(secret, "text/plain"), 415, "unsupported-media-type"},
		"no content type":      {"myTenants", good, headers(secret, ""), 415, "unsupported-media-type"},
		"not JSON":             {"myTenants", "<html>", asJSON, 400, "invalid-json"},
		"empty":                {"myTenants", "", asJSON, 400, "invalid-json"},
		"half":                 {"myTenants", good[:40], asJSON, 400, "invalid-json"},
		"two bodies":           {"myTenants", good + good, asJSON, 400, "invalid-json"},
		"an array":             {"myTenants", "[" + good + "]", asJSON, 400, "invalid-json"},
		"too large":            {"myTenants", `{"pad":"` + strings.Repeat("x", 9<<20) + `"}`, asJSON, 413, "payload-too-large"},
		"input is a list":      {"myTenants", strings.Replace(good, `"input":{}`, `"input":[]`, 1), asJSON, 400, "invalid-json"},
		"no session":           {"myTenants", strings.Replace(good, `{"x-hasura-role":"admin"}`, `null`, 1), asJSON, 400, "invalid-session"},
		"session of numbers":   {"myTenants", strings.Replace(good, `"admin"`, `7`, 1), asJSON, 400, "invalid-json"},
		"a foreign role":       {"myTenants", strings.Replace(good, `"admin"`, `"root"`, 1), asJSON, 400, "invalid-session"},
		"a role without user":  {"myTenants", strings.Replace(good, `"admin"`, `"user"`, 1), asJSON, 400, "invalid-session"},
	} {
		got := h.send(t, c.action, []byte(c.body), c.header)
		extensions, _ := got.body["extensions"].(map[string]any)
		if got.status != c.status || got.code() != c.code || extensions["code"] != c.code || got.body["message"] == "" {
			t.Errorf("%s: %d %v; want %d %s", name, got.status, got.body, c.status, c.code)
		}
	}
	for _, accepted := range []string{secret, "the-secret-before-rotation"} {
		if got := h.send(t, "myTenants", []byte(good), headers(accepted, "application/json; charset=utf-8")); got.status != http.StatusOK {
			t.Errorf("a valid secret was refused: %d %v", got.status, got.body)
		}
	}
}

func TestSessionVariablesAreReadWithoutCase(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	body := `{"action":{"name":"tenantStats"},"input":{},"session_variables":{"X-Hasura-Role":"tenant_owner","X-Hasura-User-Id":"` +
		team.Owner.String() + `","X-Hasura-Tenant-Id":"` + team.ID.String() + `"}}`
	if got := h.send(t, "tenantStats", []byte(body), headers(secret, "application/json")); got.status != http.StatusOK {
		t.Errorf("%d %v", got.status, got.body)
	}
}

func TestASessionWithoutTenantIsToldToChooseOne(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	stray := session.Session{Role: session.TenantOwner, User: team.Owner}
	h.refused(t, "tenant-required", stray, "updateTenant", map[string]any{"name": "x"})
	h.refused(t, "tenant-required", pgtest.Operator, "updateTenant", map[string]any{"name": "x"})
}

func TestEveryActionRefusesTheRolesThatMayNotCallIt(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for _, action := range []string{
		"suspendTenant", "activateTenant", "restoreTenant", "setTenantPlan", "mintToken", "reverseUsage", "setTenantLimit", "removeTenantLimit",
		"setBillingCycle", "defineMeter", "removeMeter", "addMeterSource", "removeMeterSource", "meterSources", "parkedEvents", "replayEvent",
		"usageDrift", "reconcileUsage",
	} {
		for _, role := range []member.Role{member.Owner, member.Admin, member.Plain, member.Guest} {
			h.refused(t, "forbidden", team.As(role), action, map[string]any{"tenant": team.Slug, "plan": "enterprise", "userId": team.Owner})
		}
	}
	for _, action := range []string{"updateTenant", "inviteMember", "addMember", "removeMember", "setTenantSetting"} {
		for _, role := range []member.Role{member.Plain, member.Guest} {
			h.refused(t, "forbidden", team.As(role), action, nil)
		}
		h.refused(t, "forbidden", session.Session{Role: session.User, User: team.Owner}, action, nil)
	}
	for _, action := range []string{"recordUsage", "takeQuota", "reserveQuota", "settleQuota", "releaseQuota"} {
		h.refused(t, "forbidden", team.As(member.Guest), action, nil)
		h.refused(t, "forbidden", session.Session{Role: session.User, User: team.Owner}, action, nil)
	}
	for _, role := range []member.Role{member.Plain, member.Guest} {
		h.refused(t, "forbidden", team.As(role), "tenantUsage", nil)
	}
}

func TestAnOutageIsUnavailableNotABug(t *testing.T) {
	h := newHouse(t)
	h.db.Close()
	got := h.call(t, pgtest.Operator, "tenantStats", map[string]any{"tenant": "acme"})
	if got.status < 500 || got.code() == nil {
		t.Errorf("%d %v", got.status, got.body)
	}
}
