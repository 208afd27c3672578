package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// result is what one run of the command did.
type result struct {
	code     int
	out, err string
}

// environment runs the command with these variables.
type environment map[string]string

func (e environment) nself(t *testing.T, args ...string) result {
	t.Helper()
	return e.nselfWith(t.Context(), args...)
}

func (e environment) nselfWith(ctx context.Context, args ...string) result {
	var out, errs bytes.Buffer
	code := run(ctx, args, func(name string) string { return e[name] }, &out, &errs)
	return result{code, out.String(), errs.String()}
}

// mustDo runs what has to succeed and returns its output.
func (e environment) mustDo(t *testing.T, args ...string) string {
	t.Helper()
	got := e.nself(t, args...)
	if got.code != exitDone {
		t.Fatalf("nself %s: exit %d: %s", strings.Join(args, " "), got.code, got.err)
	}
	return got.out
}

// mustRefuse runs what has to be refused with this code and words on stderr, and
// nothing on stdout.
func (e environment) mustRefuse(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	got := e.nself(t, args...)
	if got.code != code || !strings.Contains(got.err, words) || !strings.HasPrefix(got.err, "nself: ") || strings.Count(got.err, "\n") != 1 || got.out != "" {
		t.Errorf("nself %s: %+v, want exit %d with one line that holds %q", strings.Join(args, " "), got, code, words)
	}
}

// hasuraSaying is a double that answers every GraphQL request alike: for how answers
// are printed, not for what they are.
func hasuraSaying(t *testing.T, answer string) environment {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	t.Cleanup(server.Close)
	return environment{"HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "hush"}
}
