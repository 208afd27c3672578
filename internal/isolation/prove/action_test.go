package prove

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

func actionFiles(sdl, name string) func(*testing.T, fstest.MapFS) {
	return all(added("actions.graphql", sdl+"\n"),
		added("actions.yaml", "actions:\n  - name: "+name+"\n    definition: {kind: synchronous, handler: '{{NSELF_WEBHOOK_URL}}/'}\n    permissions: [{role: tenant_member}]\ncustom_types: {}\n"))
}

// leakyHandler answers actions of contacts without asking whose they are.
func leakyHandler(t *testing.T, s **stand) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent struct {
			Action struct{ Name string }
			Input  struct{ ContactID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		var email string
		err := (*s).admin.QueryRow(r.Context(), "SELECT coalesce(max(email), '') FROM crm.contacts WHERE id = $1", sent.Input.ContactID).Scan(&email)
		if err != nil {
			t.Error(err)
		}
		answer := any(email != "")
		if sent.Action.Name == "claimContact" {
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]any{"message": "this contact is not to be had: " + email}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// A broken action that deletes whatever it is told to.
const destructive = "type Mutation { dropContact(contactId: uuid!): Boolean! }"

// dropping answers dropContact by deleting the contact of any tenant, and counts its calls.
func dropping(t *testing.T, s **stand, calls *atomic.Int64) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent struct{ Input struct{ ContactID string } }
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		calls.Add(1)
		if _, err := (*s).admin.Exec(r.Context(), "DELETE FROM crm.contacts WHERE id = $1", sent.Input.ContactID); err != nil {
			t.Error(err)
		}
		if _, err := w.Write([]byte("true")); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnActionThatChangesThingsIsCalledOnlyWhereAskedFor(t *testing.T) {
	t.Parallel()
	tree := smallTree(t)
	actionFiles(destructive, "dropContact")(t, tree)
	var s *stand
	var calls atomic.Int64
	s = newStand(t, tree, "", dropping(t, &s, &calls))
	s.settle(t)
	before := s.everything(t)
	o := s.options(t, s.url)
	o.Only = []string{"dropContact"}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := Skip{Role: "tenant_member", Kind: Action, Field: "dropContact", Reason: noActions}
	if calls.Load() != 0 || !slices.Contains(report.Skipped, want) || len(report.Leaks) > 0 || report.Actions {
		t.Errorf("%d calls, skipped %v, leaks %v", calls.Load(), report.Skipped, report.Leaks)
	}
	o.Actions = true
	if report, err = Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	told := slices.ContainsFunc(report.Leaks, func(l Leak) bool {
		return l.Kind == Action && l.Field == "dropContact" && strings.Contains(l.Finding, "planted row is gone") && l.Query != ""
	})
	if !told || calls.Load() == 0 || report.OK() || !report.Actions || len(report.Skipped) > 0 {
		t.Errorf("%d calls, skipped %v, leaks %v", calls.Load(), report.Skipped, report.Leaks)
	}
	if after := s.everything(t); after != before || len(report.Left) > 0 {
		t.Errorf("before:\n%s\nafter:\n%s\nleft %v", before, after, report.Left)
	}
}
