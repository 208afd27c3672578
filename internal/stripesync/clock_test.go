package stripesync_test

import (
	"testing"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// clocked is a subscribed tenant that lives by a test clock.
func (w *world) clocked(t *testing.T) (origin stripeapi.Origin, clock stripeapi.Clock) {
	t.Helper()
	origin = w.tenant(t)
	clock = must[stripeapi.Clock](t)(w.stripe.CreateClock(t.Context(), w.next(), "test", time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)))
	c := must[billing.Customer](t)(w.stripe.CreateCustomer(t.Context(), w.next(), stripeapi.CustomerInput{Origin: origin, Email: "a@example.com", Clock: clock.ID}))
	card := must[billing.PaymentMethod](t)(w.stripe.AttachPaymentMethod(t.Context(), w.next(), "pm_card_visa", c.ID))
	must[billing.Customer](t)(w.stripe.UpdateCustomer(t.Context(), w.next(), c.ID, stripeapi.CustomerChange{DefaultPaymentMethod: card.ID}))
	w.subscribe(t, c.ID, w.price)
	w.accept(t, w.events(t)...)
	w.work(t)
	return origin, clock
}

const clockAtSQL = `SELECT clock_at FROM billing.customers WHERE tenant_id = $1`

func TestAClockMovesOnHereAfterTheFactsOfTheTimeThatPassed(t *testing.T) {
	w := newWorld(t)
	origin, clock := w.clocked(t)
	to := clock.At.Add(60 * 24 * time.Hour)
	must[stripeapi.Clock](t)(w.stripe.AdvanceClock(t.Context(), w.next(), clock.ID, to))
	w.accept(t, w.events(t)...)
	if err := w.Object(t.Context(), clock.ID); !fault.Is(err, fault.Unavailable) {
		t.Errorf("before the facts are here: %v", err)
	}
	customer := one[string](t, w, `SELECT stripe_id FROM billing.customers WHERE tenant_id = $1`, origin.Tenant)
	if err := w.Object(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	if got := one[time.Time](t, w, clockAtSQL, origin.Tenant); !got.Equal(clock.At) {
		t.Errorf("the customer moved the clock to %s", got)
	}
	w.work(t)
	if got := one[time.Time](t, w, clockAtSQL, origin.Tenant); !got.Equal(to) {
		t.Errorf("the clock shows %s, want %s", got, to)
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.invoices WHERE tenant_id = $1 AND status = 'paid'`, origin.Tenant); n != 2 {
		t.Errorf("%d invoices are paid, want the first and a renewal", n)
	}
	w.wantState(t, clock.ID, "applied")
}

func TestReconcileGoesThroughWhatLivesByAClock(t *testing.T) {
	w := newWorld(t)
	origin, clock := w.clocked(t)
	must[stripeapi.Clock](t)(w.stripe.AdvanceClock(t.Context(), w.next(), clock.ID, clock.At.Add(60*24*time.Hour)))
	if err := w.Now(t.Context(), stripesync.TestClock, clock.ID, ""); err != nil {
		t.Fatal(err)
	}
	if report := w.reconcile(t, stripesync.ReconcileInput{Fix: true}); len(report.Drift) != 0 || report.Fixed == 0 {
		t.Errorf("left %v, fixed %d", report.Drift, report.Fixed)
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.invoices WHERE tenant_id = $1 AND status = 'paid'`, origin.Tenant); n != 2 {
		t.Errorf("%d invoices are paid", n)
	}
}

func TestATenantOnAClockIsTakenInAgainByFix(t *testing.T) {
	w := newWorld(t)
	origin, _ := w.clocked(t)
	for _, table := range []string{"customers", "subscriptions", "invoices", "payments", "stripe_objects"} {
		w.exec(t, `DELETE FROM billing.`+table)
	}
	if report := w.reconcile(t, stripesync.ReconcileInput{Fix: true}); len(report.Drift) != 0 || report.Fixed == 0 {
		t.Errorf("left %v, fixed %d", report.Drift, report.Fixed)
	}
	if got, want := one[string](t, w, standingSQL, origin.Tenant), "pro active active false paid 9900 succeeded 9900 card 4242"; got != want {
		t.Errorf("the standing is %q, want %q", got, want)
	}
}

func TestAVisitToCheckoutBringsItsCustomerIn(t *testing.T) {
	w := newWorld(t)
	origin := w.tenant(t)
	customer := w.customer(t, origin)
	visit := must[stripeapi.CheckoutSession](t)(w.stripe.CreateCheckoutSession(t.Context(), w.next(), stripeapi.CheckoutInput{
		Origin: origin, Customer: customer, Items: []stripeapi.SubscriptionItem{{Price: w.price, Quantity: 1}},
		SuccessURL: "https://app.example.com/ok", CancelURL: "https://app.example.com/no",
	}))
	if err := w.Now(t.Context(), stripesync.CheckoutSession, visit.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.wantState(t, visit.ID, "parked: customer")
	w.work(t)
	w.wantState(t, customer, "applied")
	w.wantState(t, visit.ID, "applied")
}

func TestAnObjectOfTheOtherModeParksWhereTheKeyWasChanged(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	live := must[*stripeapi.Client](t)(stripeapi.New(stripeapi.Config{Key: "sk_live_none"}))
	w.accept(t, again(w.about(t, "customer.subscription.created"), "evt_again"))
	if err := w.newSync(live).Object(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantState(t, sub.ID, "parked: it is of test mode, and the key of this server is of live mode")
}
