package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const rename = `mutation Rename($note: String) { r: renameTenant(input: {name: "N"}, note: $note) { id } }`

func testActionRequestIsHasuras(t *testing.T, s *stand) {
	s.hook.answer(200, `{"id": "1", "name": "N", "history": []}`)
	header := s.as(t, "member", acme, anna)
	header.Set("Cookie", "a=b")
	header.Set("X-Request-Id", "r1")
	header.Set("Origin", "https://app.test")
	header.Set("User-Agent", "browser")
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Accept-Language", "de")
	s.graphql(t, header, rename, nil)
	call := s.hook.next(t)
	if call.path != "/actions/renameTenant" {
		t.Errorf("path = %s", call.path)
	}
	compareJSON(t, map[string]any{
		"action": map[string]any{"name": "renameTenant"}, "input": map[string]any{"input": map[string]any{"name": "N"}},
		"session_variables": map[string]any{
			"x-hasura-role": "member", "x-hasura-tenant-id": acme, "x-hasura-user-id": anna, "x-hasura-tenant-ids": "{" + acme + "}",
		},
		"request_query": rename,
	}, json.RawMessage(call.body))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "hasura-graphql-engine/v2.51.9-standin",
		"X-Webhook-Secret": webhookSecret, "X-Origin": "engine/1", "Cookie": "a=b", "X-Request-Id": "r1",
		"Authorization": header.Get("Authorization"), "X-Forwarded-Origin": "https://app.test", "X-Forwarded-User-Agent": "browser",
		"X-Forwarded-Host": strings.TrimPrefix(s.url, "http://"), "Accept-Language": "", "X-B3-Sampled": "1",
	} {
		if got := call.header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if got := call.header.Get("Traceparent"); !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`).MatchString(got) ||
		!strings.Contains(got, call.header.Get("X-B3-TraceId")) {
		t.Errorf("traceparent = %q", got)
	}
}

func testSessionHeadersAreNeverForwarded(t *testing.T, s *stand) {
	header := asAdmin("X-Hasura-Role", "owner", "X-Hasura-Anything", "x")
	s.graphql(t, header, rename, nil)
	for name := range s.hook.next(t).header {
		if strings.HasPrefix(strings.ToLower(name), "x-hasura-") {
			t.Errorf("forwarded %s", name)
		}
	}
}

// By default a client's header wins over a configured one; the setting turns it round.
func TestConfiguredHeaderPrecedence(t *testing.T) {
	for setting, want := range map[string]string{"": "junk", "true": webhookSecret} {
		t.Run("setting "+setting, func(t *testing.T) {
			s := newStand(t, options{change: func(c *engine.Config) {
				env := c.Env
				c.Env = func(name string) string {
					if name == "HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE" {
						return setting
					}
					return env(name)
				}
			}})
			header := s.as(t, "member", acme, anna)
			header.Set("X-Webhook-Secret", "junk")
			s.graphql(t, header, rename, nil)
			if got := s.hook.next(t).header.Get("X-Webhook-Secret"); got != want {
				t.Errorf("secret = %q, want %q", got, want)
			}
		})
	}
}

func testActionArgumentsArriveAsWritten(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	for query, want := range map[string]string{
		`mutation { renameTenant(input: {name: "<&>"}, note: null, tags: RED) { id } }`:                                  `{"input":{"name":"<&>"},"note":null,"tags":["RED"]}`,
		`mutation { renameTenant(input: {name: "x", extra: {b: [1, 2.50, "z", E]}}, version: 9007199254740993) { id } }`: `{"input":{"name":"x","extra":{"b":[1,2.50,"z","E"]}},"version":9007199254740993}`,
		`mutation { renameTenant(input: {name: "x"}, version: "12") { id } }`:                                            `{"input":{"name":"x"},"version":"12"}`,
	} {
		s.graphql(t, member, query, nil)
		var sent struct{ Input json.RawMessage }
		if err := json.Unmarshal(s.hook.next(t).body, &sent); err != nil {
			t.Fatal(err)
		}
		compareJSON(t, json.RawMessage(want), sent.Input)
		if strings.Contains(want, "2.50") && !strings.Contains(string(sent.Input), "2.50") {
			t.Errorf("number rewritten: %s", sent.Input)
		}
	}
	s.fails(t, member, `mutation { renameTenant(input: {}) { id } }`, missing, `missing required field 'name'`)
	s.fails(t, member, `mutation { renameTenant(input: {name: "x"}, tags: [BLUE]) { id } }`, missing,
		`expected one of the values ['RED', 'GREEN'] for type 'Color', but found 'BLUE'`)
}

func testOutputIsShapedByTheSelection(t *testing.T, s *stand) {
	s.hook.answer(201, `{"id": 7, "name": "N", "other": 1, "previous": {"id": "6", "previous": null}, "history": [{"color": "RED", "at": "x", "more": 1}, null]}`)
	s.data(t, s.as(t, "member", acme, anna), `mutation { renameTenant(input: {name: "x"}) {
		history { at c: color __typename } previous { name previous { id } } key: id __typename } }`,
		`{"renameTenant":{"history":[{"at":"x","c":"RED","__typename":"Change"},null],"previous":{"name":null,"previous":null},"key":7,"__typename":"RenamedTenant"}}`)
}

func testResponsesAreJudgedAsHasuraDoes(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	stats := `{ tenantStats(id: "x") { members storage } }`
	for _, c := range []struct {
		status              int
		body, query         string
		data, code, message string
	}{
		{200, `{"members": "five", "storage": {"any": 1.0}}`, stats, `{"tenantStats":{"members":"five","storage":{"any":1.0}}}`, "", ""},
		{200, `null`, stats, `{"tenantStats":null}`, "", ""},
		{200, `{"members": null}`, stats, "", qerr.Unexpected, `expecting not null value for field "members"`},
		{200, `{}`, stats, "", qerr.Unexpected, `field "members" expected in webhook response, but not found`},
		{200, `[]`, stats, "", qerr.Unexpected, `got array for the action webhook response, expecting Stats`},
		{200, `"x"`, stats, "", qerr.Unexpected, `got string for the action webhook response, expecting Stats`},
		{200, `{"members": 1} x`, stats, "", qerr.Unexpected, `not a valid json response from webhook`},
		{204, ``, stats, "", qerr.Unexpected, `not a valid json response from webhook`},
		{502, `<html>`, stats, "", qerr.Unexpected, `not a valid json response from webhook`},
		{500, `{"message": "a secret"}`, stats, "", qerr.Unexpected, `internal error`},
		{302, `{"message": "moved"}`, stats, "", qerr.Unexpected, `internal error`},
		{404, `{"title": "problem"}`, stats, "", qerr.ParseFailed, `key "message" not found`},
		{422, `{"message": 4}`, stats, "", qerr.ParseFailed, `parsing Text failed, expected String, but encountered Number`},
		{422, `[]`, stats, "", qerr.ParseFailed, `parsing ActionWebhookErrorResponse failed, expected Object, but encountered Array`},
		{200, `null`, `{ now }`, "", qerr.Unexpected, `got null for the action webhook response`},
		{200, `{"odd": true}`, `{ now }`, `{"now":{"odd":true}}`, "", ""},
		{200, `7`, `{ answers }`, "", qerr.Unexpected, `expecting array for the action webhook response`},
		{200, `[1, null]`, `{ answers }`, "", qerr.Unexpected, `got null for the action webhook response`},
		{200, `[1, {}]`, `{ answers }`, "", qerr.Unexpected, `got object for the action webhook response, expecting Int`},
		{200, `null`, `{ answers }`, `{"answers":null}`, "", ""},
	} {
		s.hook.answer(c.status, c.body)
		if c.data != "" {
			s.data(t, member, c.query, c.data)
		} else {
			s.fails(t, member, c.query, c.code, c.message)
		}
	}
}

func TestTimeoutIsTheActions(t *testing.T) {
	s := newStand(t, options{})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.hook.respond(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	s.fails(t, s.as(t, "member", acme, anna), rename, qerr.Unexpected, "http exception when calling webhook")
}

func testCookiesOfHandlersReachTheClient(t *testing.T, s *stand) {
	s.hook.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "session=1; HttpOnly")
		w.Header().Set("X-Other", "stays")
		_, _ = io.WriteString(w, `"2026-01-01"`)
	})
	got := s.graphql(t, s.as(t, "member", acme, anna), `{ now }`, nil)
	if got.header.Get("Set-Cookie") != "session=1; HttpOnly" || got.header.Get("X-Other") != "" {
		t.Errorf("headers = %v", got.header)
	}
}

func testAdminSeesTheExchangeWithoutSecrets(t *testing.T, s *stand) {
	s.hook.answer(400, `{"message": "no"}`)
	got := s.graphql(t, asAdmin(), rename, nil)
	text, err := json.Marshal(got.Errors[0].Extensions["internal"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"status":400`, `"value_from_env":"WEBHOOK_SECRET"`, `"name":"renameTenant"`, `{{HANDLER}}/actions/renameTenant`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("internal does not hold %s: %s", want, text)
		}
	}
	if strings.Contains(string(text), webhookSecret) || strings.Contains(string(text), adminSecret) {
		t.Errorf("internal holds a secret: %s", text)
	}
	got = s.graphql(t, s.as(t, "member", acme, anna), rename, nil)
	if got.Errors[0].Extensions["internal"] != nil {
		t.Error("a member sees the exchange")
	}
}

func TestAnActionBetweenTwoMutationsSplitsTheTransaction(t *testing.T) {
	s := newStand(t, options{})
	s.hook.respond(func(w http.ResponseWriter, r *http.Request) {
		if n := one[int](t, s, `SELECT count(*)::int FROM app.notes WHERE title = 'before'`); n != 1 {
			t.Errorf("the handler sees %d committed notes, want 1", n)
		}
		_, _ = io.WriteString(w, `{"id": "1", "name": "N", "history": []}`)
	})
	member := s.as(t, "member", acme, anna)
	s.fails(t, member, `mutation {
		a: insert_notes_one(object: {title: "before"}) { title }
		b: renameTenant(input: {name: "x"}) { id }
		c: insert_notes_one(object: {title: "undone"}) { title }
		d: insert_notes_one(object: {title: "bad", words: 5000}) { title } }`, qerr.PermissionError, checkFailed)
	if got := one[string](t, s, `SELECT string_agg(title, ' ' ORDER BY title) FROM app.notes WHERE id > 4`); got != "before" {
		t.Errorf("notes left: %s", got)
	}
	// A fault that can be seen beforehand leaves everything undone.
	s.fails(t, member, `mutation { a: insert_notes_one(object: {title: "early"}) { title } b: renameTenant(input: {name: 1}) { id } }`, missing,
		`expected a string for type 'String', but found a number`)
	if n := one[int](t, s, `SELECT count(*)::int FROM app.notes WHERE title = 'early'`); n != 0 {
		t.Error("the first field ran though the second was invalid")
	}
}
