package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// parking is a double of Hasura with parked events: those in stay are parked again when
// they are replayed, and at fails nobody answers any more.
type parking struct {
	t      *testing.T
	parked []string
	stay   map[string]bool
	fails  string
	ran    []string
}

func (d *parking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Query     string `json:"query"`
		Variables struct {
			ID    string `json:"id"`
			Limit int    `json:"limit"`
		} `json:"variables"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		d.t.Error(err)
	}
	if strings.Contains(asked.Query, "parkedEvents") {
		listed := make([]string, min(asked.Variables.Limit, len(d.parked)))
		for i := range listed {
			listed[i] = fmt.Sprintf(`{"id":%q}`, d.parked[i])
		}
		_, _ = fmt.Fprintf(w, `{"data":{"reply":[%s]}}`, strings.Join(listed, ","))
		return
	}
	id := asked.Variables.ID
	d.ran = append(d.ran, id)
	switch {
	case id == d.fails:
		w.WriteHeader(http.StatusBadGateway)
	case d.stay[id]:
		_, _ = fmt.Fprint(w, `{"data":{"reply":{"outcome":"parked","reason":"as before"}}}`)
	default:
		d.parked = slices.DeleteFunc(d.parked, func(other string) bool { return other == id })
		_, _ = fmt.Fprint(w, `{"data":{"reply":{"outcome":"done","reason":null}}}`)
	}
}

func (d *parking) serve(t *testing.T) environment {
	t.Helper()
	d.t = t
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	return environment{"HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
}

func TestEveryParkedEventIsReplayedOnceHoweverMany(t *testing.T) {
	d := &parking{stay: map[string]bool{"e3": true, "e1100": true}}
	for n := range 1200 {
		d.parked = append(d.parked, fmt.Sprintf("e%d", n))
	}
	got := d.serve(t).nself(t, "events", "replay", "--all")
	if got.code != exitRefused || strings.Count(got.out, ": done\n") != 1198 || got.err != "nself: 2 of 1200 events not done\n" || len(d.ran) != 1200 {
		t.Errorf("exit %d, %d runs, %d lines, %s", got.code, len(d.ran), strings.Count(got.out, "\n"), got.err)
	}
	for _, line := range []string{"✗ e3: parked: as before\n", "✗ e1100: parked: as before\n"} {
		if !strings.Contains(got.out, line) {
			t.Errorf("no %q", line)
		}
	}
}

func TestWhatWasReplayedIsToldWhereNobodyAnswersAnyMore(t *testing.T) {
	d := &parking{parked: []string{"e1", "e2", "e3"}, fails: "e2"}
	got := d.serve(t).nself(t, "events", "replay", "e1", "e2", "e3")
	if got.code != exitRefused || got.out != "✓ e1: done\n" || !strings.HasPrefix(got.err, "nself: event e2: ") || len(d.ran) != 2 {
		t.Errorf("%+v after %v", got, d.ran)
	}
}
