package purchase

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pg"
)

// present is what the tenant's subscription is at Stripe now: what is changed goes by
// that, and not by rows that may be behind.
type present struct {
	billing.Subscription
	planItem *billing.Item           // nil: it has none of our plans
	plan     string                  // what planItem is of
	addons   map[string]billing.Item // by the add-on's code
}

// present fetches the subscription, which must be in one of the statuses.
func (r *run) present(ctx context.Context, statuses []string) (present, error) {
	main, err := billing.MainOf(ctx, r.desk.config.DB, r.op.TenantID)
	if err != nil {
		return present{}, err
	}
	there, err := r.desk.config.Stripe.Subscription(ctx, main.StripeID)
	if err != nil {
		return present{}, fmt.Errorf("fetch the subscription %s: %w", main.StripeID, err)
	}
	if err := checkStatus(there.Status, statuses); err != nil {
		return present{}, err
	}
	return r.desk.sort(ctx, there)
}

// sort says what the items of a subscription are of.
func (d *Desk) sort(ctx context.Context, s billing.Subscription) (present, error) {
	p := present{Subscription: s, addons: map[string]billing.Item{}}
	prices := make([]string, len(s.Items))
	for i, item := range s.Items {
		prices[i] = item.Price
	}
	owners, err := pg.All[priceOwner](ctx, d.config.DB, priceOwnersSQL, pgx.NamedArgs{"prices": prices})
	if err != nil {
		return p, fmt.Errorf("read what the prices of %s are of: %w", s.ID, pg.Explain(err))
	}
	for i, item := range s.Items {
		for _, owner := range owners {
			switch {
			case owner.PriceID != item.Price:
			case owner.Addon != "":
				p.addons[owner.Addon] = item
			case p.planItem == nil:
				p.planItem, p.plan = &s.Items[i], owner.Plan
			}
		}
	}
	return p, nil
}

// itemOf is the subscription's item of that id.
func itemOf(s billing.Subscription, item string) (billing.Item, bool) {
	for _, one := range s.Items {
		if one.ID == item {
			return one, true
		}
	}
	return billing.Item{}, false
}
