package signin_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/signin"
)

func TestOfAHundredAtOnceAWindowLetsJustItsNumberThrough(t *testing.T) {
	withinOneWindow()
	db := pgtest.Database(t).Pool(t, "nself_server")
	var passed atomic.Int32
	atOnce(100, func(int) {
		switch err := signin.Limit(t.Context(), db, "a", "ada@example.com", signin.Window{Most: 5, Within: 15 * time.Minute}); {
		case err == nil:
			passed.Add(1)
		case !fault.Is(err, fault.TooManyRequests):
			t.Error(err)
		}
	})
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
	one := signin.Window{Most: 1, Within: 15 * time.Minute}
	for _, of := range [][2]string{{"a", "x"}, {"a", "y"}, {"b", "x"}, {"a", ""}, {"a:", "x"}} {
		if err := signin.Limit(t.Context(), db, of[0], of[1], one); err != nil {
			t.Errorf("%v: %v", of, err)
		}
		refuses(t, of[0]+of[1], signin.Limit(t.Context(), db, of[0], of[1], one), fault.TooManyRequests)
	}
}

func TestTheNextWindowBeginsAtZero(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	one := signin.Window{Most: 1, Within: time.Hour}
	if err := signin.Limit(t.Context(), db, "a", "x", one); err != nil {
		t.Fatal(err)
	}
	execute(t, db, `UPDATE auth.rate_limits SET window_start = window_start - interval '1 hour', count = 100`)
	if err := signin.Limit(t.Context(), db, "a", "x", one); err != nil {
		t.Errorf("%v", err)
	}
}

func TestWhoeverIsRefusedIsToldWhenTheWindowEnds(t *testing.T) {
	withinOneWindow()
	db := pgtest.Tx(t, "nself_server")
	none := signin.Window{Most: 0, Within: 15 * time.Minute}
	left, err := pg.Scalar[float64](t.Context(), db, `SELECT 900 - extract(epoch FROM clock_timestamp())::numeric % 900`, pgx.NamedArgs{})
	if err != nil {
		t.Fatal(err)
	}
	after := refusal(t, "none", signin.Limit(t.Context(), db, "a", "x", none), fault.TooManyRequests).Details["retryAfter"].(int)
	if float64(after) > left+1 || float64(after) < left-15 {
		t.Errorf("retry after %d seconds, the window has %.1f left", after, left)
	}
}

func TestPruningTakesWhatIsOldAndLeavesTheRest(t *testing.T) {
	o := openAlone(t, nil)
	const links = `INSERT INTO auth.sign_in_links (email, token_hash, browser_hash, code_hash, expires_at)
		SELECT 'a@example.com', uuid_send(gen_random_uuid()), '', '', now() - $1::interval FROM generate_series(1, $2)`
	const windows = `INSERT INTO auth.rate_limits (key, window_start, count)
		SELECT 'a:' || gen_random_uuid(), now() - $1::interval, 1 FROM generate_series(1, $2)`
	execute(t, o.db, links, "25 hours", 2500)
	execute(t, o.db, links, "23 hours", 2)
	execute(t, o.db, windows, "61 minutes", 2500)
	execute(t, o.db, windows, "59 minutes", 3)
	for _, want := range []int64{5000, 0} {
		if gone, err := signin.Prune(t.Context(), o.db); err != nil || gone != want {
			t.Errorf("%d went, %v", gone, err)
		}
	}
	if links, windows := o.number(t, `SELECT count(*) FROM auth.sign_in_links`), o.number(t, `SELECT count(*) FROM auth.rate_limits`); links != 2 || windows != 3 {
		t.Errorf("%d links and %d windows are left", links, windows)
	}
}
