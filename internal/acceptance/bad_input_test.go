package acceptance

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestActionDoorAsksForTheSecret(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret := local.Get("NSELF_WEBHOOK_SECRET")
	for name, headers := range map[string]caller{
		"none": {}, "wrong": {"X-Webhook-Secret": "x"}, "empty": {"X-Webhook-Secret": ""}, "a prefix": {"X-Webhook-Secret": secret[:len(secret)-1]},
		"longer": {"X-Webhook-Secret": secret + "x"}, "upper case": {"X-Webhook-Secret": strings.ToUpper(secret)}, "a list": {"X-Webhook-Secret": secret + "," + secret},
		"the admin secret": operator(), "a token": h.owner.caller, "as a bearer": bearer(secret),
	} {
		a := headers.callAction(t, "setTenantSetting", args{"key": "k", "value": 1}, h.owner.session())
		if a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		a.wantFault(t)
		headers.callAction(t, "unknown", nil, nil).wantFault(t)
	}
	if status, _ := send(t, http.MethodPost, "/actions/setTenantSetting?X-Webhook-Secret="+secret, strings.NewReader("{}"), caller{"Content-Type": "application/json"}); status != http.StatusForbidden {
		t.Errorf("a secret in the address counts: %d", status)
	}
}

func TestActionDoorRefusesWhatIsNoAction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	session := fmt.Sprintf(`{"x-hasura-role": "tenant_owner", "x-hasura-user-id": %q, "x-hasura-tenant-id": %q}`, h.owner.id, h.id)
	valid := fmt.Sprintf(`{"action": {"name": "tenantStats"}, "input": {}, "session_variables": %s, "request_query": null}`, session)
	if a := hasura().callRaw(t, "/actions/tenantStats", valid); a.status != http.StatusOK {
		t.Fatalf("the valid body is refused: %d %s", a.status, a.raw)
	}
	for _, body := range []string{
		``, ` `, `x`, `null`, `[]`, `1`, `"x"`, `true`, `{}`, `{"action": {}}`, `{"action": null}`, `{"action": {"name": null}}`, `{"action": {"name": "createTenant"}}`,
		valid[:len(valid)-1], valid + "x", valid + valid, "\xef\xbb\xbf" + valid, "\xff", strings.Repeat("[", 50_000), strings.Repeat(`{"a":`, 50_000),
		strings.Replace(valid, `"input": {}`, `"input": []`, 1), strings.Replace(valid, `"input": {}`, `"input": "x"`, 1),
		strings.Replace(valid, `"tenantStats"`, `"setTenantSetting"`, 1), strings.Replace(valid, session, `null`, 1), strings.Replace(valid, session, `[]`, 1),
		strings.Replace(valid, session, `{}`, 1), strings.Replace(valid, `"x-hasura-role": "tenant_owner"`, `"x-hasura-role": 5`, 1),
		strings.Replace(valid, `"tenant_owner"`, `"superuser"`, 1), strings.Replace(valid, `"tenant_owner"`, `"Admin"`, 1), strings.Replace(valid, `"tenant_owner"`, `""`, 1),
		strings.Replace(valid, h.owner.id, "x", 1), strings.Replace(valid, h.id, "", 1), strings.Replace(valid, h.id, "x' OR true --", 1),
		strings.Replace(valid, h.id, nobody, 1), strings.Replace(valid, h.owner.id, nobody, 1),
		fmt.Sprintf(`{"action": {"name": "tenantStats"}, "input": {}, "session_variables": {"x-hasura-role": "tenant_owner", "x-hasura-user-id": %q}}`, h.owner.id),
	} {
		a := hasura().callRaw(t, "/actions/tenantStats", body)
		a.wantFault(t)
		if strings.Contains(a.raw, "Go value") || strings.Contains(a.raw, "Go struct") || strings.Contains(a.raw, ".go:") {
			t.Errorf("%.60s tells of the program behind the door: %s", body, a.raw)
		}
	}
}

func TestBodyTooLargeIsRefusedAndNotRead(t *testing.T) {
	t.Parallel()
	for path, size := range map[string]int{"/actions/createTenant": 9 << 20, "/events/tenant": 3 << 20} {
		for name, body := range map[string]io.Reader{
			"at once":   strings.NewReader(`{"id": "` + strings.Repeat("x", size) + `"}`),
			"in chunks": io.MultiReader(strings.NewReader(`{"id": "`), bytes.NewReader(bytes.Repeat([]byte("x"), size))),
		} {
			status, raw := send(t, http.MethodPost, path, body, hasura().with("Content-Type", "application/json"))
			if status != http.StatusRequestEntityTooLarge || !strings.Contains(raw, `"message"`) {
				t.Errorf("%s to %s: %d %s", name, path, status, raw)
			}
		}
	}
}

func TestWrongContentTypeIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "json", ";", "\u00e9"} {
		a := hasura().with("Content-Type", kind).callRaw(t, "/actions/myTenants", `{}`)
		if a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d %s", kind, a.status, a.raw)
		}
		a.wantFault(t)
	}
	a := hasura().with("Content-Encoding", "gzip").callRaw(t, "/actions/myTenants", "\x1f\x8b\x08\x00\x00\x00\x00\x00")
	a.wantFault(t)
}

func TestUnknownActionAndWrongMethodAnswerInTheDoorsDialect(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/actions/unknown", "/actions/CREATETENANT", "/actions/createTenant/x", "/actions/", "/actions/%00", "/actions/..%2f..%2freadyz", "/actions/" + strings.Repeat("x", 5000)} {
		hasura().callRaw(t, path, `{}`).wantFault(t)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "BREW"} {
		status, raw := send(t, method, "/actions/createTenant", nil, hasura())
		if status < 400 || status > 499 || !strings.Contains(raw, `"message"`) {
			t.Errorf("%s: %d %s", method, status, raw)
		}
	}
}

// Arguments: all problems of a call come back at once, each with its field.
func TestEveryProblemOfTheArgumentsIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for _, c := range []struct {
		action string
		input  args
		fields []string
	}{
		{"createTenant", args{}, []string{"name"}},
		{"createTenant", args{"name": nil}, []string{"name"}},
		{"createTenant", args{"name": 1, "slug": true, "plan": args{}, "ownerUserId": 5, "strategy": []any{}, "idempotencyKey": 1}, []string{"name", "slug", "plan", "ownerUserId", "strategy", "idempotencyKey"}},
		{"createTenant", args{"name": "", "slug": "A B", "strategy": "cloud", "ownerUserId": "x", "idempotencyKey": ""}, []string{"name", "slug", "strategy", "ownerUserId", "idempotencyKey"}},
		{"createTenant", args{"name": "ok", "nonsense": 1}, []string{"nonsense"}},
		{"switchTenant", args{"tenant": 5}, []string{"tenant"}},
		{"acceptInvitation", args{}, []string{"token"}},
		{"acceptInvitation", args{"token": nil}, []string{"token"}},
	} {
		a := hasura().callAction(t, c.action, c.input, u.session())
		a.wantFault(t)
		text := fmt.Sprint(a.body["extensions"])
		for _, field := range c.fields {
			if !strings.Contains(text, field) {
				t.Errorf("%s %v: nothing said of %q: %s", c.action, c.input, field, a.raw)
			}
		}
	}
}

func TestNullForARequiredArgumentIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for action, input := range map[string]args{
		"setTenantSetting":    {"key": "k", "value": nil},
		"removeTenantSetting": {"key": nil},
		"inviteMember":        {"email": nil},
		"addMember":           {"userId": nil},
		"updateMemberRole":    {"userId": h.guest.id, "role": nil},
		"removeMember":        {"userId": nil},
		"inviteMembers":       {"emails": nil},
		"createApiKey":        {"name": nil},
		"revokeApiKey":        {"apiKeyId": nil},
		"transferOwnership":   {"userId": nil},
		"deleteTenant":        {"confirmSlug": nil},
		"revokeInvitation":    {"invitationId": nil},
	} {
		a := hasura().callAction(t, action, input, h.owner.session())
		a.wantFault(t)
		if a.code() != "invalid-input" {
			t.Errorf("%s %v: %s", action, input, a.raw)
		}
	}
}

// Two spellings of one variable leave open which of them counts.
func TestSessionThatNamesAVariableTwiceIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, role := range []string{"X-Hasura-Role", "X-HASURA-ROLE"} {
		session := h.guest.session()
		session[role] = "admin"
		for range 5 {
			hasura().callAction(t, "setTenantSetting", args{"tenant": h.slug, "key": "k", "value": 1}, session).wantFault(t)
		}
	}
}
