package purchase_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const day = 24 * time.Hour

// world is a database, and a Stripe where everything is set up.
type world struct {
	*pgtest.DB
	pool, super *pgxpool.Pool
	stripe      *stand.Server
	queued      *queue
	objects     chan string // that are to be followed by the queue
	faults      sync.Map    // of the stand-in: what goes wrong with a key, or what is posted to a path, once
}

// queue is the operations that were pushed.
type queue struct {
	mu  sync.Mutex
	ops []id.Operation
}

func (q *queue) push(_ context.Context, _ pgx.Tx, _ id.Tenant, op id.Operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ops = append(q.ops, op)
	return nil
}

const addonsSQL = `
INSERT INTO billing.addons (code, name, price_minor) VALUES ('extra-storage', 'Extra storage', 500);
INSERT INTO billing.addon_limits (addon, meter, amount) VALUES ('extra-storage', 'storage', 1000)`

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.Database(t)
	w := &world{DB: db, pool: db.Pool(t, "nself_server"), super: db.Superuser(t), queued: &queue{}, objects: make(chan string, 10_000)}
	w.exec(t, addonsSQL)
	w.stripe = w.standIn(t)
	w.work(t)
	if _, err := w.desk(t, nil).Setup(t.Context(), purchase.SetupInput{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) standIn(t testing.TB) *stand.Server {
	t.Helper()
	server, err := stand.New(stand.Config{Fault: func(c stand.Call) stand.Fault {
		kind, _ := w.faults.LoadAndDelete(c.Key)
		if kind == nil && c.Method == http.MethodPost {
			kind, _ = w.faults.LoadAndDelete(c.Path)
		}
		if kind == nil {
			return stand.Fault{}
		}
		return stand.Fault{Kind: kind.(stand.FaultKind)}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func (w *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.super.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scan[T any](t testing.TB, w *world, sql string, args ...any) (value T) {
	t.Helper()
	if err := w.super.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// client reaches the stand-in.
func (w *world) client(t testing.TB) *stripeapi.Client {
	t.Helper()
	return reach(t, w.stripe.Transport())
}

func reach(t testing.TB, way http.RoundTripper) *stripeapi.Client {
	t.Helper()
	client, err := stripeapi.New(stripeapi.Config{Key: "sk_test_purchase", URL: "http://stripe.test", HTTP: &http.Client{Transport: way}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w *world) follow(client *stripeapi.Client) *stripesync.Sync {
	return stripesync.New(stripesync.Config{
		DB: w.pool, Stripe: client, Log: slog.New(slog.DiscardHandler), Book: billing.New(billing.Rules{Grace: 7 * day}, nil),
		Push: func(_ context.Context, _ pgx.Tx, objects ...string) error {
			for _, object := range objects {
				w.objects <- object
			}
			return nil
		},
	})
}

// work follows what is pushed, as the queue does, until the test ends.
func (w *world) work(t testing.TB) {
	follow := w.follow(w.client(t))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case object := <-w.objects:
				time.Sleep(2 * time.Millisecond) // the transaction that pushed it commits first
				if follow.Object(ctx, object) != nil {
					w.objects <- object
				}
			}
		}
	})
}

func (w *world) desk(t testing.TB, trouble *trouble) *purchase.Desk {
	t.Helper()
	if trouble == nil {
		return w.deskOver(t, w.stripe.Transport())
	}
	trouble.to = w.stripe.Transport()
	return w.deskOver(t, trouble)
}

// deskOver is a desk that reaches Stripe this way.
func (w *world) deskOver(t testing.TB, way http.RoundTripper) *purchase.Desk {
	t.Helper()
	client := reach(t, way)
	return purchase.New(purchase.Config{
		DB: w.pool, Stripe: client, Sync: w.follow(client), Push: w.queued.push, Events: stripesync.Types(),
		BaseDomain: "example.com", PublishableKey: "pk_test_1", Log: slog.New(slog.DiscardHandler),
	})
}

// team makes a tenant on the free plan.
func (w *world) team(t testing.TB) pgtest.Team {
	t.Helper()
	team := pgtest.NewTeam(t, w.pool)
	w.exec(t, `UPDATE tenants.tenants SET plan = 'free' WHERE id = $1`, team.ID)
	return team
}

// begin begins an operation as the team's owner, under row-level security.
func (w *world) begin(t testing.TB, d *purchase.Desk, team pgtest.Team, in purchase.Input) (op id.Operation, err error) {
	t.Helper()
	err = pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
		owner := team.As(member.Owner)
		if err := pg.EnterTenant(t.Context(), tx, owner); err != nil {
			return err
		}
		op, err = d.Begin(t.Context(), tx, owner, in)
		return err
	})
	return op, err
}

// do begins an operation and runs it.
func (w *world) do(t testing.TB, team pgtest.Team, in purchase.Input) (purchase.Result, error) {
	t.Helper()
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, in)
	if err != nil {
		return purchase.Result{}, err
	}
	return d.Run(t.Context(), team.ID, op)
}

func (w *world) must(t testing.TB, team pgtest.Team, in purchase.Input) purchase.Result {
	t.Helper()
	result, err := w.do(t, team, in)
	if err != nil {
		t.Fatalf("%T: %v", in, err)
	}
	return result
}

// refuses demands that the change fails with this code.
func (w *world) refuses(t testing.TB, team pgtest.Team, in purchase.Input, code fault.Code) {
	t.Helper()
	_ = w.refused(t, team, in, code)
}

// refused is refuses, and gives what was said.
func (w *world) refused(t testing.TB, team pgtest.Team, in purchase.Input, code fault.Code) *fault.Fault {
	t.Helper()
	_, err := w.do(t, team, in)
	if !fault.Is(err, code) {
		t.Fatalf("%T %+v: %v, want %s", in, in, err, code)
	}
	return fault.From(err)
}

func (w *world) customer(t testing.TB, team pgtest.Team) string {
	t.Helper()
	row, err := billing.CustomerOf(t.Context(), w.pool, team.ID)
	if err != nil {
		t.Fatal(err)
	}
	return row.StripeID
}

// main is the subscription as Stripe has it.
func (w *world) main(t testing.TB, team pgtest.Team) billing.Subscription {
	t.Helper()
	row, err := billing.MainOf(t.Context(), w.pool, team.ID)
	if err != nil {
		t.Fatal(err)
	}
	there, err := w.client(t).Subscription(t.Context(), row.StripeID)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func (w *world) plan(t testing.TB, team pgtest.Team) string {
	t.Helper()
	return scan[string](t, w, `SELECT plan FROM tenants.tenants WHERE id = $1`, team.ID)
}

// paid are the amounts that the team's customer was charged, each once, in order.
func (w *world) paid(t testing.TB, team pgtest.Team) (amounts []int64) {
	t.Helper()
	customer := w.customer(t, team)
	for _, c := range w.stripe.Charges() {
		if c.Customer == customer && c.Status == "succeeded" {
			amounts = append(amounts, c.Amount)
		}
	}
	return amounts
}

// pays demands what the team's customer was charged.
func (w *world) pays(t testing.TB, team pgtest.Team, want ...int64) {
	t.Helper()
	if got := w.paid(t, team); !slices.Equal(got, want) {
		t.Errorf("charged %v, want %v", got, want)
	}
}

func collect[T any](t testing.TB, list func(func(T, error) bool)) (all []T) {
	t.Helper()
	for one, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}
