package acceptance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

func mustAtoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hasura is a caller that proves itself to the webhook doors as Hasura does.
func hasura() caller { return caller{"X-Webhook-Secret": local.Get("NSELF_WEBHOOK_SECRET")} }

// answer is what a webhook door replied.
type answer struct {
	status int
	raw    string
	body   map[string]any
}

func (a answer) code() string { code, _ := a.body["code"].(string); return code }

// callAction posts what Hasura posts for an action.
func (c caller) callAction(t *testing.T, name string, input args, session map[string]string) answer {
	t.Helper()
	if input == nil {
		input = args{}
	}
	body, err := json.Marshal(map[string]any{
		"action":            map[string]string{"name": name},
		"input":             input,
		"session_variables": session,
		"request_query":     nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.callRaw(t, "/actions/"+name, string(body))
}

// callRaw posts any bytes to a webhook door; a server error fails the test.
func (c caller) callRaw(t *testing.T, path, body string) answer {
	t.Helper()
	status, raw := c.post(t, path, body)
	a := answer{status: status, raw: raw}
	if status >= 500 {
		t.Errorf("POST %s answered %d, which only a bug may cause: %.300s", path, status, raw)
	}
	if err := json.Unmarshal([]byte(raw), &a.body); err != nil {
		var list []any
		if json.Unmarshal([]byte(raw), &list) != nil {
			t.Errorf("POST %s answered %d with no JSON: %.300s", path, status, raw)
		}
	}
	return a
}

var kebab = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*$`)

// wantFault demands the shape in which Hasura can pass a refusal on.
func (a answer) wantFault(t *testing.T) {
	t.Helper()
	if a.status < 400 || a.status > 499 || a.status == 401 {
		t.Errorf("status %d, want a refusal (4xx, not 401): %.300s", a.status, a.raw)
		return
	}
	message, _ := a.body["message"].(string)
	extensions, _ := a.body["extensions"].(map[string]any)
	if message == "" || a.code() == "" || extensions["code"] != a.body["code"] {
		t.Errorf("a refusal must carry message, code and the same extensions.code: %.300s", a.raw)
	}
	if !kebab.MatchString(a.code()) {
		t.Errorf("code %q is not kebab-case", a.code())
	}
}

// deliver posts an event as Hasura does.
func (c caller) deliver(t *testing.T, event args) answer {
	t.Helper()
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return c.callRaw(t, "/events/tenant", string(body))
}

// tenantEvent is the payload of the trigger on tenants; row may be any JSON.
func tenantEvent(id, op string, row any) args {
	return args{
		"id":            id,
		"table":         args{"schema": "tenants", "name": "tenants"},
		"trigger":       args{"name": "tenant_status"},
		"event":         args{"op": op, "data": args{"old": nil, "new": row}, "session_variables": nil, "trace_context": nil},
		"delivery_info": args{"current_retry": 0, "max_retries": 10},
		"created_at":    "2026-11-23T00:25:48.223125",
	}
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
