package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
)

const putSubscriptionSQL = `
INSERT INTO billing.subscriptions (tenant_id, stripe_id, status, plan, quantity, amount_minor, currency, current_period_start,
	current_period_end, anchor_at, trial_end, cancel_at_period_end, cancel_at, canceled_at, ended_at, keeps_plan, keeps_until,
	latest_invoice, livemode, created_at)
VALUES (@tenant_id, @stripe_id, @status, @plan, @quantity, @amount_minor, @currency, @current_period_start,
	@current_period_end, @anchor_at, @trial_end, @cancel_at_period_end, @cancel_at, @canceled_at, @ended_at,
	(SELECT p.code FROM billing.plans p WHERE p.code = @keeps_plan), @keeps_until, @latest_invoice, @livemode, @created_at)
ON CONFLICT (tenant_id, stripe_id) DO UPDATE SET status = excluded.status, plan = excluded.plan, quantity = excluded.quantity,
	amount_minor = excluded.amount_minor, currency = excluded.currency, current_period_start = excluded.current_period_start,
	current_period_end = excluded.current_period_end, anchor_at = excluded.anchor_at, trial_end = excluded.trial_end,
	cancel_at_period_end = excluded.cancel_at_period_end, cancel_at = excluded.cancel_at, canceled_at = excluded.canceled_at,
	ended_at = excluded.ended_at, keeps_plan = excluded.keeps_plan, keeps_until = excluded.keeps_until,
	latest_invoice = excluded.latest_invoice, livemode = excluded.livemode, created_at = excluded.created_at, updated_at = now()`

const putItemsSQL = `
INSERT INTO billing.subscription_items AS i (tenant_id, subscription_id, stripe_id, price_id, quantity, addon)
SELECT @tenant_id, @stripe_id, g.id, g.price, g.quantity, g.addon
FROM unnest(@ids::text[], @prices::text[], @quantities::bigint[], @addons::text[]) AS g (id, price, quantity, addon)
ON CONFLICT (tenant_id, subscription_id, stripe_id) DO UPDATE
	SET price_id = excluded.price_id, quantity = excluded.quantity, addon = excluded.addon`

const dropItemsSQL = `
DELETE FROM billing.subscription_items WHERE tenant_id = @tenant_id AND subscription_id = @stripe_id AND stripe_id <> ALL (@ids::text[])`

// ApplySubscription keeps what Stripe says of a subscription, whose customer is the
// tenant's. unknownPrices are those that are of no plan and no add-on here: it is kept
// all the same, and is applied anew once they are known.
func (b *Book) ApplySubscription(ctx context.Context, tx pgx.Tx, tenant id.Tenant, s Subscription) (unknownPrices []string, err error) {
	l, err := Sort(ctx, tx, s.Items)
	if err != nil {
		return nil, err
	}
	args := s.args(l)
	args["tenant_id"] = tenant
	for _, statement := range []string{putSubscriptionSQL, dropItemsSQL, putItemsSQL} {
		if _, err := tx.Exec(ctx, statement, args); err != nil {
			return nil, fmt.Errorf("keep subscription %s: %w", s.ID, err)
		}
	}
	return l.Unknown, nil
}

// args are the values of the subscription and of its items.
func (s Subscription) args(l Lines) pgx.NamedArgs {
	quantity, amount := int64(1), int64(0)
	if l.PlanItem != nil {
		quantity = l.PlanItem.Quantity
	}
	ids, prices, quantities, addons := []string{}, []string{}, []int64{}, []*string{}
	for _, item := range s.Items {
		amount += item.AmountMinor * item.Quantity
		ids, prices = append(ids, item.ID), append(prices, item.Price)
		quantities, addons = append(quantities, item.Quantity), append(addons, l.addons[item.ID])
	}
	return pgx.NamedArgs{
		"stripe_id": s.ID, "status": s.Status, "plan": text(l.Plan), "quantity": quantity, "amount_minor": amount,
		"currency": s.Currency, "current_period_start": s.CurrentPeriodStart, "current_period_end": s.CurrentPeriodEnd,
		"anchor_at": s.AnchorAt, "trial_end": moment(s.TrialEnd), "cancel_at_period_end": s.CancelAtPeriodEnd,
		"cancel_at": moment(s.CancelAt), "canceled_at": moment(s.CanceledAt), "ended_at": moment(s.EndedAt),
		"keeps_plan": text(s.KeepsPlan), "keeps_until": moment(s.KeepsUntil), "latest_invoice": text(s.LatestInvoice),
		"livemode": s.Livemode, "created_at": s.CreatedAt,
		"ids": ids, "prices": prices, "quantities": quantities, "addons": addons,
	}
}
