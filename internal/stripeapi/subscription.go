package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/billing"
)

// How a change in the middle of a period is paid for.
const (
	ProrateAtOnce   = "always_invoice"    // by an invoice of its own, now
	ProrateLater    = "create_prorations" // by the next invoice
	ProrateNot      = "none"
	PayOrFail       = "error_if_incomplete" // a payment that fails undoes the call: Declined
	PayWhenPossible = "allow_incomplete"    // a payment that fails leaves it incomplete or past due
)

// SubscriptionInput is a subscription to be. Its first payment is tried at once; where it
// fails the subscription is made all the same, incomplete.
type SubscriptionInput struct {
	Origin               Origin
	Customer             string
	Items                []SubscriptionItem
	DefaultPaymentMethod string // empty: the customer's
	TrialDays            int64  // 0: none
	UnpaidTrial          string // cancel, pause or create_invoice: what becomes of it where a trial ends without a way to pay; empty: create_invoice
}

// SubscriptionItem is so many of a price.
type SubscriptionItem struct {
	Price    string
	Quantity int64
}

// SubscriptionChange is what to change of a subscription; what is zero stays.
type SubscriptionChange struct {
	Items                []ItemChange // items that are not named stay
	Proration            string       // Prorate…; empty: Stripe's own, ProrateLater
	Payment              string       // PayOrFail or PayWhenPossible; empty: Stripe's own, PayWhenPossible
	CancelAtPeriodEnd    *bool
	DefaultPaymentMethod string
	TrialEnd             time.Time // a trial ends then
	TrialOver            bool      // a trial ends now: its first period begins, and is invoiced
	Kept                 *Kept     // nil: stays as it is; the zero Kept empties it
}

// ItemChange is a change of an item, or a new one.
type ItemChange struct {
	ID       string // empty: a new one
	Price    string // empty: stays
	Quantity int64  // 0: stays, where Price is empty; another price needs it, or Stripe would sell one
	Deleted  bool
}

// CancelInput is how a subscription ends at once.
type CancelInput struct {
	Prorate    bool // what was paid for the rest of the period becomes credit
	InvoiceNow bool // what is not invoiced yet is invoiced now, that credit too
}

// SubscriptionFilter narrows a list of subscriptions of every status; the zero one gives all
// that live by no clock.
type SubscriptionFilter struct {
	Customer string
	Clock    string    // only those of this test clock
	Since    time.Time // made then or later
}

// Subscription fetches a subscription with all its items.
func (c *Client) Subscription(ctx context.Context, id string) (billing.Subscription, error) {
	whole := true
	found, err := at(id, &stripe.SubscriptionParams{Params: read(ctx)}, c.api.Subscriptions.Get,
		func(s *stripe.Subscription) (string, billing.Subscription) {
			whole = s.Items == nil || !s.Items.HasMore
			return subscription(s)
		})
	if err != nil || whole {
		return found, err
	}
	found.Items = nil
	for item, err := range c.items(ctx, id) {
		if err != nil {
			return billing.Subscription{}, err
		}
		found.Items = append(found.Items, item)
	}
	return found, nil
}

func (c *Client) items(ctx context.Context, subscription string) iter.Seq2[billing.Item, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.SubscriptionItems.List(&stripe.SubscriptionItemListParams{ListParams: page, Subscription: &subscription})
	}, func(s *stripe.SubscriptionItem) (string, billing.Item) { return s.ID, item(s) })
}

// Subscriptions lists subscriptions, those that ended too, the newest first, each with the
// items that Stripe tells of in a list: ten at least.
func (c *Client) Subscriptions(ctx context.Context, filter SubscriptionFilter) iter.Seq2[billing.Subscription, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.Subscriptions.List(&stripe.SubscriptionListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Customer:     optional(filter.Customer),
			Status:       stripe.String("all"),
			TestClock:    optional(filter.Clock),
		})
	}, subscription)
}

// CreateSubscription makes a subscription.
func (c *Client) CreateSubscription(ctx context.Context, key string, in SubscriptionInput) (billing.Subscription, error) {
	params := &stripe.SubscriptionParams{
		Params:               write(ctx, key),
		Customer:             &in.Customer,
		DefaultPaymentMethod: optional(in.DefaultPaymentMethod),
		Metadata:             in.Origin.metadata(),
		PaymentBehavior:      stripe.String(PayWhenPossible),
	}
	for _, item := range in.Items {
		params.Items = append(params.Items, &stripe.SubscriptionItemsParams{Price: &item.Price, Quantity: &item.Quantity})
	}
	if in.TrialDays > 0 {
		params.TrialPeriodDays = &in.TrialDays
	}
	if in.UnpaidTrial != "" {
		params.TrialSettings = &stripe.SubscriptionTrialSettingsParams{
			EndBehavior: &stripe.SubscriptionTrialSettingsEndBehaviorParams{MissingPaymentMethod: &in.UnpaidTrial},
		}
	}
	return call(params, c.api.Subscriptions.New, subscription)
}

// UpdateSubscription changes a subscription.
func (c *Client) UpdateSubscription(ctx context.Context, key, id string, in SubscriptionChange) (billing.Subscription, error) {
	params := &stripe.SubscriptionParams{
		Params:               write(ctx, key),
		CancelAtPeriodEnd:    in.CancelAtPeriodEnd,
		DefaultPaymentMethod: optional(in.DefaultPaymentMethod),
		PaymentBehavior:      optional(in.Payment),
		ProrationBehavior:    optional(in.Proration),
	}
	for _, item := range in.Items {
		if item.Price != "" && item.Quantity == 0 {
			return billing.Subscription{}, refused("say how many of %s there shall be", item.Price)
		}
		params.Items = append(params.Items, item.params())
	}
	if in.Kept != nil {
		params.Metadata = in.Kept.metadata()
	}
	if in.TrialOver {
		params.TrialEndNow = &in.TrialOver
	} else if !in.TrialEnd.IsZero() {
		params.TrialEnd = stripe.Int64(in.TrialEnd.Unix())
	}
	return at(id, params, c.api.Subscriptions.Update, subscription)
}

func (i ItemChange) params() *stripe.SubscriptionItemsParams {
	params := &stripe.SubscriptionItemsParams{ID: optional(i.ID), Price: optional(i.Price)}
	if i.Quantity != 0 {
		params.Quantity = &i.Quantity
	}
	if i.Deleted {
		params.Deleted = &i.Deleted
	}
	return params
}

// CancelSubscription ends a subscription at once. Stripe keeps no answers to this call, whatever
// its key: so that the same call can be made again, one that has ended already is answered as
// it is. It is sent once, whatever Config.Retries says: what it would end may have become
// something else meanwhile, which is for the caller to look at.
func (c *Client) CancelSubscription(ctx context.Context, key, id string, in CancelInput) (billing.Subscription, error) {
	ended, err := at(id, &stripe.SubscriptionCancelParams{
		Params:     write(ctx, key),
		InvoiceNow: &in.InvoiceNow,
		Prorate:    &in.Prorate,
	}, c.once.Subscriptions.Cancel, subscription)
	if !Is(err, NotFound) && !Is(err, Refused) {
		return ended, err
	}
	now, failure := c.Subscription(ctx, id)
	if failure != nil || now.EndedAt.IsZero() && now.Status != string(stripe.SubscriptionStatusIncompleteExpired) {
		return billing.Subscription{}, err
	}
	return now, nil
}

// ResumeSubscription takes a paused subscription up again, with a new period that begins now.
func (c *Client) ResumeSubscription(ctx context.Context, key, id string) (billing.Subscription, error) {
	return at(id, &stripe.SubscriptionResumeParams{
		Params:             write(ctx, key),
		BillingCycleAnchor: stripe.String("now"),
	}, c.api.Subscriptions.Resume, subscription)
}

func subscription(s *stripe.Subscription) (string, billing.Subscription) {
	keeps := kept(s.Metadata)
	found := billing.Subscription{
		ID:                 s.ID,
		Livemode:           s.Livemode,
		Status:             string(s.Status),
		Currency:           string(s.Currency),
		CurrentPeriodStart: moment(s.CurrentPeriodStart),
		CurrentPeriodEnd:   moment(s.CurrentPeriodEnd),
		AnchorAt:           moment(s.BillingCycleAnchor),
		TrialEnd:           moment(s.TrialEnd),
		CancelAtPeriodEnd:  s.CancelAtPeriodEnd,
		CancelAt:           moment(s.CancelAt),
		CanceledAt:         moment(s.CanceledAt),
		EndedAt:            moment(s.EndedAt),
		KeepsPlan:          keeps.Plan,
		KeepsUntil:         keeps.Until,
		KeepsPrice:         keeps.Price,
		KeepsQuantity:      keeps.Quantity,
		Operation:          origin(s.Metadata).Operation,
		CreatedAt:          moment(s.Created),
	}
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.LatestInvoice != nil {
		found.LatestInvoice = s.LatestInvoice.ID
	}
	if s.Items != nil {
		found.Items = items(s.Items.Data)
	}
	return s.ID, found
}

func items(lines []*stripe.SubscriptionItem) []billing.Item {
	var found []billing.Item
	for _, line := range lines {
		if line != nil {
			found = append(found, item(line))
		}
	}
	return found
}

func item(s *stripe.SubscriptionItem) billing.Item {
	found := billing.Item{ID: s.ID, Quantity: s.Quantity}
	if s.Price != nil {
		found.Price, found.AmountMinor = s.Price.ID, s.Price.UnitAmount
		if s.Price.Product != nil {
			found.Product = s.Price.Product.ID
		}
	}
	return found
}
