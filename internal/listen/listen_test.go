package listen

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/pgbouncer"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const channel = "nself_access"

// heard keeps what a subscriber was handed, and whether Live was true at that moment.
type heard struct {
	mu       sync.Mutex
	payloads []string
	live     []bool
	log      bytes.Buffer
}

func (h *heard) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(text)
}

func (h *heard) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.payloads...)
}

func (h *heard) count(payload string) int {
	n := 0
	for _, p := range h.all() {
		if p == payload {
			n++
		}
	}
	return n
}

// connects is how often Live turned true.
func (h *heard) connects() int { return strings.Count(h.logged(), "get through\" channel") }

// run starts a listener that ends with the test.
func run(t *testing.T, url string, subscribers ...func(string)) (*Listener, *heard) {
	t.Helper()
	h := &heard{}
	l := New(url, channel, slog.New(slog.NewTextHandler(h, nil)))
	l.Subscribe(func(payload string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.payloads, h.live = append(h.payloads, payload), append(h.live, l.Live())
	})
	for _, subscriber := range subscribers {
		l.Subscribe(subscriber)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return l, h
}

// eventually waits for what has to come, far longer than it takes.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func notify(t *testing.T, pool *pgxpool.Pool, payload string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `SELECT pg_notify($1, $2)`, channel, payload); err != nil {
		t.Fatal(err)
	}
}

const killSQL = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE application_name = 'nself-listen' AND datname = current_database()`

func kill(t *testing.T, super *pgxpool.Pool) {
	t.Helper()
	if _, err := super.Exec(t.Context(), killSQL); err != nil {
		t.Fatal(err)
	}
}

func TestANotificationIsHandedOnInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	l, h := run(t, db.URL("nself_server"))
	eventually(t, "live", l.Live)
	for _, payload := range []string{"session:1", "member:2:3", "keys"} {
		notify(t, server, payload)
	}
	eventually(t, "three payloads", func() bool { return len(h.all()) == 4 })
	if got := strings.Join(h.all(), " "); got != "* session:1 member:2:3 keys" {
		t.Errorf("handed on: %s", got)
	}
}

func TestEverythingIsToldBeforeLiveTurnsTrueAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Superuser(t)
	l, h := run(t, db.URL("nself_server"))
	for connects := 1; connects <= 3; connects++ {
		eventually(t, "live", func() bool { return l.Live() && h.count(Everything) == connects })
		kill(t, super)
	}
	eventually(t, "live for the last time", func() bool { return l.Live() && h.count(Everything) == 4 })
	h.mu.Lock()
	for i, live := range h.live {
		if live {
			t.Errorf("Live was true when %q was handed on as number %d", h.payloads[i], i)
		}
	}
	h.mu.Unlock()
	notify(t, super, "after")
	eventually(t, "a notification on the new connection", func() bool { return h.count("after") == 1 })
}

func TestTheServerNeedNotFindPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	way := newProxy(t, db.URL("nself_server"), 0)
	way.set(closed)
	l, h := run(t, way.url)
	eventually(t, "a word in the log", func() bool { return strings.Contains(h.logged(), "no connection to listen on") })
	if l.Live() || len(h.all()) != 0 {
		t.Errorf("without Postgres: live %t, handed on %q", l.Live(), h.all())
	}
	way.set(open)
	eventually(t, "live once Postgres is there", l.Live)
	if n := strings.Count(h.logged(), "no connection to listen on"); n != 1 {
		t.Errorf("said %d times, not once", n)
	}
}

func TestAnUnreadableURLIsAnErrorThatDoesNotQuoteIt(t *testing.T) {
	l := New("postgres://u:hunter2@h:notaport/d", channel, slog.New(slog.DiscardHandler))
	if err := l.Run(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || l.Live() {
		t.Errorf("error %v, live %t", err, l.Live())
	}
}

func TestLiveEndsByItselfWhilePostgresDoesNotAnswer(t *testing.T) {
	db := pgtest.Database(t)
	way := newProxy(t, db.URL("nself_server"), 0)
	l, h := run(t, way.url)
	eventually(t, "live", l.Live)
	way.set(frozen)
	eventually(t, "no longer live, though no connection broke", func() bool { return !l.Live() })
	if h.count(Everything) != 1 {
		t.Error("it reconnected: the test shows nothing")
	}
	notify(t, db.Superuser(t), "meanwhile")
	way.set(open)
	eventually(t, "live again", l.Live)
	if h.count("meanwhile") == 0 && h.count(Everything) < 2 {
		t.Error("live again without what was missed, and without being told to forget everything")
	}
}

func TestRecentGoesByBothClocks(t *testing.T) {
	begun := time.Now()
	for name, c := range map[string]struct {
		now  time.Time
		want bool
	}{
		"at once":                          {begun, true},
		"just before the end":              {begun.Add(liveFor - 1), true},
		"at the end":                       {begun.Add(liveFor), false},
		"slept: only the wall clock knows": {begun.Round(0).Add(time.Hour), false},
	} {
		if got := recent(begun, c.now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if recent(begun.Add(-time.Hour), begun) {
		t.Error("an hour by both passes")
	}
	// The wall clock set back while an hour passes, and a machine that sleeps for one.
	if bothWithin(time.Hour, 0) || bothWithin(0, time.Hour) || !bothWithin(liveFor-1, liveFor-1) {
		t.Error("one clock is not asked")
	}
}

func TestBehindATransactionPoolerLiveStaysFalseAndTheLogSaysWhy(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"one session for all clients": 1, "several sessions": 3} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.Database(t)
			bouncer, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: []string{db.URL("nself_server")}, PoolSize: size})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = bouncer.Close() })
			url, err := bouncer.URL(db.URL("nself_server"))
			if err != nil {
				t.Fatal(err)
			}
			l, h := run(t, url)
			eventually(t, "the reason in the log", func() bool {
				if l.Live() {
					t.Fatal("live")
				}
				return strings.Contains(h.logged(), "set DATABASE_LISTEN_URL to Postgres itself")
			})
			if len(h.all()) != 0 {
				t.Errorf("handed on: %q", h.all())
			}
		})
	}
}
