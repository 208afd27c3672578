package billing

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
)

// letters are the effects that a standing has due, of which those are told that were not
// told before.
func (r Rules) letters(f facts, s standing, kind queue.MailKind, plan string) []effect {
	switch kind {
	case queue.PaymentFailed:
		return r.failures(f, s, plan)
	case queue.BillingSuspended:
		return []effect{suspension(f, s)}
	case queue.BillingRecovered:
		return []effect{recovery(f, plan)}
	case queue.SubscriptionEnded:
		if f.undecided() {
			return nil
		}
		return []effect{{
			key: "ended:" + f.main.StripeID, at: f.main.end(), kind: kind,
			values: map[string]string{queue.Plan: plan, queue.Deadline: told(*s.graceUntil)},
		}}
	case queue.TrialEnding:
		return trialEnding(f, plan)
	case queue.TrialEnded:
		return trialEnded(f, plan)
	}
	return nil
}

// failures are the payments that failed and, of the reminders whose time has come, the
// last.
func (r Rules) failures(f facts, s standing, plan string) []effect {
	var all []effect
	for _, o := range f.owed {
		all = append(all, effect{
			key: fmt.Sprintf("payment-failed:%s:%d", o.Invoice, o.Attempts), at: attemptedAt(f.clock, o.LastTriedAt, o.NextAttemptAt),
			kind: queue.PaymentFailed, values: o.values(s, plan),
		})
	}
	if s.reminders > 0 {
		first := f.owed[0]
		values := first.values(s, plan)
		values[queue.Reminder] = strconv.Itoa(s.reminders)
		all = append(all, effect{
			key: fmt.Sprintf("reminder:%s:%d", first.Invoice, s.reminders), at: s.since.Add(r.Reminders[s.reminders-1]),
			kind: queue.PaymentFailed, values: values,
		})
	}
	return all
}

func (o owed) values(s standing, plan string) map[string]string {
	return map[string]string{
		queue.Plan: plan, queue.Amount: strconv.FormatInt(max(o.Remaining, 0), 10), queue.Currency: o.Currency,
		queue.Link: value(o.HostedURL), queue.Deadline: told(*s.graceUntil),
	}
}

// attemptedAt is how old the news is that a payment failed: none at all while another try
// is planned, for until then it can be helped.
func attemptedAt(clock, tried time.Time, next *time.Time) time.Time {
	if next != nil && next.After(clock) {
		return clock
	}
	return tried
}

func suspension(f facts, s standing) effect {
	e := effect{at: *s.graceUntil, kind: queue.BillingSuspended, values: map[string]string{queue.Cause: queue.CauseEnded}}
	fact := strconv.FormatInt(f.main.end().Unix(), 10)
	if f.unpaid(s) {
		e.values[queue.Cause] = queue.CausePayment
		fact = value(f.main.LatestInvoice)
	}
	if len(f.owed) > 0 {
		e.values[queue.Link] = value(f.owed[0].HostedURL)
	}
	e.key = "suspended:" + f.main.StripeID + ":" + fact
	return e
}

// unpaid reports whether it is for want of payment that a grace runs or ran out.
func (f facts) unpaid(s standing) bool {
	return f.main.Status != StatusCanceled || !s.since.Equal(f.main.end())
}

// recovery is told of the invoice that was paid last, which need not be the latest.
func recovery(f facts, plan string) effect {
	at, invoice := f.clock, value(f.main.LatestInvoice)
	if f.latest.PaidAt != nil {
		at = *f.latest.PaidAt
		if f.latest.LastPaidAt != nil && f.latest.LastPaidAt.After(at) {
			at, invoice = *f.latest.LastPaidAt, *f.latest.LastPaid
		}
	}
	return effect{
		key: "recovered:" + f.main.StripeID + ":" + invoice, at: at, kind: queue.BillingRecovered,
		values: map[string]string{queue.Plan: plan},
	}
}

// trialEnding is told to those whom the trial's end costs something.
func trialEnding(f facts, plan string) []effect {
	m := f.main
	if m.TrialEnd == nil || m.CancelAtPeriodEnd || m.CancelAt != nil || f.clock.Before(m.TrialEnd.Add(-trialNotice)) {
		return nil
	}
	at := m.TrialEnd.Add(-trialNotice)
	if m.CreatedAt.After(at) {
		at = m.CreatedAt
	}
	return []effect{{
		key: fmt.Sprintf("trial-ends:%s:%d", m.StripeID, m.TrialEnd.Unix()), at: at, kind: queue.TrialEnding,
		values: map[string]string{
			queue.Plan: plan, queue.Amount: strconv.FormatInt(m.AmountMinor, 10), queue.Currency: m.Currency, queue.Deadline: told(*m.TrialEnd),
		},
	}}
}

const hasMethodSQL = `
SELECT EXISTS (SELECT FROM billing.customers WHERE tenant_id = @tenant_id AND default_payment_method IS NOT NULL)
	OR EXISTS (SELECT FROM billing.payment_methods WHERE tenant_id = @tenant_id)`

// askForCard has the letter that a trial ends ask those for a card who have no way to pay.
// A method that is not the customer's own may be the subscription's, of a checkout.
func (s *settlement) askForCard(ctx context.Context, due []effect) error {
	for _, e := range due {
		if e.kind != queue.TrialEnding {
			continue
		}
		has, err := pg.Scalar[bool](ctx, s.tx, hasMethodSQL, pgx.NamedArgs{"tenant_id": s.actor.Tenant})
		if err != nil {
			return fmt.Errorf("find whether %s has a way to pay: %w", s.actor.Tenant, err)
		}
		if !has {
			e.values[queue.NeedsCard] = "true"
		}
	}
	return nil
}

// trialEnded is told where a trial ended without a card.
func trialEnded(f facts, plan string) []effect {
	m := f.main
	if m.TrialEnd == nil {
		return nil
	}
	return []effect{{
		key: fmt.Sprintf("trial-ended:%s:%d", m.StripeID, m.TrialEnd.Unix()), at: *m.TrialEnd, kind: queue.TrialEnded,
		values: map[string]string{queue.Plan: plan, queue.Deadline: told(*m.TrialEnd)},
	}}
}

// confirmPayment is told where a bank wants the customer to confirm.
func confirmPayment(in Invoice, at time.Time) effect {
	return effect{
		key: "action:" + in.ID, at: at, kind: queue.PaymentAction,
		values: map[string]string{
			queue.Amount: strconv.FormatInt(max(in.RemainingMinor, 0), 10), queue.Currency: in.Currency, queue.Link: in.HostedURL,
		},
	}
}

// receipt is told of an invoice that was paid, and not by credit alone.
func (in InvoiceRow) receipt() effect {
	number := value(in.Number)
	if number == "" {
		number = in.StripeID
	}
	return effect{
		key: "invoice:" + in.StripeID, at: *in.PaidAt, kind: queue.Invoice,
		values: map[string]string{
			queue.Number: number, queue.Amount: strconv.FormatInt(in.PaidMinor, 10), queue.Currency: in.Currency,
			queue.PaidAt: told(*in.PaidAt), queue.Link: value(in.HostedURL),
		},
	}
}

func told(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
