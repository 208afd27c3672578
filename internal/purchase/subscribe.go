package purchase

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepClear        = "clear"
	stepTerms        = "terms"
	stepSubscription = "subscription"
	stepTakeBack     = "cancel-" // and the subscription that is in the way
)

// terms are what a subscription begins with.
type terms struct {
	Price     string `json:"price"`
	Quantity  int64  `json:"quantity"`
	TrialDays int64  `json:"trialDays"`
}

// subscribe takes the steps of a subscription. The order is that of what can be undone:
// the one that charges is the last.
func (r *run) subscribe(ctx context.Context) error {
	in, err := input[Subscribe](r.op)
	if err != nil {
		return err
	}
	if in.PaymentMethod != "" {
		if err := r.ownMethod(ctx, in.PaymentMethod); err != nil {
			return err
		}
	}
	customer, err := r.customer(ctx, "")
	if err != nil {
		return err
	}
	method := ""
	if in.PaymentMethod != "" {
		if method, err = r.attach(ctx, in.PaymentMethod, customer); err != nil {
			return err
		}
	}
	subscription, err := r.newSubscription(ctx, customer, in.Plan)
	if err != nil {
		return err
	}
	return r.syncNew(ctx, customer, method, subscription)
}

func (r *run) newSubscription(ctx context.Context, customer, plan string) (string, error) {
	begin, err := r.terms(ctx, customer, plan)
	if err != nil {
		return "", err
	}
	stripe := r.desk.config.Stripe
	return r.do(ctx, call{
		step: stepSubscription,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateSubscription(ctx, key, stripeapi.SubscriptionInput{
				Origin: r.origin(), Customer: customer, TrialDays: begin.TrialDays, UnpaidTrial: unpaidTrial(begin.TrialDays),
				Items: []stripeapi.SubscriptionItem{{Price: begin.Price, Quantity: begin.Quantity}},
			})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			list := stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: customer})
			made, _, err := find(list, func(s billing.Subscription) bool { return s.Operation == r.op.ID })
			return made.ID, err
		},
	})
}

// unpaidTrial: whoever tried and gave no way to pay is left with the free plan, and can
// resume; nobody is suspended for it.
func unpaidTrial(trialDays int64) string {
	if trialDays == 0 {
		return ""
	}
	return "pause"
}

// terms decides on a subscription, once nothing is in its way at Stripe.
func (r *run) terms(ctx context.Context, customer, code string) (terms, error) {
	before, err := r.clear(ctx, customer)
	if err != nil {
		return terms{}, err
	}
	return choose(ctx, r, stepTerms, func() (terms, error) {
		plan, err := billing.Plan(ctx, r.desk.config.DB, code)
		if err != nil {
			return terms{}, err
		}
		price, err := r.desk.priceOf(ctx, r.desk.config.DB, code, "")
		if err != nil {
			return terms{}, err
		}
		begin := terms{Price: price.ID, Quantity: 1}
		if plan.PerSeat {
			if begin.Quantity, err = r.desk.seats(ctx, r.op.TenantID); err != nil {
				return terms{}, err
			}
		}
		if !before {
			begin.TrialDays = int64(plan.TrialDays)
		}
		return begin, r.checkPayable(ctx, customer, begin)
	})
}

// checkPayable refuses a subscription that nobody could pay, where it is no trial. In a
// checkout the method is given there.
func (r *run) checkPayable(ctx context.Context, customer string, begin terms) error {
	if begin.TrialDays > 0 || r.op.Kind == kindCheckout {
		return nil
	}
	found, err := r.desk.config.Stripe.Customer(ctx, customer)
	if err != nil {
		return fmt.Errorf("fetch the customer %s: %w", customer, err)
	}
	if found.DefaultPaymentMethod == "" {
		return needsMethod()
	}
	return nil
}

// clear takes away at Stripe what could become a second subscription: checkouts that are
// open and subscriptions whose first payment is not made. It says whether the customer
// ever had one before, and refuses where it has one now.
func (r *run) clear(ctx context.Context, customer string) (before bool, err error) {
	return choose(ctx, r, stepClear, func() (bool, error) {
		if err := r.expireCheckouts(ctx, customer); err != nil {
			return false, err
		}
		before, err := r.desk.everSubscribed(ctx, r.desk.config.DB, r.op.TenantID)
		if err != nil {
			return false, err
		}
		for s, err := range r.desk.config.Stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: customer}) {
			if err != nil {
				return false, fmt.Errorf("list the subscriptions of %s: %w", customer, err)
			}
			_, tried := r.op.Results[stepTakeBack+s.ID]
			switch {
			case tried || s.Status == billing.StatusIncomplete:
				err = r.cancelUnpaid(ctx, s)
			case s.Status == billing.StatusIncompleteExpired:
			case s.Status == billing.StatusCanceled:
				before = true
			default:
				err = r.subscribedAlready(ctx, s)
			}
			if err != nil {
				return false, err
			}
		}
		return before, nil
	})
}

func (r *run) expireCheckouts(ctx context.Context, customer string) error {
	stripe := r.desk.config.Stripe
	for open, err := range stripe.CheckoutSessions(ctx, stripeapi.CheckoutFilter{Customer: customer, Status: "open"}) {
		if err != nil {
			return fmt.Errorf("list the checkouts of %s: %w", customer, err)
		}
		closed := func(ctx context.Context) (string, error) {
			now, err := stripe.CheckoutSession(ctx, open.ID)
			if err != nil || now.Status == "open" {
				return "", err
			}
			return open.ID, nil
		}
		_, err := r.do(ctx, call{step: "expire-" + open.ID, look: closed, write: func(ctx context.Context, key string) (string, error) {
			_, err := stripe.ExpireCheckoutSession(ctx, key, open.ID)
			return open.ID, err
		}})
		if err := afterAll(ctx, err, closed); err != nil {
			return err
		}
	}
	return nil
}

// subscribedAlready brings in what the tenant has, and refuses a second one.
func (r *run) subscribedAlready(ctx context.Context, s billing.Subscription) error {
	if err := r.sync(ctx, objectSubscription, s.ID, s.Customer); err != nil {
		return err
	}
	return alreadySubscribed()
}

// cancelUnpaid takes a subscription back whose first payment was not made, unless it is
// made since: that is looked at before each try. That it was tried is noted before, so that
// a payment that comes in between is found.
func (r *run) cancelUnpaid(ctx context.Context, s billing.Subscription) error {
	stripe, name := r.desk.config.Stripe, stepTakeBack+s.ID
	if _, tried := r.op.Results[name]; !tried {
		if err := r.note(ctx, name, step{}); err != nil {
			return err
		}
	}
	gone := func(ctx context.Context) (string, error) {
		now, err := stripe.Subscription(ctx, s.ID)
		if err != nil || !over(now) {
			return "", err
		}
		return s.ID, nil
	}
	_, err := r.do(ctx, call{step: name, look: gone, write: func(ctx context.Context, key string) (string, error) {
		now, err := stripe.Subscription(ctx, s.ID)
		if err != nil || over(now) {
			return s.ID, err
		}
		if now.Status != billing.StatusIncomplete {
			return "", r.subscribedAlready(ctx, now)
		}
		_, err = stripe.CancelSubscription(ctx, key, s.ID, stripeapi.CancelInput{})
		return s.ID, err
	}})
	if err := afterAll(ctx, err, gone); err != nil {
		return err
	}
	if err := r.payBack(ctx, s.ID); err != nil {
		return err
	}
	return r.sync(ctx, objectSubscription, s.ID, s.Customer)
}

// afterAll forgives a refusal where what was wanted is so by itself.
func afterAll(ctx context.Context, err error, look func(context.Context) (string, error)) error {
	if !stripeapi.Is(err, stripeapi.Refused) {
		return err
	}
	if is, failed := look(ctx); failed != nil || is == "" {
		return err
	}
	return nil
}
