package hasuraapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answering is a server that gives one answer and remembers the last request.
type answering struct {
	*httptest.Server
	path   string
	header http.Header
	body   string
}

func answer(t *testing.T, status int, body string) *answering {
	t.Helper()
	a := &answering{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		a.path, a.header, a.body = r.URL.Path, r.Header, string(sent)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(a.Close)
	return a
}

func client(t *testing.T, endpoint string, credential Credential) *Client {
	t.Helper()
	c, err := New(endpoint, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEndpointIsTakenWithOrWithoutItsPath(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://h:8080":                  "http://h:8080",
		"http://h:8080/":                 "http://h:8080",
		" https://h/v1/graphql ":         "https://h",
		"https://h/v1/graphql/":          "https://h",
		"https://h/hasura/v1/graphql":    "https://h/hasura",
		"http://[::1]:8080/v1/graphql//": "http://[::1]:8080",
	} {
		if got, err := BaseURL(endpoint); got != want || err != nil {
			t.Errorf("BaseURL(%q) = %q, %v; want %q", endpoint, got, err, want)
		}
	}
	for _, endpoint := range []string{"", "h:8080", "ftp://h", "http://", "http://me:secret@h", "http://h?a=b", "http://h#x", "http://h/%zz", "http://h\x00"} {
		if got, err := BaseURL(endpoint); err == nil {
			t.Errorf("BaseURL(%q) = %q, want an error", endpoint, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("BaseURL(%q) repeats a secret: %v", endpoint, err)
		}
	}
}

func TestExactlyOneCredentialIsNeeded(t *testing.T) {
	for _, credential := range []Credential{{}, {AdminSecret: "a", Token: "b"}} {
		if _, err := New("http://h", credential, nil); err == nil {
			t.Errorf("New accepts %+v", credential)
		}
	}
}

func TestDoSendsTheCredentialAndDecodesTheData(t *testing.T) {
	server := answer(t, 200, `{"data":{"tenants":[{"slug":"acme"}]}}`)
	var got struct {
		Tenants []struct{ Slug string } `json:"tenants"`
	}
	if err := client(t, server.URL+"/v1/graphql", Credential{AdminSecret: "s"}).Do(t.Context(), "query { tenants { slug } }", map[string]any{"a": 1}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Tenants) != 1 || got.Tenants[0].Slug != "acme" {
		t.Errorf("decoded %+v", got)
	}
	if server.path != "/v1/graphql" || server.header.Get("X-Hasura-Admin-Secret") != "s" || server.header.Get("Authorization") != "" {
		t.Errorf("sent to %s with %v", server.path, server.header)
	}
	if err := client(t, server.URL, Credential{Token: "jwt"}).Do(t.Context(), "query { tenants { slug } }", nil, &got); err != nil {
		t.Fatal(err)
	}
	if server.header.Get("Authorization") != "Bearer jwt" || server.header.Get("X-Hasura-Admin-Secret") != "" {
		t.Errorf("sent with %v", server.header)
	}
}

func TestEveryFailureIsOneKindOfError(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   Error
	}{
		"a refusal": {200, `{"errors":[{"message":"the slug acme is taken","extensions":{"code":"slug-taken","suggestion":"acme-2","path":"$"}}]}`,
			Error{Message: "the slug acme is taken", Code: "slug-taken", Extensions: map[string]any{"code": "slug-taken", "suggestion": "acme-2", "path": "$"}}},
		"two refusals": {200, `{"errors":[{"message":"a","extensions":{"code":"x"}},{"message":"b"}]}`,
			Error{Message: "a; b", Code: "x", Extensions: map[string]any{"code": "x"}}},
		"no extensions": {200, `{"errors":[{"message":"a"}]}`, Error{Message: "a"}},
		"a status with errors": {401, `{"errors":[{"message":"no","extensions":{"code":"invalid-jwt"}}]}`,
			Error{Message: "no", Code: "invalid-jwt", Status: 401, Extensions: map[string]any{"code": "invalid-jwt"}}},
		"a proxy's page": {502, `<html>`, Error{Code: BadReply, Status: 502, Message: "BASE answered with HTTP status 502 and no reason: is it Hasura?"}},
		"a web page":     {200, `<html>`, Error{Code: BadReply, Message: "BASE/v1/graphql did not answer with JSON: is it a GraphQL endpoint?"}},
		"nothing":        {200, `{}`, Error{Code: BadReply, Message: "the answer of BASE/v1/graphql is not what was asked for: unexpected end of JSON input"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := answer(t, tt.status, tt.body)
			err := client(t, server.URL, Credential{AdminSecret: "s"}).Do(t.Context(), "{ x }", nil, &struct{}{})
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %T: %v", err, err)
			}
			got.Message, got.cause = strings.ReplaceAll(got.Message, server.URL, "BASE"), nil
			if diff := cmp.Diff(tt.want, *got, cmp.AllowUnexported(Error{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEndpointNobodyListensOnIsUnreachable(t *testing.T) {
	server := answer(t, 200, "{}")
	server.Close()
	c := client(t, server.URL, Credential{AdminSecret: "hush"})
	_, exportErr := c.Export(t.Context())
	for _, err := range []error{c.Do(t.Context(), "{ x }", nil, &struct{}{}), exportErr} {
		var got *Error
		if !errors.As(err, &got) || got.Code != Unreachable || !strings.Contains(got.Message, server.URL+" cannot be reached") {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, "{ x }", nil, &struct{}{}); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("after a cancel: %v", err)
	}
}

func TestARedirectDoesNotCarryTheSecretAway(t *testing.T) {
	thief := answer(t, 200, `{"data":{},"resource_version":1,"metadata":{}}`)
	lure := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(lure.Close)
	c := client(t, lure.URL, Credential{AdminSecret: "s"})
	if err := c.Do(t.Context(), "{ x }", nil, &struct{}{}); err == nil {
		t.Error("a redirected query succeeded")
	}
	if _, err := c.Export(t.Context()); err == nil {
		t.Error("a redirected export succeeded")
	}
	if thief.header != nil {
		t.Errorf("the redirect was followed with %v", thief.header)
	}
}

func TestMetadataCommandsOnTheWire(t *testing.T) {
	server := answer(t, 200, `{"resource_version":7,"metadata":{"version":3},"is_consistent":false,"inconsistent_objects":[{"type":"table","name":"t","reason":"gone"},{"type":"source","reason":"away"}]}`)
	c := client(t, server.URL, Credential{AdminSecret: "s"})
	exported, err := c.Export(t.Context())
	if err != nil || exported.ResourceVersion != 7 || string(exported.Metadata) != `{"version":3}` {
		t.Errorf("Export = %+v, %v", exported, err)
	}
	wire(t, server, `{"type":"export_metadata","version":2,"args":{}}`)
	if err := c.Replace(t.Context(), exported); err != nil {
		t.Error(err)
	}
	wire(t, server, `{"type":"replace_metadata","version":2,"resource_version":7,"args":{"allow_inconsistent_metadata":false,"metadata":{"version":3}}}`)
	found, err := c.Inconsistent(t.Context())
	if err != nil || len(found) != 2 || found[0].String() != "t: gone" || found[1].String() != "source: away" {
		t.Errorf("Inconsistent = %v, %v", found, err)
	}
	wire(t, server, `{"type":"get_inconsistent_metadata","args":{}}`)
	if err := c.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	wire(t, server, `{"type":"reload_metadata","args":{"recreate_event_triggers":true,"reload_remote_schemas":false,"reload_sources":true}}`)
}

func wire(t *testing.T, server *answering, want string) {
	t.Helper()
	if server.path != "/v1/metadata" || server.header.Get("X-Hasura-Admin-Secret") != "s" || server.header.Get("Content-Type") != "application/json" {
		t.Errorf("sent to %s with %v", server.path, server.header)
	}
	var got, wanted any
	if err := errors.Join(json.Unmarshal([]byte(server.body), &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestARefusedReplaceSaysWhatIsInconsistent(t *testing.T) {
	server := answer(t, 400, `{"path":"$.args","error":"cannot continue due to inconsistent metadata","code":"unexpected","internal":[{"type":"table","name":"table tenants.tenants in source default","reason":"no such table"}]}`)
	err := client(t, server.URL, Credential{AdminSecret: "s"}).Replace(t.Context(), Exported{Metadata: json.RawMessage(`{}`)})
	const want = "cannot continue due to inconsistent metadata; table tenants.tenants in source default: no such table"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAConflictKeepsItsCode(t *testing.T) {
	server := answer(t, 409, `{"path":"$","error":"metadata resource version referenced (7) did not match current version","code":"conflict"}`)
	err := client(t, server.URL, Credential{AdminSecret: "s"}).Replace(t.Context(), Exported{Metadata: json.RawMessage(`{}`)})
	var got *Error
	if !errors.As(err, &got) || got.Code != "conflict" || got.Status != 409 {
		t.Errorf("got %+v", got)
	}
}

// What takes minutes is waited for by whoever says so.
func TestACallLastsAsLongAsItsContextSays(t *testing.T) {
	answered := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that it is seen when the client hangs up
		select {
		case <-answered:
			_, _ = io.WriteString(w, `{"data":{}}`)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	c := client(t, slow.URL, Credential{Token: "t"})
	c.limit = 50 * time.Millisecond
	var late *Error
	if err := c.Do(t.Context(), "{ a }", nil, &none{}); !errors.As(err, &late) || late.Code != Unreachable || !strings.Contains(late.Message, "no answer in time") {
		t.Errorf("without a deadline: %v", err)
	}
	time.AfterFunc(4*c.limit, func() { close(answered) })
	longer, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := c.Do(longer, "{ a }", nil, &none{}); err != nil {
		t.Errorf("with a later one: %v", err)
	}
}
