package purchase

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/billing"
)

// present is what the tenant's subscription is at Stripe now: what is changed goes by
// that, and not by rows that may be behind.
type present struct {
	billing.Subscription
	billing.Lines
}

// present fetches the subscription, which must be in one of the statuses. Where it is not
// the rows here are behind: it is brought in.
func (r *run) present(ctx context.Context, statuses []string) (present, error) {
	main, err := billing.MainOf(ctx, r.desk.config.DB, r.op.TenantID)
	if err != nil {
		return present{}, err
	}
	there, err := r.desk.config.Stripe.Subscription(ctx, main.StripeID)
	if err != nil {
		return present{}, fmt.Errorf("fetch the subscription %s: %w", main.StripeID, err)
	}
	if refused := checkStatus(there.Status, statuses); refused != nil {
		if err := r.sync(ctx, objectSubscription, there.ID, there.Customer); err != nil {
			return present{}, err
		}
		return present{}, refused
	}
	lines, err := billing.Sort(ctx, r.desk.config.DB, there.Items)
	return present{there, lines}, err
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
