package billing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
)

// offer applies a customer to a tenant, in a savepoint.
func (w world) offer(t *testing.T, to id.Tenant, c billing.Customer) error {
	t.Helper()
	return pg.InTx(t.Context(), w.tx, func(tx pgx.Tx) error { return w.ApplyCustomer(t.Context(), tx, to, c) })
}

func TestACustomerStaysWithItsTenant(t *testing.T) {
	w := newWorld(t)
	other := pgtest.NewTeam(t, w.tx)
	for name, err := range map[string]error{
		"another customer": w.offer(t, w.team.ID, billing.Customer{ID: "cus_2", CreatedAt: start}),
		"another tenant":   w.offer(t, other.ID, billing.Customer{ID: "cus_1", CreatedAt: start}),
	} {
		if !fault.Is(err, fault.WrongStatus) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for customer, want := range map[string]id.Tenant{"cus_1": w.team.ID, "cus_2": {}} {
		if got, err := billing.TenantOf(t.Context(), w.tx, customer); got != want || err != nil {
			t.Errorf("%s is of %s, %v", customer, got, err)
		}
	}
	if _, err := billing.CustomerOf(t.Context(), w.tx, other.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := billing.MainOf(t.Context(), w.tx, other.ID); !fault.Is(err, fault.NoSubscription) {
		t.Errorf("%v", err)
	}
}

// What is still heard of a customer in whose place another stands is the tenant's.
func TestAFormerCustomerStaysItsTenants(t *testing.T) {
	w := newWorld(t)
	w.apply(t, subscription("sub_1", "active"), billing.Customer{ID: "cus_1", Deleted: true})
	w.customer(t, "cus_2")
	w.apply(t, billing.Customer{ID: "cus_2", Deleted: true})
	w.customer(t, "cus_3")
	for _, customer := range []string{"cus_1", "cus_2", "cus_3"} {
		if got, err := billing.TenantOf(t.Context(), w.tx, customer); got != w.team.ID || err != nil {
			t.Errorf("%s is of %s, %v", customer, got, err)
		}
	}
	other := pgtest.NewTeam(t, w.tx)
	if err := w.offer(t, other.ID, billing.Customer{ID: "cus_1", CreatedAt: start}); !fault.Is(err, fault.WrongStatus) {
		t.Errorf("%v", err)
	}
	w.apply(t, billing.Customer{ID: "cus_1", Email: "late@example.com", CreatedAt: start}, billing.Customer{ID: "cus_1", Deleted: true})
	if row, err := billing.CustomerOf(t.Context(), w.tx, w.team.ID); err != nil || row.StripeID != "cus_3" || row.DeletedAt != nil {
		t.Errorf("%+v, %v", row, err)
	}
	w.apply(t, billing.Customer{ID: "cus_3", Deleted: true}, billing.Customer{ID: "cus_2", CreatedAt: start})
	if row, err := billing.CustomerOf(t.Context(), w.tx, w.team.ID); err != nil || row.StripeID != "cus_3" || row.DeletedAt == nil {
		t.Errorf("%+v, %v", row, err)
	}
}

func TestADeletedCustomerMakesRoomForAnother(t *testing.T) {
	w := newWorld(t)
	former := subscription("sub_1", "active")
	w.apply(t, former, billing.PaymentMethod{ID: "pm_1", Customer: "cus_1", Kind: "card", CreatedAt: start})
	late := billing.PaymentMethod{ID: "pm_2", Customer: "cus_1", Kind: "card", CreatedAt: start} // fetched before, applied after
	w.apply(t, billing.Customer{ID: "cus_1", Deleted: true}, billing.Customer{ID: "cus_1", CreatedAt: start}, late)
	row, err := billing.CustomerOf(t.Context(), w.tx, w.team.ID)
	if err != nil || row.DeletedAt == nil || row.Email != nil {
		t.Fatalf("%+v, %v", row, err)
	}
	if left := w.texts(t, `SELECT stripe_id FROM billing.payment_methods WHERE tenant_id = $1`, w.team.ID); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	w.customer(t, "cus_2")
	if row, err = billing.CustomerOf(t.Context(), w.tx, w.team.ID); err != nil || row.StripeID != "cus_2" || row.DeletedAt != nil {
		t.Fatalf("%+v, %v", row, err)
	}
	w.stands(t, billing.Canceled, "free", tenant.Active) // that the former's subscription ended is not heard any more
	next := subscription("sub_2", "active")
	w.apply(t, next)
	w.stands(t, billing.Active, "pro", tenant.Active)
}

func TestAClockNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	w.apply(t, start.Add(2*day), start.Add(day))
	w.customer(t, "cus_1")
	row, err := billing.CustomerOf(t.Context(), w.tx, w.team.ID)
	if err != nil || !row.ClockAt.Equal(start.Add(2*day)) {
		t.Errorf("it is %s, %v", row.ClockAt, err)
	}
	tenants, err := w.ApplyClock(t.Context(), w.tx, "clock_1", start.Add(3*day))
	if diff := cmp.Diff(1, len(tenants)); diff != "" || err != nil || tenants[0] != w.team.ID {
		t.Errorf("%v, %v", tenants, err)
	}
}

func TestTheItemsOfASubscriptionAreThoseOfItsLastFact(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.Items = append(s.Items, billing.Item{ID: "si_2", Price: "price_storage", AmountMinor: 500, Quantity: 1})
	w.apply(t, s)
	s.Items[0].Quantity, s.Items[1] = 4, billing.Item{ID: "si_3", Price: "price_storage", AmountMinor: 500, Quantity: 2}
	w.apply(t, s)
	items, err := billing.AllItems(t.Context(), w.tx, &w.team.ID)
	if err != nil || len(items) != 2 {
		t.Fatalf("%+v, %v", items, err)
	}
	if items[0].StripeID != "si_3" || *items[0].Addon != "extra-storage" || items[1].Addon != nil || items[1].Quantity != 4 {
		t.Errorf("%+v", items)
	}
	main, err := billing.MainOf(t.Context(), w.tx, w.team.ID)
	if err != nil || main.Quantity != 4 || main.AmountMinor != 4*9900+1000 {
		t.Errorf("%+v, %v", main, err)
	}
}

func TestWhatStripeSaidCanBeReadBack(t *testing.T) {
	w := newWorld(t)
	in := invoice("in_1", "sub_1", "open", start)
	in.PDFURL, in.Reason, in.TaxMinor, in.NextAttemptAt = "https://pay.example.com/in_1.pdf", "subscription_cycle", 100, start.Add(day)
	w.apply(t, subscription("sub_1", "active"), in, billing.Charge{
		ID: "ch_1", Invoice: "in_1", Status: "failed", AmountMinor: 9900, Currency: "usd", Brand: "visa", Last4: "0341",
		FailureCode: "card_declined", FailureMessage: "no", CreatedAt: start,
	})
	for _, of := range []*id.Tenant{nil, &w.team.ID} {
		customers, err := billing.Customers(t.Context(), w.tx, of)
		subscriptions, err1 := billing.Subscriptions(t.Context(), w.tx, of)
		invoices, err2 := billing.Invoices(t.Context(), w.tx, of, start)
		if err != nil || err1 != nil || err2 != nil {
			t.Fatal(err, err1, err2)
		}
		if len(customers) != 1 || len(subscriptions) != 1 || len(invoices) != 1 {
			t.Fatalf("%+v %+v %+v", customers, subscriptions, invoices)
		}
		row := invoices[0]
		if *row.PDFURL != in.PDFURL || *row.Reason != in.Reason || row.TaxMinor != 100 || !row.NextAttemptAt.Equal(in.NextAttemptAt) || row.PaidAt != nil {
			t.Errorf("%+v", row)
		}
	}
	const failedSQL = `SELECT failure_code FROM billing.payments WHERE tenant_id = $1`
	if got := w.texts(t, failedSQL, w.team.ID); len(got) != 1 || got[0] != "card_declined" {
		t.Errorf("payments: %v", got)
	}
	if later, err := billing.Invoices(t.Context(), w.tx, nil, start.Add(time.Second)); len(later) != 0 || err != nil {
		t.Errorf("%+v, %v", later, err)
	}
	nobody := id.New[id.Tenant]()
	if none, err := billing.Subscriptions(t.Context(), w.tx, &nobody); len(none) != 0 || err != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestAForgottenPaymentMethodIsGone(t *testing.T) {
	w := newWorld(t)
	w.apply(t, billing.PaymentMethod{ID: "pm_1", Customer: "cus_1", Kind: "card", CreatedAt: start}, billing.PaymentMethod{ID: "pm_2", Customer: "cus_1", Kind: "card", CreatedAt: start})
	if err := w.ForgetPaymentMethod(t.Context(), w.tx, "pm_1"); err != nil {
		t.Fatal(err)
	}
	left := w.texts(t, `SELECT stripe_id FROM billing.payment_methods WHERE tenant_id = $1`, w.team.ID)
	if diff := cmp.Diff([]string{"pm_2"}, left); diff != "" {
		t.Error(diff)
	}
}

func TestPlansAndAddonsAreReadByTheirCode(t *testing.T) {
	w := bareWorld(t)
	plan, err := billing.Plan(t.Context(), w.tx, "pro")
	if diff := cmp.Diff(billing.PlanRow{Code: "pro", Name: "Pro", PriceMinor: 9900, Currency: "usd", Position: 3}, plan); diff != "" || err != nil {
		t.Error(diff, err)
	}
	addon, err := billing.Addon(t.Context(), w.tx, "extra-storage")
	if diff := cmp.Diff(billing.AddonRow{Code: "extra-storage", Name: "Extra storage", PriceMinor: 500, Currency: "usd"}, addon); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, noPlan := billing.Plan(t.Context(), w.tx, "gold")
	_, noAddon := billing.Addon(t.Context(), w.tx, "gold")
	if !fault.Is(noPlan, fault.NotFound) || !fault.Is(noAddon, fault.NotFound) {
		t.Errorf("%v, %v", noPlan, noAddon)
	}
}

func TestTheCycleIsThatOfASubscriptionThatEndedBeforeAnybodyLooked(t *testing.T) {
	w := newWorld(t)
	w.customer(t, "cus_1")
	s := subscription("sub_1", "canceled")
	s.EndedAt, s.LatestInvoice = start.Add(day), "in_1"
	const cycle = `SELECT anchor_at::text FROM billing.billing_cycles WHERE tenant_id = $1`
	if w.apply(t, s); len(w.texts(t, cycle, w.team.ID)) != 0 {
		t.Error("it has a cycle before it is known whether it ever began")
	}
	if w.apply(t, invoice("in_1", "sub_1", "paid", start)); len(w.texts(t, cycle, w.team.ID)) != 1 {
		t.Error("it has no cycle")
	}
}

func TestNothingIsKeptOfADeletedCustomerThatDependsOnWhenItWasLookedAt(t *testing.T) {
	w := newWorld(t)
	c := billing.Customer{ID: "cus_1", Email: "ada@example.com", Currency: "usd", BalanceMinor: -5, Delinquent: true, DefaultPaymentMethod: "pm_1", CreatedAt: start}
	w.apply(t, c, billing.Customer{ID: "cus_1", Deleted: true})
	const left = `SELECT num_nonnulls(email, currency, default_payment_method)::text || balance_minor || delinquent FROM billing.customers WHERE tenant_id = $1`
	if got := w.texts(t, left, w.team.ID); len(got) != 1 || got[0] != "00false" {
		t.Errorf("left: %v", got)
	}
}
