package stripesync_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

const standingSQL = `
SELECT concat_ws(' ', (SELECT plan FROM tenants.tenants WHERE id = $1), (SELECT state FROM billing.accounts WHERE tenant_id = $1),
	(SELECT string_agg(status || ' ' || cancel_at_period_end, ',') FROM billing.subscriptions WHERE tenant_id = $1),
	(SELECT string_agg(status || ' ' || paid_minor, ',') FROM billing.invoices WHERE tenant_id = $1),
	(SELECT string_agg(status || ' ' || amount_minor, ',') FROM billing.payments WHERE tenant_id = $1),
	(SELECT string_agg(kind || ' ' || coalesce(last4, ''), ',') FROM billing.payment_methods WHERE tenant_id = $1))`

const wantStanding = "pro active active true paid 9900 succeeded 9900 card 4242"

func TestEventsInAnyOrderWithCopiesGiveTheSameStanding(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: not a secret
	for range 5 {
		origin := w.tenant(t)
		sub := w.subscribe(t, w.customer(t, origin), w.price)
		w.setCancel(t, sub.ID, true)
		events := w.events(t)
		events = append(events, events...)
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i, e := range events {
			w.accept(t, e)
			if i%3 == 0 {
				w.work(t)
			}
		}
		w.work(t)
		if got := one[string](t, w, standingSQL, origin.Tenant); got != wantStanding {
			t.Fatalf("the standing is %q, want %q", got, wantStanding)
		}
	}
}

func TestOneEventBringsInAllThatItsObjectLeadsTo(t *testing.T) {
	w := newWorld(t)
	origin := w.tenant(t)
	sub := w.subscribe(t, w.customer(t, origin), w.price)
	w.setCancel(t, sub.ID, true)
	w.accept(t, w.about(t, "customer.subscription.updated"))
	w.work(t)
	if got := one[string](t, w, standingSQL, origin.Tenant); got != wantStanding {
		t.Errorf("the standing is %q, want %q", got, wantStanding)
	}
}

func TestWhatIsOfNoTenantParksUntilItsCustomerComes(t *testing.T) {
	w := newWorld(t)
	origin := w.tenant(t)
	customer := w.customer(t, stripeapi.Origin{})
	sub := w.subscribe(t, customer, w.price)
	w.accept(t, w.events(t)...)
	w.work(t)
	for _, object := range []string{customer, sub.ID, sub.LatestInvoice} {
		w.wantState(t, object, "parked: customer "+customer+" is of no tenant here")
	}
	w.exec(t, `INSERT INTO billing.customers (tenant_id, stripe_id, livemode, created_at) VALUES ($1, $2, false, now())`, origin.Tenant, customer)
	if err := w.Now(t.Context(), stripesync.Customer, customer, ""); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	for _, object := range []string{customer, sub.ID, sub.LatestInvoice} {
		w.wantState(t, object, "applied")
	}
	if plan := one[string](t, w, `SELECT plan FROM tenants.tenants WHERE id = $1`, origin.Tenant); plan != "pro" {
		t.Errorf("the plan is %s", plan)
	}
}

func TestMetadataAloneBindsNobody(t *testing.T) {
	w := newWorld(t)
	first, second := w.tenant(t), w.tenant(t)
	for name, origin := range map[string]stripeapi.Origin{
		"a tenant without an operation":   {Tenant: first.Tenant},
		"the operation of another":        {Tenant: first.Tenant, Operation: second.Operation},
		"a tenant that does not exist":    {Tenant: w.ghost(t), Operation: first.Operation},
		"an operation without its tenant": {Operation: first.Operation},
		"an operation that makes none":    {Tenant: first.Tenant, Operation: w.operation(t, first.Tenant, "change_plan", `{}`)},
		"one that made another":           {Tenant: first.Tenant, Operation: w.operation(t, first.Tenant, "subscribe", `{"customer": {"id": "cus_other"}}`)},
	} {
		customer := w.customer(t, origin)
		if err := w.Now(t.Context(), stripesync.Customer, customer, ""); err != nil {
			t.Fatal(err)
		}
		if got := w.state(t, customer); got != "parked: customer "+customer+" is of no tenant here" {
			t.Errorf("%s: the customer is %s", name, got)
		}
	}
	for i, want := range []string{"applied", "parked"} {
		customer := w.customer(t, first)
		if err := w.Now(t.Context(), stripesync.Customer, customer, ""); err != nil {
			t.Fatal(err)
		}
		t.Log("customer", i+1)
		w.wantState(t, customer, want)
	}
}

func TestABoundCustomerStaysWithItsTenantAndADeletedOneGivesWay(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	w.call(t, "DELETE", "customers/"+sub.Customer)
	w.accept(t, w.events(t)...)
	w.work(t)
	if got := one[string](t, w, `SELECT state FROM billing.accounts WHERE tenant_id = $1`, origin.Tenant); got != "canceled" {
		t.Errorf("after the customer was deleted the account is %s", got)
	}
	next := w.customer(t, origin)
	if err := w.Now(t.Context(), stripesync.Customer, next, ""); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, w, `SELECT stripe_id FROM billing.customers WHERE tenant_id = $1`, origin.Tenant); got != next {
		t.Errorf("the customer is %s, want %s", got, next)
	}
}

func TestWhatStripeDoesNotHaveParks(t *testing.T) {
	w := newWorld(t)
	for kind, object := range map[string]string{
		stripesync.Customer: "cus_none", stripesync.Subscription: "sub_none", stripesync.Invoice: "in_none", stripesync.Charge: "ch_none",
		stripesync.PaymentMethod: "pm_none", stripesync.CheckoutSession: "cs_test_none", stripesync.TestClock: "clock_none",
	} {
		if err := w.Now(t.Context(), kind, object, ""); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		w.wantState(t, object, "parked: Stripe has no such "+kind)
	}
}

func TestASubscriptionAtAPriceOfNobodysStandsAndParks(t *testing.T) {
	w := newWorld(t)
	origin := w.tenant(t)
	price := w.newPrice(t, 777)
	sub := w.subscribe(t, w.customer(t, origin), price)
	w.accept(t, w.events(t)...)
	w.work(t)
	w.wantState(t, sub.ID, "parked: no plan or add-on here has the price ")
	if n := one[int](t, w, `SELECT count(*) FROM billing.subscriptions WHERE tenant_id = $1`, origin.Tenant); n != 1 {
		t.Errorf("%d subscriptions stand here", n)
	}
	w.exec(t, `INSERT INTO billing.prices (price_id, livemode, plan, product_id, amount_minor, currency) VALUES ($1, false, 'starter', 'p', 777, 'usd')`, price)
	if _, err := w.ReconcileRoutine(t.Context(), w.pool); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	w.wantState(t, sub.ID, "applied")
	if plan := one[string](t, w, `SELECT plan FROM tenants.tenants WHERE id = $1`, origin.Tenant); plan != "starter" {
		t.Errorf("once the price is known the plan is %s", plan)
	}
}

func TestADetachedPaymentMethodIsForgotten(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	card := one[string](t, w, `SELECT stripe_id FROM billing.payment_methods WHERE tenant_id = $1`, origin.Tenant)
	w.call(t, "POST", "payment_methods/"+card+"/detach")
	w.accept(t, w.events(t)...)
	w.work(t)
	w.wantState(t, card, "applied")
	if n := one[int](t, w, `SELECT count(*) FROM billing.payment_methods WHERE tenant_id = $1`, origin.Tenant); n != 0 {
		t.Errorf("%d payment methods of %s are left", n, sub.Customer)
	}
}

func TestStripeThatFailsIsAskedAgainAndABusyOneIsNoFailure(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	w.accept(t, w.about(t, "customer.subscription.updated"))
	w.failing(stripe.FaultRateLimit)
	busy := fault.From(w.Object(t.Context(), sub.ID))
	if busy == nil || busy.Code != fault.Unavailable || busy.Details["retryAfter"] == nil {
		t.Errorf("a busy Stripe: %v", busy)
	}
	for _, kind := range []stripe.FaultKind{stripe.FaultErrorUndone, stripe.FaultDropBefore} {
		w.failing(kind)
		if err := w.Object(t.Context(), sub.ID); err == nil || fault.Is(err, fault.Unavailable) {
			t.Errorf("fault %d: %v", kind, err)
		}
		w.wantState(t, sub.ID, "waiting")
	}
	if tries := one[int](t, w, `SELECT tries FROM billing.stripe_objects WHERE object_id = $1`, sub.ID); tries != 2 {
		t.Errorf("%d tries were counted, want 2", tries)
	}
	w.failing(stripe.FaultNone)
	w.work(t)
	w.wantState(t, sub.ID, "applied")
}

func TestABuriedObjectLivesAgainByAHintOrAJobThatWasLeft(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	updated := w.about(t, "customer.subscription.created")
	for i, again := range []func() error{
		func() error { return w.Object(t.Context(), sub.ID) },
		func() error { return w.Now(t.Context(), stripesync.Subscription, sub.ID, sub.Customer) },
	} {
		updated.ID = fmt.Sprintf("evt_again_%d", i)
		w.accept(t, updated)
		if err := w.Bury(t.Context(), sub.ID, fmt.Errorf("the last try failed\x00")); err != nil {
			t.Fatal(err)
		}
		w.wantState(t, sub.ID, "dead: every try failed: the last try failed")
		if err := again(); err != nil {
			t.Fatal(err)
		}
		w.wantState(t, sub.ID, "applied")
	}
	if err := w.Bury(t.Context(), sub.ID, nil); err != nil {
		t.Fatal(err)
	}
	w.wantState(t, sub.ID, "applied")
}

func TestAcceptingAndFollowingAtOnceNeverDeadlocks(t *testing.T) {
	w := newWorld(t)
	origins := []stripeapi.Origin{w.tenant(t), w.tenant(t), w.tenant(t)}
	for _, origin := range origins {
		w.setCancel(t, w.subscribe(t, w.customer(t, origin), w.price).ID, true)
	}
	events := w.events(t)
	var all sync.WaitGroup
	for worker := range 4 {
		mine := make([]stripesync.Event, len(events))
		for i, j := range rand.New(rand.NewPCG(uint64(worker), 7)).Perm(len(events)) { //nolint:gosec // G404, G115: not a secret, and small
			mine[i] = events[j]
		}
		all.Go(func() {
			for i, e := range mine {
				if e.ID += fmt.Sprint(" ", worker); i%2 == 0 {
					e.ID = mine[i].ID
				}
				if _, err := w.Accept(t.Context(), e); err != nil {
					t.Errorf("accept: %v", err)
				}
				if err := w.Object(t.Context(), e.Object); err != nil && !fault.Is(err, fault.Unavailable) {
					t.Errorf("follow %s: %v", e.Object, err)
				}
			}
		})
	}
	all.Wait()
	w.work(t)
	var got, want []string
	for _, origin := range origins {
		got, want = append(got, one[string](t, w, standingSQL, origin.Tenant)), append(want, wantStanding)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := one[int](t, w, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}
