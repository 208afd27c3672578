package stripesync_test

import (
	"testing"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

func TestADraftThatStripeDeletedIsForgotten(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	const heldSQL = `SELECT count(*) FROM billing.invoices WHERE tenant_id = $1 AND stripe_id = $2`
	draft := func() string {
		made := must[billing.Invoice](t)(w.stripe.CreateInvoice(t.Context(), w.next(), stripeapi.InvoiceInput{Customer: sub.Customer, Currency: "usd"}))
		w.accept(t, w.about(t, "invoice.created"))
		w.work(t)
		if n := one[int](t, w, heldSQL, origin.Tenant, made.ID); n != 1 {
			t.Fatalf("%d rows of the draft", n)
		}
		w.call(t, "DELETE", "invoices/"+made.ID)
		return made.ID
	}
	told := draft()
	w.accept(t, w.about(t, "invoice.deleted"))
	w.work(t)
	w.wantState(t, told, "applied")
	untold := draft()
	if report := w.reconcile(t, stripesync.ReconcileInput{Fix: true}); len(report.Drift) != 0 || report.Fixed != 1 {
		t.Errorf("%+v", report)
	}
	for _, gone := range []string{told, untold} {
		if n := one[int](t, w, heldSQL, origin.Tenant, gone); n != 0 {
			t.Errorf("%s stands here still", gone)
		}
	}
	final := draft()
	w.exec(t, `UPDATE billing.invoices SET status = 'open' WHERE stripe_id = $1`, final)
	w.accept(t, w.about(t, "invoice.deleted"))
	w.work(t)
	w.wantState(t, final, "parked: Stripe has no such invoice")
}

func TestWhatIsOfAFormerCustomerIsFollowed(t *testing.T) {
	w := newWorld(t)
	origin, sub := w.subscribed(t)
	w.call(t, "DELETE", "customers/"+sub.Customer)
	w.accept(t, w.events(t)...)
	w.work(t)
	next := w.customer(t, origin)
	if err := w.Now(t.Context(), stripesync.Customer, next, ""); err != nil {
		t.Fatal(err)
	}
	w.exec(t, `UPDATE billing.invoices SET status = 'open', paid_minor = 0 WHERE stripe_id = $1`, sub.LatestInvoice)
	for kind, object := range map[string]string{stripesync.Invoice: sub.LatestInvoice, stripesync.Customer: sub.Customer} {
		if err := w.Now(t.Context(), kind, object, sub.Customer); err != nil {
			t.Fatal(err)
		}
		w.wantState(t, object, "applied")
	}
	if got := one[string](t, w, `SELECT status FROM billing.invoices WHERE tenant_id = $1 AND stripe_id = $2`, origin.Tenant, sub.LatestInvoice); got != "paid" {
		t.Errorf("the former customer's invoice is %s", got)
	}
	if got := one[string](t, w, `SELECT stripe_id FROM billing.customers WHERE tenant_id = $1`, origin.Tenant); got != next {
		t.Errorf("the customer is %s, want %s", got, next)
	}
}
