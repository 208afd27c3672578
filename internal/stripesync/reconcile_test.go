package stripesync_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// reconcile compares, after what was hinted is taken for long past.
func (w *world) reconcile(t *testing.T, in stripesync.ReconcileInput) stripesync.Report {
	t.Helper()
	w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = hinted_at - interval '1 hour', applied_at = applied_at - interval '1 hour'`)
	report, err := w.Reconcile(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// whats counts differences by what they are.
func whats(report stripesync.Report) map[string]int {
	counted := map[string]int{}
	for _, d := range report.Drift {
		counted[d.What]++
	}
	return counted
}

func TestWhatIsTheSameOnBothSidesIsNoDrift(t *testing.T) {
	w := newWorld(t)
	w.subscribed(t)
	told := 0
	report := w.reconcile(t, stripesync.ReconcileInput{Progress: func(done int) { told = done }})
	if diff := cmp.Diff(stripesync.Report{Customers: 1, Subscriptions: 1, Invoices: 1, Charges: 1}, report, cmpopts.IgnoreUnexported(stripesync.Drift{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if told != 4 {
		t.Errorf("the last progress was %d", told)
	}
}

func TestReconcileFindsWhatNoEventToldAndFixMendsIt(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	unheard := w.tenant(t)
	customer := w.customer(t, unheard)
	if err := w.Now(t.Context(), stripesync.Customer, customer, ""); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	w.subscribe(t, customer, w.price) // and no event came of it
	want := map[string]int{
		"differs: cancel at period end": 1, "differs: cancel at": 1, stripesync.MissingHere: 2, stripesync.ChargedNotApplied: 1, "differs: currency": 1,
	}
	report := w.reconcile(t, stripesync.ReconcileInput{})
	if diff := cmp.Diff(want, whats(report)); diff != "" || report.Fixed != 0 {
		t.Errorf("found: %s, fixed %d", diff, report.Fixed)
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.drift WHERE tenant_id IN ($1, $2)`, origin.Tenant, unheard.Tenant); n != len(report.Drift) {
		t.Errorf("%d of %d differences are written", n, len(report.Drift))
	}
	report = w.reconcile(t, stripesync.ReconcileInput{Fix: true})
	if len(report.Drift) != 0 || report.Fixed != 6 {
		t.Errorf("after the fix %v are left, %d fixed", report.Drift, report.Fixed)
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.drift`); n != 0 {
		t.Errorf("%d differences are written still", n)
	}
	if plan := one[string](t, w, `SELECT plan FROM tenants.tenants WHERE id = $1`, unheard.Tenant); plan != "pro" {
		t.Errorf("the plan is %s", plan)
	}
}

func TestReconcileOfOneTenantLeavesTheOthersAlone(t *testing.T) {
	w := newWorld(t)
	first, one1 := w.subscribed(t)
	_, two := w.subscribed(t)
	w.setCancel(t, one1.ID, true)
	w.setCancel(t, two.ID, true)
	w.reconcile(t, stripesync.ReconcileInput{})
	report := w.reconcile(t, stripesync.ReconcileInput{Tenant: &first.Tenant, Fix: true})
	if len(report.Drift) != 0 || report.Fixed != 2 || report.Customers != 1 || report.Subscriptions != 1 {
		t.Errorf("%+v", report)
	}
	if one[bool](t, w, cancelsSQL, two.ID) || !one[bool](t, w, cancelsSQL, one1.ID) {
		t.Error("the other tenant's was mended, or the tenant's was not")
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.drift`); n != 2 {
		t.Errorf("%d differences of the other tenant are written, want 2", n)
	}
}

func TestWhatIsOnTheWayIsNoDrift(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	w.accept(t, w.about(t, "customer.subscription.updated"))
	if report := must[stripesync.Report](t)(w.Reconcile(t.Context(), stripesync.ReconcileInput{})); len(report.Drift) != 0 {
		t.Errorf("found %v", report.Drift)
	}
}

func TestWhatStripeNoLongerHasIsToldAndStays(t *testing.T) {
	w := newWorld(t)
	origin, _ := w.subscribed(t)
	w.exec(t, `UPDATE billing.invoices SET stripe_id = 'in_gone' WHERE tenant_id = $1`, origin.Tenant)
	report := w.reconcile(t, stripesync.ReconcileInput{Fix: true})
	if diff := cmp.Diff(map[string]int{stripesync.GoneThere: 1}, whats(report)); diff != "" || report.Fixed != 1 {
		t.Errorf("%s, fixed %d", diff, report.Fixed)
	}
}

func TestFixBindsACustomerThatOnlyOneTenantCanBeMeantBy(t *testing.T) {
	w := newWorld(t)
	lone, contested, owner := w.tenant(t), w.tenant(t), w.tenant(t)
	meant := func(tenant id.Tenant) string { return w.customer(t, stripeapi.Origin{Tenant: tenant}) }
	good := meant(lone.Tenant)
	w.subscribe(t, good, w.price)
	has := w.customer(t, owner)
	if err := w.Now(t.Context(), stripesync.Customer, has, ""); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	for _, tenant := range []id.Tenant{contested.Tenant, contested.Tenant, owner.Tenant, w.ghost(t)} {
		meant(tenant)
	}
	if got := whats(w.reconcile(t, stripesync.ReconcileInput{})); got[stripesync.OfNoTenant] != 6 {
		t.Errorf("found %v, want five customers and a subscription of no tenant", got)
	}
	report := w.reconcile(t, stripesync.ReconcileInput{Fix: true})
	if diff := cmp.Diff(map[string]int{stripesync.OfNoTenant: 4}, whats(report)); diff != "" {
		t.Error(diff)
	}
	if got := one[string](t, w, `SELECT stripe_id FROM billing.customers WHERE tenant_id = $1`, lone.Tenant); got != good {
		t.Errorf("the customer is %s", got)
	}
	if plan := one[string](t, w, `SELECT plan FROM tenants.tenants WHERE id = $1`, lone.Tenant); plan != "pro" {
		t.Errorf("the plan of the bound tenant is %s", plan)
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.customers WHERE tenant_id = $1`, contested.Tenant); n != 0 {
		t.Error("a contested tenant has a customer")
	}
}

func TestASecondSubscriptionIsTold(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	w.subscribe(t, sub.Customer, w.price)
	w.accept(t, w.events(t)...)
	w.work(t)
	beside := one[string](t, w, `SELECT stripe_id FROM billing.subscriptions WHERE tenant_id = $1 AND NOT main`, origin.Tenant)
	report := w.reconcile(t, stripesync.ReconcileInput{Fix: true})
	if len(report.Drift) != 1 || report.Drift[0].What != stripesync.SecondSubscription || report.Drift[0].ObjectID != beside {
		t.Errorf("found %v, want %s", report.Drift, beside)
	}
}

func TestTheRoutineHasTheQueueMendWhatIsBehind(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = hinted_at - interval '1 hour', applied_at = applied_at - interval '1 hour'`)
	if n, err := w.ReconcileRoutine(t.Context(), w.pool); n != 2 || err != nil {
		t.Errorf("found %d, %v", n, err)
	}
	if one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("the routine applied by itself")
	}
	w.work(t)
	if !one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("the queue did not mend it")
	}
}

func TestReconcileComparesAllThatIsSoldAndPaid(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	charge := one[string](t, w, `SELECT stripe_id FROM billing.payments WHERE tenant_id = $1`, origin.Tenant)
	for what, change := range map[string]string{
		"differs: items":                `UPDATE billing.subscription_items SET price_id = 'price_other'`,
		"differs: plan that is kept":    `UPDATE billing.subscriptions SET keeps_plan = 'enterprise'`,
		"differs: kept until":           `UPDATE billing.subscriptions SET keeps_until = now()`,
		"differs: billing cycle anchor": `UPDATE billing.subscriptions SET anchor_at = anchor_at - interval '1 day'`,
		"differs: refunded":             `UPDATE billing.payments SET refunded_minor = 1`,
		"differs: status":               `UPDATE billing.payments SET status = 'pending'`,
		stripesync.MissingHere:          `DELETE FROM billing.payments`,
	} {
		w.exec(t, change)
		if diff := cmp.Diff(map[string]int{what: 1}, whats(w.reconcile(t, stripesync.ReconcileInput{}))); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		if report := w.reconcile(t, stripesync.ReconcileInput{Fix: true}); len(report.Drift) != 0 || report.Fixed != 1 {
			t.Errorf("%s: left %v, fixed %d", what, report.Drift, report.Fixed)
		}
	}
	w.exec(t, `UPDATE billing.subscription_items SET quantity = 2`)
	w.exec(t, `UPDATE billing.payments SET stripe_id = 'ch_gone'`)
	report := w.reconcile(t, stripesync.ReconcileInput{Tenant: &origin.Tenant})
	if diff := cmp.Diff(map[string]int{"differs: items": 1, stripesync.MissingHere: 1, stripesync.GoneThere: 1}, whats(report)); diff != "" {
		t.Fatal(diff)
	}
	if first, last := report.Drift[0].ObjectID, report.Drift[1].ObjectID; first != sub.ID || last != charge && last != "ch_gone" {
		t.Errorf("the differences are %v, want those of the subscription first", report.Drift)
	}
}

func TestAPlanOfNobodysThatIsKeptIsNoDrift(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	kept := stripeapi.SubscriptionChange{Kept: &stripeapi.Kept{Plan: "no-such-plan", Until: time.Now().Add(time.Hour)}}
	must[billing.Subscription](t)(w.stripe.UpdateSubscription(t.Context(), w.next(), sub.ID, kept))
	w.accept(t, w.about(t, "customer.subscription.updated"))
	w.work(t)
	if report := w.reconcile(t, stripesync.ReconcileInput{}); len(report.Drift) != 0 {
		t.Errorf("found %v", report.Drift)
	}
}

func TestReconcileGoesThroughTheListsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.subscribed(t)
	var asked sync.WaitGroup
	lists := []string{"customers", "subscriptions", "invoices", "charges"}
	asked.Add(len(lists))
	all := make(chan struct{})
	go func() { asked.Wait(); close(all) }()
	for _, list := range lists {
		w.delay(list, func() {
			asked.Done()
			select {
			case <-all:
			case <-time.After(20 * time.Second):
				t.Errorf("the list of %s waits for the others", list)
			}
		})
	}
	w.reconcile(t, stripesync.ReconcileInput{})
}

func TestATenantWithoutACustomerHasNotAllCustomersListed(t *testing.T) {
	w := newWorld(t)
	w.subscribed(t)
	lone := w.tenant(t)
	email := one[string](t, w, `SELECT u.email FROM tenants.tenants t JOIN auth.users u ON u.id = t.owner_user_id WHERE t.id = $1`, lone.Tenant)
	in := stripeapi.CustomerInput{Origin: stripeapi.Origin{Tenant: lone.Tenant}, Email: email}
	made := must[billing.Customer](t)(w.stripe.CreateCustomer(t.Context(), w.next(), in))
	in.Origin.Tenant = w.tenant(t).Tenant // another of the same owner
	must[billing.Customer](t)(w.stripe.CreateCustomer(t.Context(), w.next(), in))
	report := w.reconcile(t, stripesync.ReconcileInput{Tenant: &lone.Tenant, Fix: true})
	if report.Customers != 1 || report.Subscriptions != 0 || len(report.Drift) != 0 {
		t.Errorf("%+v, want the one customer with the owner's address", report)
	}
	if got := one[string](t, w, `SELECT stripe_id FROM billing.customers WHERE tenant_id = $1`, lone.Tenant); got != made.ID {
		t.Errorf("the customer is %s, want %s", got, made.ID)
	}
}

func TestFixWaitsForWhoeverIsAtAnObject(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	w.exec(t, `UPDATE billing.stripe_objects SET lease = gen_random_uuid(), leased_until = clock_timestamp() + interval '400 ms' WHERE object_id = $1`, sub.ID)
	if report := w.reconcile(t, stripesync.ReconcileInput{Fix: true}); len(report.Drift) != 0 || report.Fixed != 2 {
		t.Errorf("left %v, fixed %d", report.Drift, report.Fixed)
	}
}

func TestFixFollowsWhatAnObjectNamesThoughItIsKnown(t *testing.T) {
	w := newWorld(t)
	origin, _ := w.subscribed(t)
	w.exec(t, `DELETE FROM billing.payment_methods`)
	w.exec(t, `UPDATE billing.customers SET email = 'old@example.com'`)
	w.reconcile(t, stripesync.ReconcileInput{Fix: true})
	if n := one[int](t, w, `SELECT count(*) FROM billing.payment_methods WHERE tenant_id = $1`, origin.Tenant); n != 1 {
		t.Errorf("%d payment methods stand here", n)
	}
}
