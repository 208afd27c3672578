package jobs

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/mailbox"
	"github.com/nself/tenancy/internal/mailer"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// brisk is everyday life for those who cannot wait.
var brisk = tempo{poll: 20 * time.Millisecond, pauses: []time.Duration{10 * time.Millisecond},
	soon: 20 * time.Millisecond, tasks: []time.Duration{10 * time.Millisecond}, rescue: 2 * jobTime, drain: 5 * time.Second}

// world is a database, a mailbox and what puts mails into the queue.
type world struct {
	db     *pgtest.DB
	pool   *pgxpool.Pool
	box    *seal.Box
	outbox *queue.Outbox
	mails  *mailbox.Mailbox
	log    lines
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t *testing.T, refuse func(to string) error) *world {
	t.Helper()
	t.Parallel() // they wait more than they work
	w := &world{db: pgtest.Database(t)}
	w.pool = w.db.Pool(t, "nself_server")
	var err error
	if w.box, err = seal.New(bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	if w.outbox, err = queue.New(w.box); err != nil {
		t.Fatal(err)
	}
	if w.mails, err = mailbox.Start(mailbox.Config{Refuse: refuse}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.mails.Stop() })
	return w
}

func (w *world) config(t *testing.T) Config {
	t.Helper()
	sender, err := mailer.New(mailer.Config{Host: w.mails.Host(), Port: w.mails.Port(), From: "Moon Base <base@moon.example>", TLS: mailer.None})
	if err != nil {
		t.Fatal(err)
	}
	return Config{DB: w.pool, Box: w.box, Mailer: sender, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
}

// run starts a runner that stops with the test.
func run(t *testing.T, config Config) *Runner {
	t.Helper()
	runner, err := start(t.Context(), config, brisk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := runner.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return runner
}

func (w *world) send(t *testing.T, to string) {
	t.Helper()
	w.queue(t, queue.Mail{Kind: queue.SignIn, To: to, Until: time.Now().Add(time.Hour),
		Values: map[string]string{queue.Link: "https://auth.moon.example/auth/verify?token=hush"}})
}

func (w *world) queue(t *testing.T, m queue.Mail) {
	t.Helper()
	if err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { return w.outbox.Send(t.Context(), tx, m) }); err != nil {
		t.Fatal(err)
	}
}

// wait returns the next mail to the address.
func (w *world) wait(t *testing.T, to string) mailbox.Mail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := w.mails.Wait(ctx, to)
	if err != nil {
		t.Fatalf("%v; the log says:\n%s", err, w.log.String())
	}
	return m
}

type row struct {
	State   string `db:"state"`
	Attempt int    `db:"attempt"`
	Errors  string `db:"errors"`
}

// settled waits until no mail is waiting or at work, and returns all.
func (w *world) settled(t *testing.T) []row {
	t.Helper()
	const sql = `SELECT state::text, attempt, coalesce(errors::text, '') AS errors FROM nself.river_job WHERE kind = 'mail' ORDER BY id`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		rows, err := pg.All[row](t.Context(), w.pool, sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		for _, r := range rows {
			if r.State != "completed" && r.State != "cancelled" && r.State != "discarded" {
				open++
			}
		}
		if open == 0 {
			return rows
		}
		if time.Now().After(deadline) {
			t.Fatalf("the queue does not settle: %v; the log says:\n%s", rows, w.log.String())
		}
	}
}
