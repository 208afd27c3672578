package bench

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

const (
	stripeKey     = "sk_test_bench"
	followTask    = "stripe-object"
	billed        = "bench_billing" // the database
	serverConns   = 8               // of the server's pool
	startPatience = time.Minute
)

// BenchmarkBilling measures what Stripe's events, and changes at Stripe, cost. Its database
// keeps what it committed (fsync is on), for that is what an acceptance promises; Stripe is
// a stand-in in this process, which answers at once, so that what is left is our own.
func BenchmarkBilling(b *testing.B) {
	t := newTill(b)
	b.Run("accept", t.accept)
	b.Run("apply", t.apply)
	b.Run("subscribe", t.subscribe)
	b.Run("reconcile", t.reconcile)
	b.Run("entitlement", t.entitlement)
}

// till is a server's billing: a durable database, a Stripe, and what works between them.
// Nothing does the jobs unless a benchmark has somebody do them.
type till struct {
	server, super *pgxpool.Pool
	url           func(role string) string
	there         *stripe.Server
	stripe        *stripeapi.Client
	book          *billing.Book
	sync          *stripesync.Sync
	desk          *purchase.Desk
	secret        string // that deliveries are signed with
	calls         *atomic.Int64
	serial        *atomic.Int64
	people        int // how many tenants were made
}

func newTill(b *testing.B) *till {
	b.Helper()
	t := &till{calls: &atomic.Int64{}, serial: &atomic.Int64{}, secret: "whsec_" + rand.Text()}
	t.openDurable(b)
	return t
}

// emptySQL forgets what a benchmark sold, and the jobs that it left.
const emptySQL = `
TRUNCATE nself.river_job, billing.stripe_events, billing.stripe_objects, billing.customers, billing.subscriptions, billing.subscription_items,
  billing.invoices, billing.payments, billing.payment_methods, billing.accounts, billing.operations, billing.effects, billing.drift, billing.prices CASCADE`

// open gives the benchmark a Stripe and ledgers with nothing in them but what Setup makes.
func (t *till) open(b *testing.B) {
	b.Helper()
	t.exec(b, emptySQL)
	var err error
	t.there, err = stripe.New(stripe.Config{Key: stripeKey})
	must(b, err)
	way := &http.Client{Transport: counting{t.there.Transport(), t.calls}}
	t.stripe, err = stripeapi.New(stripeapi.Config{Key: stripeKey, URL: "http://stripe.invalid", HTTP: way})
	must(b, err)
	tasks, err := queue.NewTasks()
	must(b, err)
	quiet := slog.New(slog.DiscardHandler)
	t.book = billing.New(billing.Rules{Grace: 7 * 24 * time.Hour}, nil)
	t.sync = stripesync.New(stripesync.Config{DB: t.server, Stripe: t.stripe, Book: t.book, Log: quiet,
		Push: func(ctx context.Context, tx pgx.Tx, objects ...string) error {
			return tasks.Push(ctx, tx, follow(objects)...)
		}})
	t.desk = purchase.New(purchase.Config{DB: t.server, Stripe: t.stripe, Sync: t.sync, Events: stripesync.Types(), BaseDomain: "example.com", Log: quiet,
		Push: func(ctx context.Context, tx pgx.Tx, _ id.Tenant, op id.Operation) error {
			return tasks.Push(ctx, tx, queue.Task{Name: "billing-operation", ID: op.String(), At: time.Now().Add(time.Hour)})
		}})
	_, err = t.desk.Setup(b.Context(), purchase.SetupInput{})
	must(b, err)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func follow(objects []string) []queue.Task {
	tasks := make([]queue.Task, len(objects))
	for i, object := range objects {
		tasks[i] = queue.Task{Name: followTask, ID: object}
	}
	return tasks
}

// openDurable starts a cluster of the benchmark's own: the one that tests share syncs
// nothing to disk.
func (t *till) openDurable(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), startPatience)
	defer cancel()
	dir, err := os.MkdirTemp(postgres.Scratch(), "nself-bench-")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the account that PostgreSQL runs as has to pass
		b.Fatal(err)
	}
	cluster, err := postgres.Start(ctx, postgres.Config{Dir: dir, Durable: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			b.Error(err)
		}
		if err := postgres.Remove(dir); err != nil {
			b.Error(err)
		}
	})
	err = cluster.Bootstrap(ctx, billed, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	t.url = func(role string) string { return cluster.URL(role, billed) }
	t.server, t.super = t.pool(b, "nself_server", serverConns), t.pool(b, "postgres", serverConns)
}

func (t *till) pool(b *testing.B, role string, size int32) *pgxpool.Pool {
	b.Helper()
	config, err := pgxpool.ParseConfig(t.url(role))
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = size
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

func (t *till) exec(b *testing.B, sql string, args ...any) {
	b.Helper()
	if _, err := t.super.Exec(b.Context(), sql, args...); err != nil {
		b.Fatalf("%.60s: %v", sql, err)
	}
}

// counting counts the calls that go through it.
type counting struct {
	to    http.RoundTripper
	calls *atomic.Int64
}

// RoundTrip counts one.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return c.to.RoundTrip(r)
}
