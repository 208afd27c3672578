package stripeapi_test

import (
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/billing"
	standin "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/stripeapi"
)

// world is a Stripe of the test's own, with a product of two monthly prices.
type world struct {
	*stripeapi.Client
	t       *testing.T
	server  *standin.Server
	faults  []standin.FaultKind // of the next calls
	n       int
	cheap   string
	dear    string
	startAt time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, startAt: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)}
	server, err := standin.New(standin.Config{Seed: 1, Now: func() time.Time { return w.startAt }, Fault: func(standin.Call) standin.Fault {
		if len(w.faults) == 0 {
			return standin.Fault{}
		}
		fault := standin.Fault{Kind: w.faults[0]}
		w.faults = w.faults[1:]
		return fault
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	w.Client = newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: server.Transport()}})
	product := must(w.CreateProduct(t.Context(), w.key(), "nself_plan_pro", "Pro"))(t)
	w.cheap = must(w.CreatePrice(t.Context(), w.key(), stripeapi.PriceInput{Product: product.ID, LookupKey: "nself:plan:pro", AmountMinor: 4900, Currency: "usd"}))(t).ID
	w.dear = must(w.CreatePrice(t.Context(), w.key(), stripeapi.PriceInput{Product: product.ID, LookupKey: "nself:plan:max", AmountMinor: 9900, Currency: "usd"}))(t).ID
	return w
}

// key is another one each time.
func (w *world) key() string {
	w.n++
	return "key " + time.Unix(int64(w.n), 0).String()
}

func must[T any](object T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
}

func all[T any](t *testing.T, objects iter.Seq2[T, error]) []T {
	t.Helper()
	var found []T
	for object, err := range objects {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, object)
	}
	return found
}

// customer is one with a card, who lives by a clock of their own.
func (w *world) customer(card string) (billing.Customer, stripeapi.Clock) {
	w.t.Helper()
	ctx := w.t.Context()
	clock := must(w.CreateClock(ctx, w.key(), "Acme", w.startAt))(w.t)
	made := must(w.CreateCustomer(ctx, w.key(), stripeapi.CustomerInput{Origin: stripeapi.Origin{Tenant: tenant(w.t), Operation: operation(w.t)}, Email: "a@example.com", Name: "Acme", Clock: clock.ID}))(w.t)
	method := must(w.AttachPaymentMethod(ctx, w.key(), card, made.ID))(w.t)
	return must(w.UpdateCustomer(ctx, w.key(), made.ID, stripeapi.CustomerChange{DefaultPaymentMethod: method.ID}))(w.t), clock
}

func (w *world) subscribe(customer string, days int64) billing.Subscription {
	w.t.Helper()
	return must(w.CreateSubscription(w.t.Context(), w.key(), stripeapi.SubscriptionInput{
		Origin: stripeapi.Origin{Tenant: tenant(w.t), Operation: operation(w.t)}, Customer: customer,
		Items: []stripeapi.SubscriptionItem{{Price: w.cheap, Quantity: 2}}, TrialDays: days, UnpaidTrial: "pause",
	}))(w.t)
}

func (w *world) advance(clock string, to time.Time) {
	w.t.Helper()
	moved := must(w.AdvanceClock(w.t.Context(), w.key(), clock, to))(w.t)
	for moved.Status != stripeapi.ClockReady {
		moved = must(w.Clock(w.t.Context(), clock))(w.t)
	}
	if !moved.At.Equal(to) {
		w.t.Fatalf("the clock stands at %s", moved.At)
	}
}
