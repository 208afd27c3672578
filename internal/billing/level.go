package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/usage"
)

// restFor is how long the account of a deleted tenant is left before it is looked at
// again: the tenant may have been restored.
const restFor = time.Hour

const unsetMainSQL = `
UPDATE billing.subscriptions SET main = false WHERE tenant_id = @tenant_id AND main AND stripe_id IS DISTINCT FROM @subscription::text`

const setMainSQL = `
UPDATE billing.subscriptions SET main = true WHERE tenant_id = @tenant_id AND stripe_id = @subscription AND NOT main`

// chooseMain marks the main subscription.
func (s *settlement) chooseMain(ctx context.Context) error {
	args := pgx.NamedArgs{"tenant_id": s.actor.Tenant, "subscription": (*string)(nil)}
	for _, one := range s.facts.subscriptions {
		if one.Main {
			s.former = one.StripeID
		}
	}
	if s.facts.main != nil {
		args["subscription"] = s.facts.main.StripeID
	}
	for _, statement := range []string{unsetMainSQL, setMainSQL} {
		if _, err := s.tx.Exec(ctx, statement, args); err != nil {
			return fmt.Errorf("mark the main subscription of %s: %w", s.actor.Tenant, err)
		}
	}
	return nil
}

const dropAddonsSQL = `
DELETE FROM billing.tenant_addons a WHERE a.tenant_id = @tenant_id AND NOT EXISTS (
	SELECT FROM billing.subscription_items i
	WHERE i.tenant_id = a.tenant_id AND i.subscription_id = @subscription AND i.addon = a.addon AND i.quantity > 0)`

const putAddonsSQL = `
INSERT INTO billing.tenant_addons AS a (tenant_id, addon, quantity)
SELECT i.tenant_id, i.addon, sum(i.quantity)::bigint FROM billing.subscription_items i
WHERE i.tenant_id = @tenant_id AND i.subscription_id = @subscription AND i.addon IS NOT NULL AND i.quantity > 0
GROUP BY i.tenant_id, i.addon
ON CONFLICT (tenant_id, addon) DO UPDATE SET quantity = excluded.quantity, updated_at = now() WHERE a.quantity <> excluded.quantity`

// levelAddons gives the tenant what is on the main subscription while that is in force.
func (s *settlement) levelAddons(ctx context.Context) error {
	args := pgx.NamedArgs{"tenant_id": s.actor.Tenant, "subscription": ""}
	if s.facts.main != nil && s.facts.main.paying() {
		args["subscription"] = s.facts.main.StripeID
	}
	for _, statement := range []string{dropAddonsSQL, putAddonsSQL} {
		if _, err := s.tx.Exec(ctx, statement, args); err != nil {
			return fmt.Errorf("set the add-ons of %s: %w", s.actor.Tenant, err)
		}
	}
	return nil
}

const otherCycleSQL = `
SELECT NOT EXISTS (SELECT FROM billing.billing_cycles WHERE tenant_id = @tenant_id AND anchor_at = @anchor::timestamptz)`

// levelCycle has usage counted by the months of the subscription, of one that ended too:
// whether somebody looked while it was paid makes no difference. It is done before the
// tenant is locked: usage locks the periods first, then the tenant.
func (s *settlement) levelCycle(ctx context.Context) error {
	if s.facts.main == nil || s.facts.main.Status == StatusIncomplete || s.facts.undecided() {
		return nil
	}
	anchor := s.facts.main.AnchorAt
	other, err := pg.Scalar[bool](ctx, s.tx, otherCycleSQL, pgx.NamedArgs{"tenant_id": s.actor.Tenant, "anchor": anchor})
	if err == nil && other {
		_, err = usage.SetCycle(ctx, s.tx, s.actor, s.actor.Tenant, &anchor)
	}
	if err != nil {
		return fmt.Errorf("have the usage of %s counted by its billing months: %w", s.actor.Tenant, err)
	}
	return nil
}

// rest looks after a deleted tenant, whose plan and service cannot be changed: it is
// looked at again in case it is restored, and is not noted as suspended, so that it will
// be then.
func (s *settlement) rest() {
	if s.tenant.Status != tenant.Deleted {
		return
	}
	again := s.facts.clock.Add(restFor)
	if s.dueAt == nil || again.Before(*s.dueAt) {
		s.dueAt = &again
	}
	if s.move.To == Suspended && s.account.State != Suspended {
		s.move = Transition{To: s.account.State}
	}
}

// levelPlan moves the tenant to the plan in force, and returns the one it is on.
func (s *settlement) levelPlan(ctx context.Context) (string, error) {
	if s.plan == nil || *s.plan == s.tenant.Plan || s.tenant.Status == tenant.Deleted {
		return s.tenant.Plan, nil
	}
	_, err := tenant.SetPlan(ctx, s.tx, s.actor, *s.plan)
	return *s.plan, err
}

// levelService suspends the tenant when its account comes to be suspended, and ends that
// suspension when the account leaves that state. A suspension that is somebody else's is
// not lifted, one that somebody lifted is not made again. It returns the moment of the
// suspension that is billing's own.
func (s *settlement) levelService(ctx context.Context) (*time.Time, error) {
	own := s.account.SuspendedAt
	ownHolds := own != nil && s.tenant.SuspendedAt != nil && own.Equal(*s.tenant.SuspendedAt)
	switch {
	case s.move.To == Suspended && s.account.State != Suspended && s.tenant.Status == tenant.Active:
		suspended, err := tenant.Suspend(ctx, s.tx, s.actor, s.reason())
		return suspended.SuspendedAt, err
	case s.move.To == Suspended:
		return own, nil
	case ownHolds && s.tenant.Status == tenant.Suspended:
		_, err := tenant.Activate(ctx, s.tx, s.actor)
		return nil, err
	case ownHolds:
		return own, nil // it is deleted; once it is restored it is suspended again, and is activated then
	}
	return nil, nil
}

// reason is the public reason of a suspension.
func (s *settlement) reason() string {
	day := s.since.UTC().Format(time.DateOnly)
	if s.facts.unpaid(s.standing) {
		return fmt.Sprintf("payment failed on %s and is still owed", day)
	}
	return fmt.Sprintf("the subscription ended on %s", day)
}
