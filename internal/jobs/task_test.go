package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
)

// push queues tasks.
func (w *world) push(t *testing.T, tasks ...queue.Task) {
	t.Helper()
	queued, err := queue.NewTasks()
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { return queued.Push(t.Context(), tx, tasks...) }); err != nil {
		t.Fatal(err)
	}
}

// tasksAre waits until the tasks stand like this: about what, state, number of tries.
func (w *world) tasksAre(t *testing.T, want ...string) {
	t.Helper()
	const sql = `SELECT (args ->> 'id') || ' ' || state || ' ' || attempt FROM nself.river_job WHERE kind = 'task' ORDER BY id`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		rows, _ := w.pool.Query(t.Context(), sql)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the tasks are %q, not %q; the log says:\n%s", got, want, w.log.String())
		}
	}
}

// notes are what workers did, in any order.
type notes struct {
	mu   sync.Mutex
	made []string
}

func (n *notes) add(note string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made = append(n.made, note)
	return len(n.made)
}

func (n *notes) sorted() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.made))
}

func TestATaskIsDoneByTheWorkerOfItsName(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	var done notes
	for _, name := range []string{"fetch", "finish"} {
		config.Tasks = append(config.Tasks, Task{Name: name, Run: func(_ context.Context, id string) error { done.add(name + " " + id); return nil }})
	}
	w.push(t, queue.Task{Name: "fetch", ID: "cus_1"}, queue.Task{Name: "finish", ID: "a/b"}, queue.Task{Name: "fetch", ID: "cus_1"})
	w.push(t, queue.Task{Name: "fetch", ID: "later", At: time.Now().Add(time.Hour)})
	run(t, config)
	w.tasksAre(t, "cus_1 completed 1", "a/b completed 1", "cus_1 completed 1", "later scheduled 0")
	if got := done.sorted(); !slices.Equal(got, []string{"fetch cus_1", "fetch cus_1", "finish a/b"}) {
		t.Errorf("%q", got)
	}
}

func TestATaskThatFailsIsTriedAgainAndGivenUpInTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	var tries, ends notes
	config.Tasks = []Task{{Name: "fetch",
		Run: func(_ context.Context, id string) error {
			switch n := tries.add(id); {
			case id == "panics":
				panic("hush")
			case id == "never" || n < 4:
				return errors.New("no luck with hush")
			}
			return nil
		},
		GiveUp: func(_ context.Context, id string, cause error) error {
			ends.add(id + ": " + strings.SplitN(cause.Error(), "\n", 2)[0])
			return errors.New("not even that")
		},
	}}
	run(t, config)
	w.push(t, queue.Task{Name: "fetch", ID: "mends"})
	w.tasksAre(t, "mends completed 4")
	w.push(t, queue.Task{Name: "fetch", ID: "never"}, queue.Task{Name: "fetch", ID: "panics"})
	w.tasksAre(t, "mends completed 4", "never discarded 10", "panics discarded 10")
	if got := ends.sorted(); !slices.Equal(got, []string{"never: no luck with hush", "panics: panic: hush"}) {
		t.Errorf("%q", got)
	}
	for line, want := range map[string]int{"task given up": 2, "could not be noted": 2, "it will be tried again": 3 + 9 + 9} {
		if got := strings.Count(w.log.String(), line); got != want {
			t.Errorf("the log has %d times %q:\n%s", got, line, w.log.String())
		}
	}
	stored, err := pg.Scalar[string](t.Context(), w.pool, `SELECT string_agg(errors::text, '') FROM nself.river_job`, nil)
	if err != nil || strings.Contains(stored, "hush") || !strings.Contains(stored, errTask.Error()) {
		t.Errorf("the queue keeps %s, %v", stored, err)
	}
}

func TestATaskPutOffHasLostNoTry(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	var tries, ends notes
	config.Tasks = []Task{{Name: "fetch",
		Run: func(_ context.Context, id string) error {
			if tries.add(id) <= 15 { // more than there are tries
				return fault.New(fault.Unavailable, "another has it").With("retryAfter", 0)
			}
			return nil
		},
		GiveUp: func(_ context.Context, id string, _ error) error { ends.add(id); return nil },
	}}
	run(t, config)
	w.push(t, queue.Task{Name: "fetch", ID: "busy"})
	w.tasksAre(t, "busy completed 1")
	if len(tries.sorted()) != 16 || len(ends.sorted()) != 0 {
		t.Errorf("%d tries, given up %v", len(tries.sorted()), ends.sorted())
	}
}

func TestOnlyWhoSaysWhenToComeBackIsPutOff(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	busy := fault.New(fault.Unavailable, "another has it")
	for name, c := range map[string]struct {
		ctx   context.Context
		err   error
		pause time.Duration
		asked bool
	}{
		"busy for a second":   {t.Context(), fault.New(fault.Unavailable, "x").With("retryAfter", 1), time.Second, true},
		"busy for a minute":   {t.Context(), fault.New(fault.Unavailable, "x").With("retryAfter", int64(60)), time.Minute, true},
		"a time gone by":      {t.Context(), fault.New(fault.Unavailable, "x").With("retryAfter", -1), 0, true},
		"out of reach":        {t.Context(), busy, 0, false},
		"a word for a time":   {t.Context(), fault.New(fault.Unavailable, "x").With("retryAfter", "soon"), 0, false},
		"too many requests":   {t.Context(), fault.New(fault.TooManyRequests, "x").With("retryAfter", 1), 0, false},
		"the server stops":    {stopped, errors.New("x"), 0, true},
		"a bug":               {t.Context(), errors.New("x"), 0, false},
		"a deadline gone by":  {t.Context(), context.DeadlineExceeded, 0, false},
		"a fault that is hid": {t.Context(), errors.Join(errors.New("x"), fault.New(fault.Unavailable, "x").With("retryAfter", 2)), 2 * time.Second, true},
	} {
		if pause, asked := putOff(c.ctx, c.err); pause != c.pause || asked != c.asked {
			t.Errorf("%s: %v, %v", name, pause, asked)
		}
	}
}

func TestATaskAtWorkWhenItsServerStopsIsAnothers(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	begun := make(chan struct{})
	config.Tasks = []Task{{Name: "fetch", Run: func(ctx context.Context, _ string) error { close(begun); <-ctx.Done(); return ctx.Err() }}}
	hurried := brisk
	hurried.drain = 10 * time.Millisecond
	runner, err := start(t.Context(), config, hurried)
	if err != nil {
		t.Fatal(err)
	}
	w.push(t, queue.Task{Name: "fetch", ID: "cus_1"})
	<-begun
	if err := runner.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.tasksAre(t, "cus_1 available 0")
}

func TestATaskOfAnotherVersionIsLeftToIt(t *testing.T) {
	w := newWorld(t, nil)
	old, newer := w.config(t), w.config(t)
	old.Tasks = []Task{{Name: "fetch", Run: func(context.Context, string) error { return nil }}}
	w.push(t, queue.Task{Name: "finish", ID: "a/b"})
	if _, err := w.pool.Exec(t.Context(), `UPDATE nself.river_job SET max_attempts = 1000`); err != nil {
		t.Fatal(err)
	}
	run(t, old)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		tries, err := pg.Scalar[int](t.Context(), w.pool, `SELECT attempt::integer FROM nself.river_job`, nil)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d tries, %v", tries, err)
		}
		if tries > 1 {
			break
		}
	}
	done := make(chan string, 1)
	newer.Tasks = []Task{{Name: "finish", Run: func(_ context.Context, id string) error { done <- id; return nil }}}
	run(t, newer)
	if id := <-done; id != "a/b" {
		t.Errorf("it was about %s", id)
	}
}

func TestTasksWaitWhereNoServerDoesThem(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	pruned := make(chan struct{}, 1)
	config.Routines = []Routine{{Name: "links", Every: time.Hour, Run: func(context.Context, pg.DB) (int64, error) { pruned <- struct{}{}; return 0, nil }}}
	w.push(t, queue.Task{Name: "fetch", ID: "cus_1"})
	run(t, config)
	<-pruned
	w.tasksAre(t, "cus_1 available 0")
}

// Stripe keeps what it answered under an idempotency key for 24 hours.
func TestTheTriesOfATaskSpanADay(t *testing.T) {
	var span time.Duration
	for _, pause := range everyday.tasks {
		span += pause
	}
	if len(everyday.tasks) != queue.TaskTries-1 || span < 20*time.Hour || span > 24*time.Hour {
		t.Errorf("%d pauses, %v", len(everyday.tasks), span)
	}
}
