package acceptance

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A caller is whoever sends a request: nothing but its headers.
type caller map[string]string

func anonymous() caller { return caller{} }

func operator() caller {
	return caller{"X-Hasura-Admin-Secret": local.Get("HASURA_GRAPHQL_ADMIN_SECRET")}
}

func bearer(token string) caller { return caller{"Authorization": "Bearer " + token} }

// demo is one of the users that the installation seeds, such as "ACME_OWNER".
func demo(name string) caller { return bearer(local.Get(name + "_TOKEN")) }

func (c caller) with(header, value string) caller {
	more := maps.Clone(c)
	more[header] = value
	return more
}

type args map[string]any

type gqlError struct {
	Message    string
	Extensions map[string]any
}

func (e gqlError) code() string { code, _ := e.Extensions["code"].(string); return code }

type reply struct {
	Data   map[string]json.RawMessage
	Errors []gqlError
	raw    string
}

// ask sends one GraphQL operation and decodes what comes back.
func (c caller) ask(t *testing.T, query string, variables args) reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	status, raw := c.post(t, "/v1/graphql", string(body))
	if status != http.StatusOK {
		t.Fatalf("/v1/graphql answered %d, not 200: %.300s", status, raw)
	}
	r := reply{raw: raw}
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		t.Fatalf("/v1/graphql did not answer GraphQL: %v: %.300s", err, raw)
	}
	return r
}

// post sends a JSON body as this caller and returns the status and the answer.
func (c caller) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	headers := maps.Clone(c)
	if _, set := headers["Content-Type"]; !set {
		headers["Content-Type"] = "application/json"
	}
	return send(t, http.MethodPost, path, strings.NewReader(body), headers)
}

// client has a deadline only so that a server that hangs fails the test.
var client = &http.Client{Timeout: 20 * time.Second}

func send(t *testing.T, method, path string, body io.Reader, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, local.Get("SERVER_URL")+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer.String()
}

// must is ask where the operation has to succeed.
func (c caller) must(t *testing.T, query string, variables args) reply {
	t.Helper()
	r := c.ask(t, query, variables)
	if len(r.Errors) > 0 || r.Data == nil {
		t.Fatalf("refused: %s\n%.600s", query, r.raw)
	}
	return r
}

// refused is ask where the operation has to fail by a rule, and not by a bug.
func (c caller) refused(t *testing.T, query string, variables args) gqlError {
	t.Helper()
	r := c.ask(t, query, variables)
	if len(r.Errors) == 0 {
		t.Fatalf("accepted: %s %v\n%.600s", query, variables, r.raw)
	}
	e := r.Errors[0]
	if e.code() == "" || e.code() == "unexpected" || e.Message == "" || strings.Contains(e.Message, "internal error") {
		t.Fatalf("failed like a bug, not by a rule: %s\n%.600s", query, r.raw)
	}
	return e
}

// at decodes the value under a path of keys and indexes, as in "tenants.0.id".
func (r reply) at(t *testing.T, path string) any {
	t.Helper()
	first, rest, _ := strings.Cut(path, ".")
	var value any
	if err := json.Unmarshal(r.Data[first], &value); err != nil {
		t.Fatalf("no %q in %.300s", first, r.raw)
	}
	for key := range strings.FieldsFuncSeq(rest, func(c rune) bool { return c == '.' }) {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			value = v[mustAtoi(t, key)]
		}
	}
	return value
}

// text is at where the value is a string.
func (r reply) text(t *testing.T, path string) string {
	t.Helper()
	s, ok := r.at(t, path).(string)
	if !ok {
		t.Fatalf("%q is no string in %.300s", path, r.raw)
	}
	return s
}

// count is at where the value is a list; it returns its length.
func (r reply) count(t *testing.T, path string) int {
	t.Helper()
	list, ok := r.at(t, path).([]any)
	if !ok {
		t.Fatalf("%q is no list in %.300s", path, r.raw)
	}
	return len(list)
}
