package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const pricesSQL = `SELECT price_id, plan, addon FROM billing.prices WHERE price_id = ANY (@prices::text[])`

type priceRow struct {
	Price string  `db:"price_id"`
	Plan  *string `db:"plan"`
	Addon *string `db:"addon"`
}

// lines is what the items of a subscription are of.
type lines struct {
	plan        *string
	quantity    int64 // of the plan's own item
	amount      int64
	ids, prices []string
	quantities  []int64
	addons      []*string
	unknown     []string // prices of nothing here
	planItem    string
}

// readLines finds out what the items are of. Where two are of plans, the first by its id
// decides.
func readLines(ctx context.Context, tx pgx.Tx, items []Item) (lines, error) {
	l := lines{quantity: 1, ids: []string{}, prices: []string{}, quantities: []int64{}, addons: []*string{}}
	for _, item := range items {
		l.prices = append(l.prices, item.Price)
	}
	found, err := pg.All[priceRow](ctx, tx, pricesSQL, pgx.NamedArgs{"prices": l.prices})
	if err != nil {
		return l, fmt.Errorf("look up the prices of a subscription: %w", err)
	}
	of := make(map[string]priceRow, len(found))
	for _, price := range found {
		of[price.Price] = price
	}
	for _, item := range items {
		price, ok := of[item.Price]
		if !ok {
			l.unknown = append(l.unknown, item.Price)
		}
		if price.Plan != nil && (l.plan == nil || item.ID < l.planItem) {
			l.plan, l.quantity, l.planItem = price.Plan, item.Quantity, item.ID
		}
		l.amount += item.AmountMinor * item.Quantity
		l.ids, l.quantities, l.addons = append(l.ids, item.ID), append(l.quantities, item.Quantity), append(l.addons, price.Addon)
	}
	return l, nil
}

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
	l, err := readLines(ctx, tx, s.Items)
	if err != nil {
		return nil, err
	}
	args := pgx.NamedArgs{
		"tenant_id": tenant, "stripe_id": s.ID, "status": s.Status, "plan": l.plan, "quantity": l.quantity, "amount_minor": l.amount,
		"currency": s.Currency, "current_period_start": s.CurrentPeriodStart, "current_period_end": s.CurrentPeriodEnd,
		"anchor_at": s.AnchorAt, "trial_end": moment(s.TrialEnd), "cancel_at_period_end": s.CancelAtPeriodEnd,
		"cancel_at": moment(s.CancelAt), "canceled_at": moment(s.CanceledAt), "ended_at": moment(s.EndedAt),
		"keeps_plan": text(s.KeepsPlan), "keeps_until": moment(s.KeepsUntil), "latest_invoice": text(s.LatestInvoice),
		"livemode": s.Livemode, "created_at": s.CreatedAt,
		"ids": l.ids, "prices": l.prices, "quantities": l.quantities, "addons": l.addons,
	}
	for _, statement := range []string{putSubscriptionSQL, dropItemsSQL, putItemsSQL} {
		if _, err := tx.Exec(ctx, statement, args); err != nil {
			return nil, fmt.Errorf("keep subscription %s: %w", s.ID, err)
		}
	}
	return l.unknown, nil
}
