package billing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/tenant"
)

// lastMail is the values of the newest mail, which is of this kind, without the tenant's
// name, which all have.
func (w world) lastMail(t *testing.T, kind queue.MailKind) map[string]string {
	t.Helper()
	all := w.mails(t)
	if len(all) == 0 || all[len(all)-1].Kind != kind {
		t.Fatalf("mailed: %v, want %s last", kinds(all), kind)
	}
	mail := all[len(all)-1]
	var owner string
	if err := w.tx.QueryRow(t.Context(), `SELECT email FROM auth.users WHERE id = $1`, w.team.Owner).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if mail.To != owner || mail.Tenant != w.team.ID || mail.Values[queue.TenantName] != w.team.Name {
		t.Errorf("%+v", mail)
	}
	delete(mail.Values, queue.TenantName)
	return mail.Values
}

func TestAFailedPaymentIsToldAtEachTryAndAtEachReminder(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	in := invoice("in_1", "sub_1", "open", start)
	in.RemainingMinor, in.NextAttemptAt = 4200, start.Add(3*day)
	w.apply(t, s, in)
	want := map[string]string{
		queue.Plan: "Pro", queue.Amount: "4200", queue.Currency: "usd", queue.Link: "https://pay.example.com/in_1", queue.Deadline: "2026-03-17T12:00:00Z",
	}
	if diff := cmp.Diff(want, w.lastMail(t, queue.PaymentFailed)); diff != "" {
		t.Error(diff)
	}
	w.apply(t, start.Add(3*day-time.Second))
	want[queue.Reminder] = "1"
	if diff := cmp.Diff(want, w.lastMail(t, queue.PaymentFailed)); diff != "" {
		t.Error(diff)
	}
	in.Attempts, in.NextAttemptAt = 2, start.Add(8*day)
	w.apply(t, in, in)
	delete(want, queue.Reminder)
	if diff := cmp.Diff(want, w.lastMail(t, queue.PaymentFailed)); diff != "" {
		t.Error(diff)
	}
	w.apply(t, start.Add(6*day)) // two reminders have passed
	want[queue.Reminder] = "3"
	if diff := cmp.Diff(want, w.lastMail(t, queue.PaymentFailed)); diff != "" {
		t.Error(diff)
	}
	if got := len(w.mails(t)); got != 4 {
		t.Errorf("%d mails", got)
	}
}

func TestTheEndOfATrialIsToldOnceThreeDaysBefore(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "trialing")
	s.TrialEnd = start.Add(14 * day)
	account := w.apply(t, card, s, start.Add(11*day-time.Second))
	if len(w.mails(t)) != 0 || !account.DueAt.Equal(start.Add(11*day)) {
		t.Errorf("%d mails, due %s", len(w.mails(t)), account.DueAt)
	}
	w.apply(t, start.Add(11*day), s, start.Add(12*day))
	want := map[string]string{queue.Plan: "Pro", queue.Amount: "9900", queue.Currency: "usd", queue.Deadline: "2026-03-24T12:00:00Z"}
	if diff := cmp.Diff(want, w.lastMail(t, queue.TrialEnding)); diff != "" || len(w.mails(t)) != 1 {
		t.Error(len(w.mails(t)), diff)
	}
}

// card is a payment method of the customer, who has not made it the default.
var card = billing.PaymentMethod{ID: "pm_1", Customer: "cus_1", Kind: "card", Brand: "visa", Last4: "4242", CreatedAt: start}

func TestWhoHasNoWayToPayIsToldThatATrialsEndNeedsACard(t *testing.T) {
	for name, c := range map[string]struct {
		before []any
		card   bool
	}{
		"nothing": {nil, false}, "a card": {[]any{card}, true},
		"a default": {[]any{billing.Customer{ID: "cus_1", DefaultPaymentMethod: "pm_2", ClockID: "clock_1", ClockAt: start, CreatedAt: start}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(t, c.before...)
			s := subscription("sub_1", "trialing")
			s.TrialEnd = start.Add(14 * day)
			w.apply(t, s, start.Add(11*day))
			want := map[string]string{queue.Plan: "Pro", queue.Amount: "9900", queue.Currency: "usd", queue.Deadline: "2026-03-24T12:00:00Z"}
			if !c.card {
				want[queue.NeedsCard] = "true"
			}
			if diff := cmp.Diff(want, w.lastMail(t, queue.TrialEnding)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATrialThatEndedWithoutACardIsToldOnce(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "paused")
	s.TrialEnd = start.Add(14 * day)
	w.apply(t, s.TrialEnd, s, s, s.TrialEnd.Add(day))
	want := map[string]string{queue.Plan: "Pro", queue.Deadline: "2026-03-24T12:00:00Z"}
	if diff := cmp.Diff(want, w.lastMail(t, queue.TrialEnded)); diff != "" || len(w.mails(t)) != 1 {
		t.Error(len(w.mails(t)), diff)
	}
	if diff := cmp.Diff([]string{"trial-ended:sub_1:1774353600"}, w.effects(t)); diff != "" {
		t.Error(diff)
	}
	w.stands(t, billing.Paused, "free", tenant.Active)
	s.TrialEnd = start.Add(20 * day) // another trial, which ends so too
	w.apply(t, s.TrialEnd, s)
	want[queue.Deadline] = "2026-03-30T12:00:00Z"
	if diff := cmp.Diff(want, w.lastMail(t, queue.TrialEnded)); diff != "" || len(w.mails(t)) != 2 {
		t.Error(len(w.mails(t)), diff)
	}
}

func TestATrialsEndIsToldFromEveryState(t *testing.T) {
	for _, from := range billing.States {
		if move, _ := billing.TransitionOf(from, billing.OnPause); move.Letter != queue.TrialEnded {
			t.Errorf("from %s the letter is %q", from, move.Letter)
		}
	}
}

func TestTheEndOfATrialThatCostsNothingIsNotTold(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "trialing")
	s.TrialEnd, s.CancelAtPeriodEnd = start.Add(14*day), true
	w.apply(t, s, start.Add(12*day))
	if got := w.mails(t); len(got) != 0 {
		t.Errorf("mailed: %v", got)
	}
	s.CancelAtPeriodEnd = false
	w.apply(t, s)
	w.lastMail(t, queue.TrialEnding)
}

func TestAReceiptIsMailedOnceOfWhatCostSomething(t *testing.T) {
	w := newWorld(t)
	in := invoice("in_1", "", "paid", start) // an invoice without a subscription, too
	in.PaidMinor = 6900
	nothing := invoice("in_2", "sub_1", "paid", start)
	nothing.TotalMinor, nothing.PaidMinor = 0, 0
	w.apply(t, in, nothing, in)
	want := map[string]string{
		queue.Number: "NS-in_1", queue.Amount: "6900", queue.Currency: "usd", queue.PaidAt: "2026-03-10T12:00:00Z", queue.Link: "https://pay.example.com/in_1",
	}
	if diff := cmp.Diff(want, w.lastMail(t, queue.Invoice)); diff != "" || len(w.mails(t)) != 1 {
		t.Error(len(w.mails(t)), diff)
	}
}

func TestAConfirmationIsAskedForOnce(t *testing.T) {
	w := newWorld(t)
	in := invoice("in_1", "sub_1", "open", start)
	in.ActionRequired = true
	w.apply(t, in, in)
	want := map[string]string{queue.Amount: "9900", queue.Currency: "usd", queue.Link: "https://pay.example.com/in_1"}
	if diff := cmp.Diff(want, w.lastMail(t, queue.PaymentAction)); diff != "" || len(w.mails(t)) != 1 {
		t.Error(len(w.mails(t)), diff)
	}
}

func TestAnEndIsToldWithTheDayOfTheSuspension(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "canceled")
	s.EndedAt = start
	w.apply(t, s, s)
	want := map[string]string{queue.Plan: "Pro", queue.Deadline: "2026-03-17T12:00:00Z"}
	if diff := cmp.Diff(want, w.lastMail(t, queue.SubscriptionEnded)); diff != "" {
		t.Error(diff)
	}
	w.apply(t, start.Add(grace))
	if diff := cmp.Diff(map[string]string{queue.Cause: queue.CauseEnded}, w.lastMail(t, queue.BillingSuspended)); diff != "" {
		t.Error(diff)
	}
	if got := len(w.mails(t)); got != 2 {
		t.Errorf("%d mails", got)
	}
}

func TestASuspensionForWantOfPaymentTellsWhereToPay(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace))
	want := map[string]string{queue.Cause: queue.CausePayment, queue.Link: "https://pay.example.com/in_1"}
	if diff := cmp.Diff(want, w.lastMail(t, queue.BillingSuspended)); diff != "" {
		t.Error(diff)
	}
	mails := len(w.mails(t))
	next := invoice("in_2", "sub_1", "open", start.AddDate(0, 1, 0)) // Stripe goes on invoicing
	s.LatestInvoice = "in_2"
	w.apply(t, start.AddDate(0, 1, 0), next, s)
	if got := len(w.mails(t)); got != mails {
		t.Errorf("%d mails more", got-mails)
	}
}

func TestOldNewsIsNotedAndNotMailed(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "canceled")
	s.EndedAt = start
	w.apply(t, start.Add(3*day+time.Second), s, invoice("in_1", "sub_1", "paid", start))
	if got := w.mails(t); len(got) != 0 {
		t.Errorf("mailed: %v", got)
	}
	if diff := cmp.Diff([]string{"ended:sub_1", "invoice:in_1"}, w.effects(t)); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutAMailServerEffectsAreNotedAllTheSame(t *testing.T) {
	w := newWorld(t)
	w.Book = billing.New(rules, nil)
	w.apply(t, invoice("in_1", "", "paid", start))
	if diff := cmp.Diff([]string{"invoice:in_1"}, w.effects(t)); diff != "" || len(w.mails(t)) != 0 {
		t.Error(diff)
	}
}
