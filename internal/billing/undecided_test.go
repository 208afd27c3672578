package billing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/tenant"
)

// The invoice is paid here before the subscription is known to be active again.
func TestAPaymentLeadsBackWithoutAStateBetween(t *testing.T) {
	for name, late := range map[string]bool{"within the grace": false, "past it": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := subscription("sub_1", "past_due")
			s.LatestInvoice = "in_1"
			before := w.apply(t, s, invoice("in_1", "sub_1", "open", start))
			want := []string{"set_billing_cycle", "set_tenant_plan", "billing_past_due"}
			if late {
				before = w.apply(t, start.Add(grace))
				want = append(want, "suspend_tenant", "billing_suspended")
			}
			paid := invoice("in_1", "sub_1", "paid", start)
			paid.PaidAt = start.Add(grace)
			after := w.apply(t, paid)
			if diff := cmp.Diff(before, after, cmpopts.EquateComparable(id.Tenant{})); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want, w.audited(t)); diff != "" {
				t.Error(diff)
			}
			s.Status = "active"
			w.apply(t, s)
			w.stands(t, billing.Active, "pro", tenant.Active)
			if late {
				want = append(want, "activate_tenant")
			}
			if diff := cmp.Diff(append(want, "billing_active"), w.audited(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASuspensionIsSinceTheGraceRanOut(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	if account := w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace+day)); !account.Since.Equal(start.Add(grace)) {
		t.Errorf("suspended since %s", account.Since)
	}
}

func TestAPauseIsSinceTheTrialsEndAndALifeAfterItSinceItWasResumed(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "paused")
	s.TrialEnd = start.Add(14 * day)
	if account := w.apply(t, start.Add(20*day), s); !account.Since.Equal(s.TrialEnd) {
		t.Errorf("paused since %s", account.Since)
	}
	s.Status, s.AnchorAt = "active", start.Add(30*day) // its months begin when it is resumed
	if account := w.apply(t, start.Add(40*day), s); !account.Since.Equal(s.AnchorAt) {
		t.Errorf("active since %s", account.Since)
	}
}

func TestAReceiptIsOfMoney(t *testing.T) {
	w := newWorld(t)
	byCredit := invoice("in_1", "", "paid", start)
	byCredit.PaidMinor = 0
	w.apply(t, byCredit)
	if got := w.mails(t); len(got) != 0 {
		t.Errorf("mailed: %v", got)
	}
	partly := invoice("in_2", "", "paid", start)
	partly.PaidMinor = 6900
	w.apply(t, partly)
	if got := w.lastMail(t, queue.Invoice)[queue.Amount]; got != "6900" {
		t.Errorf("a receipt for %s", got)
	}
}
