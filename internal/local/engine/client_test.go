package engine_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// response is an answer of /v1/graphql.
type response struct {
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
	header http.Header
}

// post sends a body and returns status, answer and headers.
func (s *stand) post(t *testing.T, path string, header http.Header, body []byte) (int, []byte, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, text, answer.Header
}

// graphql runs a document; variables may be nil.
func (s *stand) graphql(t *testing.T, header http.Header, query string, variables map[string]any) response {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	status, text, answered := s.post(t, "/v1/graphql", header, body)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, text)
	}
	var decoded response
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	decoded.header = answered
	return decoded
}

// data runs a document that must succeed and compares its data to the byte.
func (s *stand) data(t *testing.T, header http.Header, query, want string) {
	t.Helper()
	got := s.graphql(t, header, query, nil)
	if len(got.Errors) > 0 || string(got.Data) != want {
		t.Errorf("%s\n got: %s %v\nwant: %s", query, got.Data, got.Errors, want)
	}
}

// fails runs a document that must fail, with the code and the message.
func (s *stand) fails(t *testing.T, header http.Header, query, code, message string) response {
	t.Helper()
	got := s.graphql(t, header, query, nil)
	if len(got.Errors) != 1 || got.Data != nil {
		t.Fatalf("%s\ngot %s %v, want the one error %q", query, got.Data, got.Errors, message)
	}
	if failed := got.Errors[0]; failed.Message != message || failed.Extensions["code"] != code {
		t.Errorf("%s\n got: %q %v\nwant: %q %s", query, failed.Message, failed.Extensions["code"], message, code)
	}
	return got
}
