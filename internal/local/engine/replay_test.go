package engine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compareJSON compares two values as JSON, whatever their order of keys.
func compareJSON(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(normal(t, want), normal(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func normal(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), `"Message":`, `"message":`)), &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// withoutInternal drops what admin alone sees.
func withoutInternal(got response) response {
	for _, failed := range got.Errors {
		delete(failed.Extensions, "internal")
	}
	return got
}

type exchangeFixture struct {
	Source  string
	Request struct {
		Input     map[string]any    `json:"input"`
		Variables map[string]string `json:"session_variables"`
		Query     string            `json:"request_query"`
	} `json:"webhook_request_body"`
	Handler struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	} `json:"handler_response"`
	Client *struct {
		Errors json.RawMessage `json:"errors"`
	} `json:"client_response"`
}

// TestRecordedExchanges replays what Hasura sent, received and told its client.
func TestRecordedExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/fixtures/actions/[a-z]*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	s := newStand(t, options{})
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var fixture exchangeFixture
			var raw struct {
				Request json.RawMessage `json:"webhook_request_body"`
			}
			for _, into := range []any{&fixture, &raw} {
				if err := json.Unmarshal(text, into); err != nil {
					t.Fatal(err)
				}
			}
			s.hook.answer(fixture.Handler.Status, string(fixture.Handler.Body))
			header := asAdmin()
			for name, value := range fixture.Request.Variables {
				header.Set(name, value)
			}
			got := withoutInternal(s.graphql(t, header, fixture.Request.Query, recordedVariables(fixture)))
			compareJSON(t, raw.Request, json.RawMessage(s.hook.next(t).body))
			if fixture.Client != nil {
				compareJSON(t, fixture.Client.Errors, got.Errors)
			} else if len(got.Errors) > 0 {
				t.Errorf("errors: %v", got.Errors)
			}
		})
	}
}

// recordedVariables gives the one fixture with a variable the value it was sent with.
func recordedVariables(fixture exchangeFixture) map[string]any {
	if arg, ok := fixture.Request.Input["arg"].(map[string]any); ok {
		return map[string]any{"name": arg["name"]}
	}
	return nil
}

// TestRecordedErrorMapping replays the table of a handler's 4xx and what the client sees.
func testRecordedErrorMapping(t *testing.T, s *stand) {
	text, err := os.ReadFile("testdata/fixtures/actions/_error_mapping.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Source string
		Status int             `json:"handler_status"`
		Body   json.RawMessage `json:"handler_body"`
		Errors json.RawMessage `json:"client_errors"`
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	member := s.as(t, "member", acme, anna)
	for _, c := range cases {
		t.Run(c.Source, func(t *testing.T) {
			s.hook.answer(c.Status, string(c.Body))
			compareJSON(t, c.Errors, s.graphql(t, member, `{ now }`, nil).Errors)
		})
	}
}

// TestRecordedFailuresOfAsynchronousActions replays them as synchronous ones, the only
// kind served: message, code and path are the same.
func testRecordedFailuresOfAsynchronousActions(t *testing.T, s *stand) {
	text, err := os.ReadFile("testdata/fixtures/actions/_async_errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Status int                                `json:"handler_status"`
		Body   any                                `json:"handler_body"`
		Errors struct{ Code, Path, Error string } `json:"async_query_errors_field"`
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		body, isText := c.Body.(string)
		if !isText {
			encoded, err := json.Marshal(c.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = string(encoded)
		}
		s.hook.answer(c.Status, body)
		got := s.fails(t, s.as(t, "member", acme, anna), `{ now }`, c.Errors.Code, c.Errors.Error)
		if path := got.Errors[0].Extensions["path"]; path != c.Errors.Path {
			t.Errorf("path = %v, want %s", path, c.Errors.Path)
		}
	}
}
