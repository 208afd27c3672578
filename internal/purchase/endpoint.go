package purchase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

// setUpEndpoint makes the endpoint at the address, or brings the one that is there up to
// date.
func (d *Desk) setUpEndpoint(ctx context.Context, address string, report *SetupReport) error {
	var problems fault.Problems
	if checkURL("webhookUrl", address, &problems); problems.Fault() != nil {
		return problems.Fault()
	}
	if len(d.config.Events) == 0 {
		return errors.New("no events are configured that an endpoint could ask for")
	}
	stripe := d.config.Stripe
	there := func() (stripeapi.WebhookEndpoint, bool, error) {
		return find(stripe.WebhookEndpoints(ctx), func(e stripeapi.WebhookEndpoint) bool { return e.URL == address })
	}
	endpoint, found, err := there()
	if err != nil {
		return err
	}
	if found {
		report.WebhookEndpoint = endpoint.ID
		report.WebhookState, err = d.updateEndpoint(ctx, endpoint)
		return err
	}
	// A key of this call alone: the endpoint of an earlier one may have been deleted since.
	endpoint, err = again(ctx, "nself:setup:webhook:"+uuid.NewString(), func(key string) (stripeapi.WebhookEndpoint, error) {
		return stripe.CreateWebhookEndpoint(ctx, key, address, d.config.Events)
	}, there)
	if err != nil {
		return err
	}
	report.WebhookEndpoint, report.WebhookState, report.WebhookSecret = endpoint.ID, SetupCreated, endpoint.Secret
	return nil
}

func (d *Desk) updateEndpoint(ctx context.Context, e stripeapi.WebhookEndpoint) (state string, err error) {
	if e.APIVersion != stripeapi.Version {
		return "", fault.New(fault.WrongStatus, "the webhook endpoint %s speaks version %q of Stripe's API, and this server %s: delete it and run this again", e.ID, e.APIVersion, stripeapi.Version).
			With("status", e.APIVersion)
	}
	if e.Enabled && slices.Equal(slices.Sorted(slices.Values(e.Events)), slices.Sorted(slices.Values(d.config.Events))) {
		return SetupUnchanged, nil
	}
	_, err = again(ctx, "nself:setup:webhook:"+uuid.NewString(), func(key string) (stripeapi.WebhookEndpoint, error) {
		return d.config.Stripe.UpdateWebhookEndpoint(ctx, key, e.ID, d.config.Events)
	}, func() (stripeapi.WebhookEndpoint, bool, error) { return e, false, nil })
	return SetupUpdated, err
}

// unanswered is for what may go better next time.
func unanswered(what string, err error) error {
	var answer *stripeapi.Error
	if errors.As(err, &answer) {
		return fault.New(fault.Unavailable, "Stripe did not answer; run it again").Because(fmt.Errorf("%s: %w", what, err))
	}
	return fmt.Errorf("%s: %w", what, err)
}
