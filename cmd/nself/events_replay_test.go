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

// parking is a double of Hasura with parked events, the latest last: those in stay are parked again when
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
			After string `json:"after"`
			Limit int    `json:"limit"`
		} `json:"variables"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		d.t.Error(err)
	}
	if strings.Contains(asked.Query, "parkedEvents") {
		latest := slices.Clone(d.parked)
		slices.Reverse(latest)
		latest = latest[slices.Index(latest, asked.Variables.After)+1:]
		var listed []string
		for _, id := range latest[:min(asked.Variables.Limit, len(latest))] {
			listed = append(listed, fmt.Sprintf(`{"id":%q}`, id))
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
	var want []string
	for n := range 1200 {
		want = append(want, fmt.Sprintf("e%d", n))
	}
	d.parked = slices.Clone(want)
	got := d.serve(t).nself(t, "events", "replay", "--all")
	if got.code != exitRefused || strings.Count(got.out, ": done\n") != 1198 || got.err != "nself: 2 of 1200 events not done\n" || !slices.Equal(d.ran, want) {
		t.Errorf("exit %d, %d runs, %d lines, %s", got.code, len(d.ran), strings.Count(got.out, "\n"), got.err)
	}
	for _, line := range []string{"✗ e3: parked: as before\n", "✗ e1100: parked: as before\n"} {
		if !strings.Contains(got.out, line) {
			t.Errorf("no %q", line)
		}
	}
}

// However many stay parked, and however old they are: those behind them are run as well.
func TestEventsThatStayParkedHideNone(t *testing.T) {
	d := &parking{stay: map[string]bool{}}
	for n := range 3 * idsAtOnce {
		d.parked = append(d.parked, fmt.Sprintf("e%d", n))
		d.stay[d.parked[n]] = n != 0 && n != 3*idsAtOnce-1
	}
	env := d.serve(t)
	got := env.nself(t, "events", "replay", "--all")
	if got.code != exitRefused || strings.Count(got.out, ": done\n") != 2 || len(d.ran) != 3*idsAtOnce || len(d.parked) != 3*idsAtOnce-2 {
		t.Errorf("exit %d, %d runs, %d stay, %s", got.code, len(d.ran), len(d.parked), got.err)
	}
}

func TestWhatWasReplayedIsToldWhereNobodyAnswersAnyMore(t *testing.T) {
	d := &parking{parked: []string{"e1", "e2", "e3"}, fails: "e2"}
	got := d.serve(t).nself(t, "events", "replay", "e1", "e2", "e3")
	if got.code != exitRefused || got.out != "✓ e1: done\n" || !strings.HasPrefix(got.err, "nself: event e2: ") || len(d.ran) != 2 {
		t.Errorf("%+v after %v", got, d.ran)
	}
}
