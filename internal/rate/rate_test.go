package rate_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/rate"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused is the fault of whoever came too often.
func refused(t *testing.T, what string, err error) *fault.Fault {
	t.Helper()
	if !fault.Is(err, fault.TooManyRequests) {
		t.Fatalf("%s: %v", what, err)
	}
	return fault.From(err)
}

// withinOneWindow waits for the next window where the present one is about to end: what
// is counted before and after is counted apart.
func withinOneWindow() {
	const length = 15 * time.Minute
	if left := length - time.Duration(time.Now().UnixNano())%length; left < 20*time.Second {
		time.Sleep(left + 100*time.Millisecond)
	}
}

func TestOfAHundredAtOnceAWindowLetsJustItsNumberThrough(t *testing.T) {
	withinOneWindow()
	db := pgtest.Database(t).Pool(t, "nself_server")
	var passed atomic.Int32
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			switch err := rate.Take(t.Context(), db, "a", "ada@example.com", rate.Window{Most: 5, Within: 15 * time.Minute}); {
			case err == nil:
				passed.Add(1)
			case !fault.Is(err, fault.TooManyRequests):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if passed.Load() != 5 {
		t.Errorf("%d passed", passed.Load())
	}
	key, err := pg.Scalar[string](t.Context(), db, `SELECT key FROM auth.rate_limits`, nil)
	if err != nil || !strings.HasPrefix(key, "a:") || strings.Contains(key, "ada") || len(key) != 2+64 {
		t.Errorf("key %q, %v", key, err)
	}
}

func TestWindowsAreOfOneThingAndOnePerson(t *testing.T) {
	withinOneWindow()
	db := pgtest.Tx(t, "nself_server")
	one := rate.Window{Most: 1, Within: 15 * time.Minute}
	for _, of := range [][2]string{{"a", "x"}, {"a", "y"}, {"b", "x"}, {"a", ""}, {"a:", "x"}} {
		check(t, rate.Full(t.Context(), db, of[0], of[1], one))
		check(t, rate.Take(t.Context(), db, of[0], of[1], one))
		_ = refused(t, of[0]+of[1], rate.Full(t.Context(), db, of[0], of[1], one))
		_ = refused(t, of[0]+of[1], rate.Take(t.Context(), db, of[0], of[1], one))
	}
}

func TestLookingCountsNothing(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	one := rate.Window{Most: 1, Within: time.Hour}
	for range 3 {
		check(t, rate.Full(t.Context(), db, "a", "x", one))
	}
	if n, err := pg.Scalar[int](t.Context(), db, `SELECT count(*)::integer FROM auth.rate_limits`, nil); err != nil || n != 0 {
		t.Errorf("%d counts, %v", n, err)
	}
}

func TestTheNextWindowBeginsAtZero(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	one := rate.Window{Most: 1, Within: time.Hour}
	check(t, rate.Take(t.Context(), db, "a", "x", one))
	_, err := db.Exec(t.Context(), `UPDATE auth.rate_limits SET window_start = window_start - interval '1 hour', count = 100`)
	check(t, err)
	check(t, rate.Take(t.Context(), db, "a", "x", one))
}

func TestWhoeverIsRefusedIsToldWhenTheWindowEnds(t *testing.T) {
	withinOneWindow()
	db := pgtest.Tx(t, "nself_server")
	none := rate.Window{Most: 0, Within: 15 * time.Minute}
	left, err := pg.Scalar[float64](t.Context(), db, `SELECT 900 - extract(epoch FROM clock_timestamp())::numeric % 900`, nil)
	check(t, err)
	after := refused(t, "none", rate.Take(t.Context(), db, "a", "x", none)).Details["retryAfter"].(int)
	if float64(after) > left+1 || float64(after) < left-15 {
		t.Errorf("retry after %d seconds, the window has %.1f left", after, left)
	}
}

func TestPruningTakesWhatIsOldAndLeavesTheRest(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	const windows = `INSERT INTO auth.rate_limits (key, window_start, count)
		SELECT 'a:' || gen_random_uuid(), now() - $1::interval, 1 FROM generate_series(1, $2)`
	for age, rows := range map[string]int{"61 minutes": 2500, "59 minutes": 3} {
		_, err := db.Exec(t.Context(), windows, age, rows)
		check(t, err)
	}
	for _, want := range []int64{2500, 0} {
		if gone, err := rate.Prune(t.Context(), db); err != nil || gone != want {
			t.Errorf("%d went, %v", gone, err)
		}
	}
	if left, err := pg.Scalar[int](t.Context(), db, `SELECT count(*)::integer FROM auth.rate_limits`, nil); err != nil || left != 3 {
		t.Errorf("%d are left, %v", left, err)
	}
}
