package purchase_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
)

// unpaid is a team whose first payment is declined.
func (w *world) unpaid(t *testing.T) pgtest.Team {
	t.Helper()
	team := w.team(t)
	w.must(t, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_chargeCustomerFail"})
	return team
}

// payOnPage pays the first invoice as the customer does on its page.
func (w *world) payOnPage(t *testing.T, team pgtest.Team) {
	t.Helper()
	client := w.client(t)
	method, err := client.AttachPaymentMethod(t.Context(), "attach-"+team.Slug, "pm_card_visa", w.customer(t, team))
	if err == nil {
		_, err = client.PayInvoice(t.Context(), "pay-"+team.Slug, w.main(t, team).LatestInvoice, method.ID)
	}
	if err != nil {
		t.Error(err)
	}
}

// paysBefore has the customer pay before the nth call of the method.
func (w *world) paysBefore(t *testing.T, team pgtest.Team, method string) *trouble {
	var once sync.Once
	return &trouble{before: func(r *http.Request) {
		if r.Method == method {
			once.Do(func() { w.payOnPage(t, team) })
		}
	}}
}

func TestAFirstPaymentThatComesBeforeACancellationIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.unpaid(t)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, purchase.Cancel{AtPeriodEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	away := w.desk(t, &trouble{lose: http.MethodDelete})
	if err := away.Finish(t.Context(), team.ID, op); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	w.payOnPage(t, team)
	w.finish(t, d, team.ID, op)
	if s := w.main(t, team); s.Status != "active" || !s.CancelAtPeriodEnd || w.state(t, op) != "done" {
		t.Errorf("%s: %+v", w.state(t, op), s)
	}
	w.pays(t, team, 9900)
	w.refunded(t, team, 0)
}

// refunded demands what was paid back to the team.
func (w *world) refunded(t *testing.T, team pgtest.Team, want int64) {
	t.Helper()
	customer := w.customer(t, team)
	var got int64
	for _, c := range w.stripe.Charges() {
		if c.Customer == customer {
			got += c.Refunded
		}
	}
	audited := scan[int64](t, w, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'billing_refund'`, team.ID)
	if got != want || (audited == 1) != (want > 0) {
		t.Errorf("%d was paid back, want %d; %d rows in the audit log", got, want, audited)
	}
}

func TestAFirstPaymentInTheMomentOfTheEndIsPaidBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team, other := w.unpaid(t), w.unpaid(t)
	d := w.desk(t, w.paysBefore(t, team, http.MethodDelete))
	op, err := w.begin(t, d, team, purchase.Cancel{AtPeriodEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	w.finish(t, d, team.ID, op)
	w.refunded(t, team, 9900)
	d = w.desk(t, w.paysBefore(t, other, http.MethodDelete))
	if op, err = w.begin(t, d, other, buyPro); err != nil {
		t.Fatal(err)
	}
	w.finish(t, d, other.ID, op)
	w.refunded(t, other, 9900)
	w.pays(t, other, 9900, 9900)
	if w.main(t, other).Status != "active" {
		t.Errorf("%+v", w.main(t, other))
	}
}

func TestAFirstPaymentThatComesBeforeASecondSubscriptionIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.unpaid(t)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	away := w.desk(t, &trouble{lose: http.MethodDelete})
	if err := away.Finish(t.Context(), team.ID, op); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	w.payOnPage(t, team)
	w.finish(t, d, team.ID, op)
	if w.state(t, op) != "failed already-subscribed" || w.plan(t, team) != "pro" {
		t.Errorf("%s, the plan is %s", w.state(t, op), w.plan(t, team))
	}
	w.pays(t, team, 9900)
	w.refunded(t, team, 0)
}
