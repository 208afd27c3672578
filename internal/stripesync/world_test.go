package stripesync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const key = "sk_test_world"

// world is a database, a Stripe of its own, and the Sync between them. Its events are
// delivered, and its jobs done, when a test says so.
type world struct {
	*stripesync.Sync
	pool   *pgxpool.Pool // as nself_server
	super  *pgxpool.Pool
	there  *stripe.Server
	stripe *stripeapi.Client
	price  string // of plan pro

	mu       sync.Mutex
	pushed   []string
	outcomes map[string]int
	delayed  map[string]func() // by path: called once, after Stripe answered and before anybody reads it
	fault    func(stripe.Call) stripe.Fault
	pushing  func(objects []string) error
	serial   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	db := pgtest.Database(t)
	w := &world{pool: db.Pool(t, "nself_server"), super: db.Superuser(t), outcomes: map[string]int{}, delayed: map[string]func(){}}
	var err error
	if w.there, err = stripe.New(stripe.Config{Key: key, Fault: w.faults}); err != nil {
		t.Fatal(err)
	}
	w.stripe, err = stripeapi.New(stripeapi.Config{Key: key, URL: "http://stripe.invalid", HTTP: &http.Client{Transport: delaying{w}}})
	if err != nil {
		t.Fatal(err)
	}
	w.Sync = w.newSync(w.stripe)
	w.price = w.newPrice(t, 9900)
	w.exec(t, `INSERT INTO billing.prices (price_id, livemode, plan, product_id, amount_minor, currency) VALUES ($1, false, 'pro', 'nself_plan_pro', 9900, 'usd')`, w.price)
	return w
}

func (w *world) newSync(client *stripeapi.Client) *stripesync.Sync {
	return stripesync.New(stripesync.Config{
		DB: w.pool, Stripe: client, Book: billing.New(billing.Rules{Grace: 7 * 24 * time.Hour}, nil), Push: w.push,
		Log: slog.New(slog.DiscardHandler), Applied: w.applied,
	})
}

// push keeps the jobs as the queue would: those of a transaction that fails are tolerated,
// since a job too many does nothing.
func (w *world) push(_ context.Context, _ pgx.Tx, objects ...string) error {
	w.mu.Lock()
	pushing := w.pushing
	w.pushed = append(w.pushed, objects...)
	w.mu.Unlock()
	if pushing != nil {
		return pushing(objects)
	}
	return nil
}

func (w *world) applied(kind, outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[kind+" "+outcome]++
}

func (w *world) faults(call stripe.Call) stripe.Fault {
	w.mu.Lock()
	fault := w.fault
	w.mu.Unlock()
	if fault == nil {
		return stripe.Fault{}
	}
	return fault(call)
}

// delaying carries the calls to the stand-in, and its answers back when they may come.
type delaying struct{ w *world }

func (d delaying) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.w.there.Transport().RoundTrip(r)
	if r.Method == http.MethodGet {
		d.w.mu.Lock()
		wait := d.w.delayed[r.URL.Path]
		delete(d.w.delayed, r.URL.Path)
		d.w.mu.Unlock()
		if wait != nil {
			wait()
		}
	}
	return answer, err
}

// delay has do called once: after Stripe answered the next fetch of the path, and before
// whoever asked has the answer.
func (w *world) delay(path string, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delayed["/v1/"+path] = do
}

func (w *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.super.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// one reads one value.
func one[T any](t testing.TB, w *world, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := w.super.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// must is what an operation that has to succeed returned.
func must[T any](t testing.TB) func(value T, err error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// next is an idempotency key.
func (w *world) next() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serial++
	return fmt.Sprintf("key %d", w.serial)
}

func (w *world) newPrice(t testing.TB, amount int64) string {
	t.Helper()
	product := fmt.Sprintf("nself_%d", amount)
	must[stripeapi.Product](t)(w.stripe.CreateProduct(t.Context(), w.next(), product, product))
	in := stripeapi.PriceInput{Product: product, LookupKey: product, AmountMinor: amount, Currency: "usd"}
	return must[stripeapi.Price](t)(w.stripe.CreatePrice(t.Context(), w.next(), in)).ID
}

// tenant makes a tenant and an operation of its that subscribes.
func (w *world) tenant(t testing.TB) stripeapi.Origin {
	t.Helper()
	origin := stripeapi.Origin{Tenant: pgtest.NewTeam(t, w.pool).ID}
	origin.Operation = w.operation(t, origin.Tenant, "subscribe", `{}`)
	return origin
}

// operation makes one that is done.
func (w *world) operation(t testing.TB, tenant id.Tenant, kind, results string) id.Operation {
	t.Helper()
	return one[id.Operation](t, w, `
		INSERT INTO billing.operations (tenant_id, kind, state, ended_at, actor, results) VALUES ($1, $2, 'done', now(), '{}', $3) RETURNING id`,
		tenant, kind, results)
}

// customer makes a customer with a good card.
func (w *world) customer(t testing.TB, origin stripeapi.Origin) string {
	t.Helper()
	c := must[billing.Customer](t)(w.stripe.CreateCustomer(t.Context(), w.next(), stripeapi.CustomerInput{Origin: origin, Email: "owner@example.com", Name: "Owner"}))
	card := must[billing.PaymentMethod](t)(w.stripe.AttachPaymentMethod(t.Context(), w.next(), "pm_card_visa", c.ID))
	change := stripeapi.CustomerChange{DefaultPaymentMethod: card.ID}
	must[billing.Customer](t)(w.stripe.UpdateCustomer(t.Context(), w.next(), c.ID, change))
	return c.ID
}

func (w *world) subscribe(t testing.TB, customer, price string) billing.Subscription {
	t.Helper()
	in := stripeapi.SubscriptionInput{Customer: customer, Items: []stripeapi.SubscriptionItem{{Price: price, Quantity: 1}}}
	return must[billing.Subscription](t)(w.stripe.CreateSubscription(t.Context(), w.next(), in))
}

func (w *world) setCancel(t testing.TB, subscription string, cancel bool) {
	t.Helper()
	must[billing.Subscription](t)(w.stripe.UpdateSubscription(t.Context(), w.next(), subscription, stripeapi.SubscriptionChange{CancelAtPeriodEnd: &cancel}))
}

// read is an event as the door reads it.
func read(t testing.TB, e stripe.Event) stripesync.Event {
	t.Helper()
	var body struct {
		APIVersion string `json:"api_version"`
		Livemode   bool
		Data       struct {
			Object struct {
				ID, Object string
				Customer   any
			}
		}
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		t.Fatal(err)
	}
	object := body.Data.Object
	customer, _ := object.Customer.(string)
	return stripesync.Event{
		ID: e.ID, Type: e.Type, Object: object.ID, Kind: stripesync.KindOf(e.Type, object.Object), Customer: customer,
		Livemode: body.Livemode, APIVersion: body.APIVersion, CreatedAt: e.Created, Payload: e.Body,
	}
}

// events are all that Stripe told so far.
func (w *world) events(t testing.TB) []stripesync.Event {
	t.Helper()
	var all []stripesync.Event
	for _, e := range w.there.Events() {
		all = append(all, read(t, e))
	}
	return all
}

// about is the last event of a type.
func (w *world) about(t testing.TB, kind string) stripesync.Event {
	t.Helper()
	all := w.events(t)
	slices.Reverse(all)
	i := slices.IndexFunc(all, func(e stripesync.Event) bool { return e.Type == kind })
	if i < 0 {
		t.Fatalf("Stripe told of no %s", kind)
	}
	return all[i]
}

func (w *world) accept(t testing.TB, events ...stripesync.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := w.Accept(t.Context(), e); err != nil {
			t.Fatalf("accept %s %s: %v", e.Type, e.ID, err)
		}
	}
}

// work does the jobs until there are none.
func (w *world) work(t testing.TB) {
	t.Helper()
	for round := 0; ; round++ {
		if round == 2000 {
			t.Fatalf("the jobs never end: %q", w.pushed)
		}
		w.mu.Lock()
		jobs := w.pushed
		w.pushed = nil
		w.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for _, object := range jobs {
			switch err := w.Object(t.Context(), object); {
			case fault.Is(err, fault.Unavailable):
				w.mu.Lock()
				w.pushed = append(w.pushed, object)
				w.mu.Unlock()
				time.Sleep(time.Millisecond)
			case err != nil:
				t.Fatalf("follow %s: %v", object, err)
			}
		}
	}
}

// state is what became of an object: its state, and the reason after a colon.
func (w *world) state(t testing.TB, object string) string {
	t.Helper()
	return one[string](t, w, `SELECT state || coalesce(': ' || reason, '') FROM billing.stripe_objects WHERE object_id = $1`, object)
}

func (w *world) wantState(t testing.TB, object, want string) {
	t.Helper()
	if got := w.state(t, object); !strings.HasPrefix(got, want) {
		t.Errorf("%s is %q, want %q", object, got, want)
	}
}

// subscribed is a tenant with a subscription that stands here.
func (w *world) subscribed(t testing.TB) (stripeapi.Origin, billing.Subscription) {
	t.Helper()
	origin := w.tenant(t)
	sub := w.subscribe(t, w.customer(t, origin), w.price)
	w.accept(t, w.events(t)...)
	w.work(t)
	return origin, sub
}

// ghost is the id of a tenant that does not exist.
func (w *world) ghost(t testing.TB) id.Tenant {
	t.Helper()
	return one[id.Tenant](t, w, `SELECT gen_random_uuid()`)
}

// call is a call of Stripe that the program never makes.
func (w *world) call(t testing.TB, method, path string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://stripe.invalid/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := w.there.Transport().RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v, %v", method, path, answer, err)
	}
	_ = answer.Body.Close()
}

// failing has every call of Stripe fail so.
func (w *world) failing(kind stripe.FaultKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = func(stripe.Call) stripe.Fault { return stripe.Fault{Kind: kind} }
}
