package acceptance

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// writers are connections that write one row after the other until they are stopped, and
// remember what was acknowledged.
type writers struct {
	stop context.CancelFunc
	all  sync.WaitGroup

	mu    sync.Mutex
	known map[string]bool // keys of the rows that were acknowledged
	fails []error
}

// patience is what a writer waits for a lock at most; past it the write fails, and with it
// the test. Postgres keeps the time, so a slow machine does not.
const patience = "2500ms"

// newWriters starts n of them. write is given a connection, which writer it is and the
// row's number, and returns the row's key.
func newWriters(t *testing.T, url string, n int, write func(ctx context.Context, conn *pgx.Conn, name string) (key string, err error)) *writers {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &writers{stop: stop, known: map[string]bool{}}
	t.Cleanup(func() { stop(); w.all.Wait() })
	for i := range n {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		exec1(t, conn, "SET lock_timeout = '"+patience+"'")
		w.all.Go(func() {
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for row := 0; ctx.Err() == nil; row++ {
				key, err := write(context.WithoutCancel(ctx), conn, fmt.Sprintf("w%d-%d", i, row))
				w.note(key, err)
			}
		})
	}
	return w
}

func (w *writers) note(key string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.fails = append(w.fails, err)
	case key != "":
		w.known[key] = true
	}
}

// end stops them and demands that each write succeeded; it returns the keys.
func (w *writers) end(t *testing.T) map[string]bool {
	t.Helper()
	w.stop()
	w.all.Wait()
	if len(w.fails) > 0 {
		t.Errorf("%d writes failed, the first with %v", len(w.fails), w.fails[0])
	}
	if len(w.known) < 20 {
		t.Errorf("only %d rows were written", len(w.known))
	}
	return w.known
}

// wantKeys demands that a query finds every key that was acknowledged.
func wantKeys(t *testing.T, conn *pgx.Conn, known map[string]bool, sql string) {
	t.Helper()
	rows, _ := conn.Query(t.Context(), sql)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, key := range found {
		if there[key] {
			t.Fatalf("%s is there twice: %s", key, sql)
		}
		there[key] = true
	}
	lost := 0
	for key := range known {
		if !there[key] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d rows that were acknowledged are not there: %s", lost, len(known), sql)
	}
}
