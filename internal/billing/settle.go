package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
)

// Book keeps the accounts of tenants by what Stripe says, and has what follows from it
// done: plan, service, add-ons, billing cycle, letters.
type Book struct {
	rules Rules
	post  *queue.Outbox
}

// New makes a book. A nil post mails nothing.
func New(rules Rules, post *queue.Outbox) *Book { return &Book{rules: rules, post: post} }

// settlement is one account being settled.
type settlement struct {
	tx      pgx.Tx
	actor   session.Session
	account Account // as it was before
	tenant  subject
	former  string // the subscription that was the main one
	facts   facts
	standing
	move Transition
}

// Settle makes the account, the tenant's plan, service, add-ons and billing cycle what
// the facts say, and tells the owners what is new, in tx, which runs as nself_server. It
// looks at nothing but the rows and the account's clock: in whatever order facts came,
// and however often it is called, the end is the same.
func (b *Book) Settle(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (Account, error) {
	s := settlement{tx: tx, actor: session.Session{Role: session.Server, Tenant: tenant}}
	var err error
	if s.account, err = lockAccount(ctx, tx, tenant); err != nil {
		return Account{}, err
	}
	if s.facts, err = readFacts(ctx, tx, tenant); err != nil {
		return Account{}, err
	}
	s.standing = b.rules.stand(s.facts)
	known := false
	if s.move, known = TransitionOf(s.account.State, s.cause); !known {
		return Account{}, fmt.Errorf("the account of %s is in the state %q, which billing does not know", tenant, s.account.State)
	}
	if s.facts.overtaken() {
		s.standing, s.move = s.account.standing(), Transition{To: s.account.State}
	}
	for _, step := range []func(context.Context) error{s.chooseMain, s.levelCycle} {
		if err := step(ctx); err != nil {
			return Account{}, err
		}
	}
	if s.tenant, err = lockTenant(ctx, tx, tenant); err != nil {
		return Account{}, err
	}
	return s.level(ctx, b)
}

// level makes the tenant what the standing says, keeps the account, and tells of it.
func (s *settlement) level(ctx context.Context, b *Book) (Account, error) {
	after := s.account
	s.rest()
	after.State, after.Since, after.GraceUntil, after.DueAt, after.Reminders = s.move.To, s.since, s.graceUntil, s.dueAt, s.reminders
	if s.move.To == Suspended && s.cause != "" {
		after.Since = *s.graceUntil
	}
	plan, err := s.levelPlan(ctx)
	if err != nil {
		return Account{}, err
	}
	// After the plan: with the end of what is paid, the running period is noted with its add-ons.
	if err := s.levelAddons(ctx); err != nil {
		return Account{}, err
	}
	if after.SuspendedAt, err = s.levelService(ctx); err != nil {
		return Account{}, err
	}
	if err := after.save(ctx, s.tx); err != nil {
		return Account{}, err
	}
	if err := s.record(ctx, plan); err != nil {
		return Account{}, err
	}
	if err := s.tell(ctx, b); err != nil {
		return Account{}, err
	}
	return after, nil
}

// record puts a change of state into the audit log.
func (s *settlement) record(ctx context.Context, plan string) error {
	if s.move.Audit == "" {
		return nil
	}
	main := ""
	if s.facts.main != nil {
		main = s.facts.main.StripeID
	}
	return audit.Append(ctx, s.tx, s.actor, audit.Entry{
		Tenant: s.actor.Tenant, Action: s.move.Audit, Target: "account:" + s.actor.Tenant.String(),
		Before: map[string]any{"state": s.account.State, "plan": s.tenant.Plan, "subscription": s.former},
		After:  map[string]any{"state": s.move.To, "plan": plan, "subscription": main},
	})
}

const receiptsDueSQL = `
SELECT ` + invoiceColumns + ` FROM billing.invoices i
WHERE tenant_id = @tenant_id AND status = 'paid' AND paid_minor > 0 AND paid_at IS NOT NULL AND NOT EXISTS (
	SELECT FROM billing.effects e WHERE e.tenant_id = i.tenant_id AND e.key = 'invoice:' || i.stripe_id)
ORDER BY paid_at, stripe_id`

// tell notes and mails what is due and was not told.
func (s *settlement) tell(ctx context.Context, b *Book) error {
	t := teller{post: b.post, tx: s.tx, tenant: s.tenant, clock: s.facts.clock}
	plan, err := s.planName(ctx)
	if err != nil {
		return err
	}
	paid, err := pg.All[InvoiceRow](ctx, s.tx, receiptsDueSQL, pgx.NamedArgs{"tenant_id": s.actor.Tenant})
	if err != nil {
		return fmt.Errorf("find invoices to tell of: %w", err)
	}
	due := b.rules.letters(s.facts, s.standing, s.move.Letter, plan)
	if err := s.askForCard(ctx, due); err != nil {
		return err
	}
	for _, in := range paid {
		due = append(due, in.receipt())
	}
	for _, e := range due {
		if err := t.tell(ctx, e); err != nil {
			return err
		}
	}
	return s.noteSecond(ctx, t)
}

// planName is what letters call the plan that is paid for.
func (s *settlement) planName(ctx context.Context) (string, error) {
	if s.facts.main == nil || s.facts.main.Plan == nil || *s.facts.main.Plan == s.tenant.Plan {
		return s.tenant.PlanName, nil
	}
	plan, err := Plan(ctx, s.tx, *s.facts.main.Plan)
	return plan.Name, err
}

// noteSecond puts subscriptions beside the main one on record, each once: they cost, and
// the account does not go by them.
func (s *settlement) noteSecond(ctx context.Context, t teller) error {
	for _, other := range s.facts.subscriptions {
		running := rank[other.Status] > 0 && other.Status != StatusCanceled
		if !running || other.StripeID == s.facts.main.StripeID {
			continue
		}
		fresh, err := t.once(ctx, "second:"+other.StripeID)
		if err != nil {
			return err
		}
		if !fresh {
			continue
		}
		entry := audit.Entry{
			Tenant: s.actor.Tenant, Action: "billing_second_subscription", Target: "subscription:" + other.StripeID,
			After: map[string]any{"subscription": other.StripeID, "status": other.Status, "main": s.facts.main.StripeID},
		}
		if err := audit.Append(ctx, s.tx, s.actor, entry); err != nil {
			return err
		}
	}
	return nil
}
