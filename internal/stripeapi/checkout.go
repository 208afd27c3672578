package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/id"
)

// CheckoutInput is a visit to Stripe's page where a customer subscribes. The subscription
// will say the same Origin.
type CheckoutInput struct {
	Origin     Origin
	Customer   string
	Items      []SubscriptionItem
	TrialDays  int64 // 0: none
	SuccessURL string
	CancelURL  string
}

// CheckoutSession is such a visit.
type CheckoutSession struct {
	ID           string
	Livemode     bool
	Status       string // open, complete or expired
	URL          string // empty unless it is open; whoever has it can pay
	Customer     string
	Subscription string       // empty until it is complete
	Tenant       id.Tenant    // of its metadata; zero: none
	Operation    id.Operation // of its metadata; zero: none
	ExpiresAt    time.Time
	CreatedAt    time.Time
}

// CheckoutFilter narrows a list of visits; the zero one gives all.
type CheckoutFilter struct {
	Customer string
	Status   string    // open, complete or expired
	Since    time.Time // made then or later
}

// CheckoutSession fetches a visit.
func (c *Client) CheckoutSession(ctx context.Context, id string) (CheckoutSession, error) {
	return at(id, &stripe.CheckoutSessionParams{Params: read(ctx)}, c.api.CheckoutSessions.Get, checkoutSession)
}

// CheckoutSessions lists visits, the newest first.
func (c *Client) CheckoutSessions(ctx context.Context, filter CheckoutFilter) iter.Seq2[CheckoutSession, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.CheckoutSessions.List(&stripe.CheckoutSessionListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Customer:     optional(filter.Customer),
			Status:       optional(filter.Status),
		})
	}, checkoutSession)
}

// CreateCheckoutSession opens a visit, for 24 hours.
func (c *Client) CreateCheckoutSession(ctx context.Context, key string, in CheckoutInput) (CheckoutSession, error) {
	params := &stripe.CheckoutSessionParams{
		Params:            write(ctx, key),
		CancelURL:         optional(in.CancelURL),
		ClientReferenceID: optional(in.Origin.Tenant.String()),
		Customer:          &in.Customer,
		Metadata:          in.Origin.metadata(),
		Mode:              stripe.String(string(stripe.CheckoutSessionModeSubscription)),
		SubscriptionData:  &stripe.CheckoutSessionSubscriptionDataParams{Metadata: in.Origin.metadata()},
		SuccessURL:        &in.SuccessURL,
	}
	for _, item := range in.Items {
		params.LineItems = append(params.LineItems, &stripe.CheckoutSessionLineItemParams{Price: &item.Price, Quantity: &item.Quantity})
	}
	if in.TrialDays > 0 {
		params.SubscriptionData.TrialPeriodDays = &in.TrialDays
	}
	return call(params, c.api.CheckoutSessions.New, checkoutSession)
}

// ExpireCheckoutSession closes an open visit, so that nobody pays there any more.
func (c *Client) ExpireCheckoutSession(ctx context.Context, key, id string) (CheckoutSession, error) {
	return at(id, &stripe.CheckoutSessionExpireParams{Params: write(ctx, key)}, c.api.CheckoutSessions.Expire, checkoutSession)
}

// CreatePortalSession opens Stripe's page where a customer sees and changes what is theirs,
// and returns its address: whoever has it is let in.
func (c *Client) CreatePortalSession(ctx context.Context, key, customer, returnURL string) (string, error) {
	return call(&stripe.BillingPortalSessionParams{
		Params:    write(ctx, key),
		Customer:  &customer,
		ReturnURL: optional(returnURL),
	}, c.api.BillingPortalSessions.New, func(s *stripe.BillingPortalSession) (string, string) { return s.ID, s.URL })
}

func checkoutSession(s *stripe.CheckoutSession) (string, CheckoutSession) {
	from := origin(s.Metadata)
	found := CheckoutSession{
		ID:        s.ID,
		Livemode:  s.Livemode,
		Status:    string(s.Status),
		URL:       s.URL,
		Tenant:    from.Tenant,
		Operation: from.Operation,
		ExpiresAt: moment(s.ExpiresAt),
		CreatedAt: moment(s.Created),
	}
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.Subscription != nil {
		found.Subscription = s.Subscription.ID
	}
	return s.ID, found
}
