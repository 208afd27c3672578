package billing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/tenant"
)

// Stripe goes by the latest invoice alone: what is bought or changed while a payment is
// owed makes the subscription active there.
func TestWhatIsPaidLaterMakesNothingGoodThatIsStillOpen(t *testing.T) {
	for name, total := range map[string]int64{"a plan that costs the same": 0, "an add-on for 9 dollars": 900, "credit": -4000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := subscription("sub_1", "past_due")
			s.LatestInvoice = "in_1"
			w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(2*day))
			later := invoice("in_2", "sub_1", "paid", start.Add(2*day))
			later.TotalMinor, later.PaidMinor = total, max(total, 0)
			s.Status, s.LatestInvoice = "active", "in_2"
			account := w.apply(t, later, s)
			if w.stands(t, billing.PastDue, "pro", tenant.Active); !account.Since.Equal(start) || !account.GraceUntil.Equal(start.Add(grace)) {
				t.Errorf("%+v", account)
			}
			w.apply(t, start.Add(grace))
			w.stands(t, billing.Suspended, "pro", tenant.Suspended)
			if reason := *w.tenant(t).SuspendReason; reason != "payment failed on 2026-03-10 and is still owed" {
				t.Error(reason)
			}
		})
	}
}

func TestASuspensionForDebtIsNotLiftedByALaterPurchase(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace))
	s.Status, s.LatestInvoice = "active", "in_2"
	w.apply(t, invoice("in_2", "sub_1", "paid", start.Add(grace)), s)
	w.stands(t, billing.Suspended, "pro", tenant.Suspended)
	paid := invoice("in_1", "sub_1", "paid", start)
	paid.PaidAt = start.Add(grace + 10*day) // what was bought last is no news by then
	w.apply(t, start.Add(grace+10*day), paid)
	w.stands(t, billing.Active, "pro", tenant.Active)
	want := []queue.MailKind{queue.PaymentFailed, queue.BillingSuspended, queue.Invoice, queue.BillingRecovered, queue.Invoice}
	if diff := cmp.Diff(want, kinds(w.mails(t))); diff != "" {
		t.Error(diff)
	}
}

func TestToCancelAfterALaterPurchaseIsNoWayToANewGrace(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "canceled")
	s.LatestInvoice, s.EndedAt = "in_2", start.Add(6*day)
	account := w.apply(t, start.Add(6*day), invoice("in_1", "sub_1", "open", start), invoice("in_2", "sub_1", "paid", start.Add(2*day)), s)
	if w.stands(t, billing.Canceled, "free", tenant.Active); !account.Since.Equal(start) {
		t.Errorf("since %s", account.Since)
	}
	w.apply(t, start.Add(grace))
	w.stands(t, billing.Suspended, "free", tenant.Suspended)
}

// The operator gave it up: what was written off is not asked for any more.
func TestWhatWasWrittenOffIsNotOwedByASubscriptionThatGoesOn(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.LatestInvoice = "in_1"
	w.apply(t, start.Add(20*day), invoice("in_1", "sub_1", "uncollectible", start), s)
	w.stands(t, billing.Active, "pro", tenant.Active)
}

// Nothing was tried yet: the invoice is on its way.
func TestAnOpenInvoiceThatWasNotTriedIsNotOwed(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.LatestInvoice = "in_1"
	in := invoice("in_1", "sub_1", "open", start)
	in.Attempts = 0
	w.apply(t, start.Add(time.Minute), in, s)
	w.stands(t, billing.Active, "pro", tenant.Active)
}
