package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/pg"
)

// counted is a routine that counts its rounds and ends them as told.
func counted(name string, every time.Duration, end func() (int64, error)) (Routine, *atomic.Int64) {
	var times atomic.Int64
	return Routine{Name: name, Every: every, Run: func(ctx context.Context, db pg.DB) (int64, error) {
		times.Add(1)
		if _, err := db.Exec(ctx, `SELECT 1`); err != nil {
			return 0, err
		}
		return end()
	}}, &times
}

func rows(n int64) func() (int64, error) { return func() (int64, error) { return n, nil } }

// roundsAre waits until the rounds of all routines are what is wanted: name, state and try.
func (w *world) roundsAre(t *testing.T, want ...string) {
	t.Helper()
	const sql = `SELECT args ->> 'name' || ' ' || state || ' ' || attempt AS round FROM nself.river_job WHERE kind = 'routine' ORDER BY 1`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := pg.All[struct{ Round string }](t.Context(), w.pool, sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, r := range got {
			found = append(found, r.Round)
		}
		diff := cmp.Diff(want, found)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("rounds:\n%s\nthe log says:\n%s", diff, w.log.String())
		}
	}
}

func TestOneOfTheServersDoesEachRoutineOnceInItsTime(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	links, linkRounds := counted("links", 24*time.Hour, rows(7))
	limits, limitRounds := counted("limits", 24*time.Hour, rows(0))
	config.Routines = []Routine{links, limits}
	run(t, config)
	run(t, config)
	w.roundsAre(t, "limits completed 1", "links completed 1")
	stopped := run(t, config) // and one that starts again
	if err := stopped.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.roundsAre(t, "limits completed 1", "links completed 1")
	if linkRounds.Load() != 1 || limitRounds.Load() != 1 {
		t.Errorf("%d and %d rounds", linkRounds.Load(), limitRounds.Load())
	}
	if log := w.log.String(); !strings.Contains(log, `msg="routine done" job=`) || !strings.Contains(log, `routine=links rows=7`) || strings.Contains(log, "routine=limits") {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestARoundThatFailsIsTriedAgainAndHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	registry := prometheus.NewRegistry()
	config.Metrics = registry
	down := true
	mends, _ := counted("mends", time.Hour, func() (int64, error) {
		if down {
			down = false
			return 2, errors.New("no luck with hush")
		}
		return 3, nil
	})
	never, neverRounds := counted("never", time.Hour, func() (int64, error) { return 0, errors.New("no luck with hush") })
	panics, _ := counted("panics", time.Minute, func() (int64, error) { panic("hush") })
	well, _ := counted("well", time.Hour, rows(1))
	config.Routines = []Routine{never, mends, panics, well}
	run(t, config)
	w.roundsAre(t, "mends completed 2", "never discarded 5", "panics discarded 2", "well completed 1")
	if neverRounds.Load() != upkeepTries {
		t.Errorf("%d rounds", neverRounds.Load())
	}
	want := map[string]float64{
		"rows_total mends": 5, "rows_total never": 0, "rows_total well": 1, "runs_total done mends": 1, "runs_total done well": 1,
		"runs_total failed mends": 1, "runs_total failed never": 5, "runs_total failed panics": 2,
		"last_success_timestamp_seconds mends": 0, "last_success_timestamp_seconds well": 0,
	}
	if diff := cmp.Diff(want, figures(t, registry)); diff != "" {
		t.Error(diff)
	}
	log := w.log.String()
	for line, want := range map[string]int{
		`msg="routine failed; it will be tried again"`: 5, `msg="routine given up until its next round"`: 1, `error="no luck with hush"`: 6,
		`routine=never error="no luck with hush" rows=0 try=5 of=5`: 1,
	} {
		if got := strings.Count(log, line); got != want {
			t.Errorf("the log has %d times %s:\n%s", got, line, log)
		}
	}
	stored, err := pg.Scalar[string](t.Context(), w.pool, `SELECT string_agg(errors::text, '') FROM nself.river_job WHERE args ->> 'name' = 'never'`, nil)
	if err != nil || strings.Contains(stored, "hush") || !strings.Contains(stored, errInTheLog.Error()) {
		t.Errorf("the queue keeps %s, %v", stored, err)
	}
}

// figures are what was measured, by name and labels; times are left out.
func figures(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "nself_routine_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			found[name] = m.GetCounter().GetValue() // 0 of a time
		}
	}
	return found
}

func TestWhatTakesLongHoldsUpNoRoutineThatComesRoundOften(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	long, _ := counted("long", time.Hour, func() (int64, error) { close(begun); <-finish; return 0, nil })
	often, _ := counted("often", time.Minute, func() (int64, error) { <-begun; return 0, nil })
	config.Routines = []Routine{long, often}
	run(t, config)
	w.roundsAre(t, "long running 1", "often completed 1")
	close(finish)
	w.roundsAre(t, "long completed 1", "often completed 1")
}

func TestARoutineOfAnotherVersionIsLeftToIt(t *testing.T) {
	w := newWorld(t, nil)
	old, newer := w.config(t), w.config(t)
	known, rounds := counted("known", time.Hour, rows(0))
	newer.Routines = []Routine{known}
	run(t, newer)
	w.roundsAre(t, "known completed 1")
	const again = `UPDATE nself.river_job SET state = 'available', attempt = 0, max_attempts = 20, finalized_at = NULL WHERE kind = 'routine'`
	if _, err := w.pool.Exec(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	run(t, old)
	for deadline := time.Now().Add(20 * time.Second); rounds.Load() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log says:\n%s", w.log.String())
		}
	}
}

func TestARoundMayTakeUntilTheNextIsDue(t *testing.T) {
	worker := newRoutineWorker(Config{Routines: []Routine{{Name: "minute", Every: time.Minute}, {Name: "day", Every: 24 * time.Hour}, {Name: "slow", Every: time.Minute, Limit: 6 * time.Minute}}})
	for name, want := range map[string]time.Duration{"minute": time.Minute, "day": longestTime, "slow": 6 * time.Minute, "unheard of": 0} {
		job := &river.Job[RoutineJob]{Args: RoutineJob{Name: name}}
		if got := worker.Timeout(job); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatTakesLongHoldsUpNothingThatComesRoundOften(t *testing.T) {
	for queue, r := range map[string]Routine{
		promptQueue: {Name: "minute", Every: time.Minute}, upkeepQueue: {Name: "day", Every: 24 * time.Hour},
		slowQueue: {Name: "slow", Every: time.Minute, Limit: 6 * time.Minute},
	} {
		if _, opts := r.round(); opts.Queue != queue {
			t.Errorf("%s waits in %s, want %s", r.Name, opts.Queue, queue)
		}
	}
}
