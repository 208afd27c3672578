package billing_test

import (
	"testing"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/tenant"
)

func TestAnEndedSubscriptionLeavesTheFreePlanForTheGrace(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	w.apply(t, s)
	s.Status, s.EndedAt = "canceled", start.Add(20*day)
	w.apply(t, start.Add(20*day), s)
	w.stands(t, billing.Canceled, "free", tenant.Active)
	w.apply(t, start.Add(20*day+grace))
	w.stands(t, billing.Suspended, "free", tenant.Suspended)
	if reason := *w.tenant(t).SuspendReason; reason != "the subscription ended on 2026-03-30" {
		t.Error(reason)
	}
	next := subscription("sub_2", "active")
	next.CreatedAt = start.Add(40 * day)
	w.apply(t, next)
	w.stands(t, billing.Active, "pro", tenant.Active)
}

// Two that ended: the grace is of the one that ended last.
func TestTheGraceOfAnEndedSubscriptionIsNotCutShortByAnEarlierOne(t *testing.T) {
	w := newWorld(t)
	former, last := subscription("sub_1", "canceled"), subscription("sub_2", "canceled")
	former.EndedAt, last.CreatedAt, last.EndedAt = start.Add(5*day), start.Add(6*day), start.Add(60*day)
	w.apply(t, start.Add(61*day), last, former)
	account := w.stands(t, billing.Canceled, "free", tenant.Active)
	if !account.Since.Equal(last.EndedAt) {
		t.Errorf("since %s", account.Since)
	}
}

func TestToCancelIsNoWayToANewGrace(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace))
	w.stands(t, billing.Suspended, "pro", tenant.Suspended)
	credit := invoice("in_2", "sub_1", "paid", start.Add(8*day))
	credit.TotalMinor, credit.PaidMinor = -4000, 0
	s.Status, s.EndedAt, s.LatestInvoice = "canceled", start.Add(8*day), "in_2"
	account := w.apply(t, start.Add(8*day), credit, s)
	w.stands(t, billing.Suspended, "free", tenant.Suspended)
	if !account.GraceUntil.Equal(start.Add(grace)) {
		t.Errorf("until %s", account.GraceUntil)
	}
}

func TestNobodyIsSuspendedForAnInvoiceThatIsNotHereYet(t *testing.T) {
	w := newWorld(t)
	late := start.Add(25 * day) // an invoice in the middle of the month fails
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, late, s)
	w.stands(t, billing.PastDue, "pro", tenant.Active)
	account := w.apply(t, invoice("in_1", "sub_1", "open", late))
	if w.stands(t, billing.PastDue, "pro", tenant.Active); !account.Since.Equal(late) {
		t.Errorf("since %s", account.Since)
	}
}

func TestWhatWasWrittenOffBeforeAPaymentIsNoLongerOwed(t *testing.T) {
	w := newWorld(t)
	later := start.Add(90 * day)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_3"
	account := w.apply(t, later, invoice("in_1", "sub_1", "uncollectible", start), invoice("in_2", "sub_1", "paid", start.Add(30*day)),
		invoice("in_3", "sub_1", "open", later), s)
	if w.stands(t, billing.PastDue, "pro", tenant.Active); !account.Since.Equal(later) {
		t.Errorf("since %s", account.Since)
	}
}

func TestAnUnpaidSubscriptionWithoutAnInvoiceIsCountedFromItsPeriod(t *testing.T) {
	w := newWorld(t)
	account := w.apply(t, start.Add(grace-time.Second), subscription("sub_1", "unpaid"))
	if w.stands(t, billing.PastDue, "pro", tenant.Active); !account.GraceUntil.Equal(start.Add(grace)) {
		t.Errorf("until %s", account.GraceUntil)
	}
	w.apply(t, start.Add(grace))
	w.stands(t, billing.Suspended, "pro", tenant.Suspended)
}

func TestADearerPlanHoldsWhileItIsPaidFor(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.Items[0].Price, s.KeepsPlan, s.KeepsUntil = "price_starter", "pro", s.CurrentPeriodEnd
	account := w.apply(t, s)
	if w.stands(t, billing.Active, "pro", tenant.Active); !account.DueAt.Equal(s.CurrentPeriodEnd) {
		t.Errorf("due %s", account.DueAt)
	}
	w.apply(t, s.CurrentPeriodEnd)
	w.stands(t, billing.Active, "starter", tenant.Active)
}

func TestAPlanOfNobodysMakingIsNotKept(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.KeepsPlan, s.KeepsUntil = "everything", s.CurrentPeriodEnd
	w.apply(t, s)
	w.stands(t, billing.Active, "pro", tenant.Active)
}

func TestEachStatusOfASubscriptionHasItsState(t *testing.T) {
	for status, want := range map[string]struct {
		state billing.State
		plan  string
	}{
		"incomplete": {billing.Pending, "enterprise"}, "incomplete_expired": {billing.None, "enterprise"}, "trialing": {billing.Trialing, "pro"},
		"active": {billing.Active, "pro"}, "past_due": {billing.PastDue, "pro"}, "unpaid": {billing.PastDue, "pro"},
		"paused": {billing.Paused, "free"}, "canceled": {billing.Canceled, "free"},
	} {
		t.Run(status, func(t *testing.T) {
			w := newWorld(t)
			s := subscription("sub_1", status)
			if status == "canceled" {
				s.EndedAt = start
			}
			w.apply(t, s)
			w.stands(t, want.state, want.plan, tenant.Active)
		})
	}
}

func TestASecondSubscriptionIsPutOnRecordAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	other := subscription("sub_2", "active")
	other.CreatedAt, other.Items[0].Price = start.Add(time.Hour), "price_starter"
	w.apply(t, other, subscription("sub_1", "active"), other)
	w.stands(t, billing.Active, "pro", tenant.Active)
	const secondSQL = `SELECT target FROM audit.log WHERE tenant_id = $1 AND action = 'billing_second_subscription'`
	if got := w.texts(t, secondSQL, w.team.ID); len(got) != 1 || got[0] != "subscription:sub_2" {
		t.Errorf("on record: %v", got)
	}
	main, err := billing.MainOf(t.Context(), w.tx, w.team.ID)
	if err != nil || main.StripeID != "sub_1" {
		t.Errorf("%s is the main one, %v", main.StripeID, err)
	}
}

// Stripe says canceled, too, of what was canceled before it began.
func TestAFirstPaymentThatWasGivenUpEndsNothing(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "incomplete")
	s.LatestInvoice = "in_1"
	in := invoice("in_1", "sub_1", "open", start)
	in.Reason = "subscription_create"
	w.apply(t, s)
	w.stands(t, billing.Pending, "enterprise", tenant.Active)
	s.Status, s.EndedAt = "canceled", start.Add(time.Hour)
	in.Status = "void"
	w.apply(t, s)
	w.stands(t, billing.Canceled, "enterprise", tenant.Active) // whether it ever began is not known yet
	w.apply(t, in, start.Add(30*day))
	w.stands(t, billing.None, "enterprise", tenant.Active)
	if _, err := billing.MainOf(t.Context(), w.tx, w.team.ID); !fault.Is(err, fault.NoSubscription) {
		t.Errorf("%v", err)
	}
	if got := w.effects(t); len(got) != 0 {
		t.Errorf("told: %v", got)
	}
}

// The months of a trial begin with its end, which is to come.
func TestTheMonthsOfUsageMayBeginLater(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "trialing")
	s.AnchorAt = time.Now().Add(40 * day).UTC().Truncate(time.Second)
	w.apply(t, s)
	const cycleSQL = `SELECT (c.anchor_at = $2 AND p.ends_at > now())::text FROM billing.billing_cycles c, billing.period(c.tenant_id, now()) p WHERE c.tenant_id = $1`
	if got := w.texts(t, cycleSQL, w.team.ID, s.AnchorAt); len(got) != 1 || got[0] != "true" {
		t.Error(got)
	}
}
