package stripeapi

import (
	"context"
	"iter"

	"github.com/stripe/stripe-go/v76"
)

// WebhookEndpoint is where Stripe sends events to.
type WebhookEndpoint struct {
	ID         string
	Livemode   bool
	URL        string
	Events     []string // the types that are sent
	Enabled    bool
	APIVersion string // empty: the account's own
	Secret     string // what events are signed by: told once, by the call that made it
}

// WebhookEndpoints lists all endpoints, the newest first.
func (c *Client) WebhookEndpoints(ctx context.Context) iter.Seq2[WebhookEndpoint, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.WebhookEndpoints.List(&stripe.WebhookEndpointListParams{ListParams: page})
	}, webhookEndpoint)
}

// CreateWebhookEndpoint makes an endpoint that gets events of the types in the form of
// Version.
func (c *Client) CreateWebhookEndpoint(ctx context.Context, key, url string, events []string) (WebhookEndpoint, error) {
	return call(&stripe.WebhookEndpointParams{
		Params:        write(ctx, key),
		APIVersion:    stripe.String(Version),
		EnabledEvents: stripe.StringSlice(events),
		URL:           &url,
	}, c.api.WebhookEndpoints.New, webhookEndpoint)
}

// UpdateWebhookEndpoint has an endpoint get events of the types, and be enabled. The form of
// its events stays what it was.
func (c *Client) UpdateWebhookEndpoint(ctx context.Context, key, id string, events []string) (WebhookEndpoint, error) {
	return at(id, &stripe.WebhookEndpointParams{
		Params:        write(ctx, key),
		Disabled:      stripe.Bool(false),
		EnabledEvents: stripe.StringSlice(events),
	}, c.api.WebhookEndpoints.Update, webhookEndpoint)
}

func webhookEndpoint(s *stripe.WebhookEndpoint) (string, WebhookEndpoint) {
	return s.ID, WebhookEndpoint{
		ID:         s.ID,
		Livemode:   s.Livemode,
		URL:        s.URL,
		Events:     s.EnabledEvents,
		Enabled:    s.Status == "enabled",
		APIVersion: s.APIVersion,
		Secret:     s.Secret,
	}
}
