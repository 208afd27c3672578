package purchase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

const retiredPricesSQL = `
SELECT price_id FROM billing.prices
WHERE livemode = @livemode AND NOT active AND price_id <> @price_id AND (plan = @plan OR addon = @addon)`

// retire keeps the former prices of a good from being bought at Stripe.
func (d *Desk) retire(ctx context.Context, g good, sold string) error {
	args := pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "price_id": sold, "plan": (*string)(nil), "addon": (*string)(nil)}
	args[g.kind()] = &g.Code
	rows, _ := d.config.DB.Query(ctx, retiredPricesSQL, args)
	former, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the former prices of %s: %w", g.Code, pg.Explain(err))
	}
	if len(former) == 0 {
		return nil
	}
	stripe := d.config.Stripe
	for p, err := range stripe.Prices(ctx, stripeapi.PriceFilter{Product: g.product()}) {
		if err != nil {
			return err
		}
		if !p.Active || !slices.Contains(former, p.ID) {
			continue
		}
		_, err := again(ctx, "nself:setup:retire:"+uuid.NewString(), func(key string) (stripeapi.Price, error) {
			return stripe.UpdatePrice(ctx, key, p.ID, false)
		}, func() (stripeapi.Price, bool, error) { return p, false, nil })
		if err != nil {
			return err
		}
	}
	return nil
}

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
