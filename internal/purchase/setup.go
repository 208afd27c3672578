package purchase

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

// SetupInput is what Setup is told.
type SetupInput struct {
	WebhookURL string // where Stripe is to tell of events; empty: no endpoint is made
}

// What Setup did to a price or an endpoint.
const (
	SetupCreated   = "created"
	SetupReplaced  = "replaced" // a new price took the old one's place; who pays that goes on doing so
	SetupUpdated   = "updated"
	SetupUnchanged = "unchanged"
)

// SetupPrice is what a plan or an add-on is sold at.
type SetupPrice struct {
	Plan        string // one of Plan and Addon is empty
	Addon       string
	PriceID     string
	AmountMinor int64
	Currency    string
	State       string
}

// SetupReport is what Setup found and made.
type SetupReport struct {
	Prices          []SetupPrice
	WebhookEndpoint string // its id; empty, as State: none was asked for
	WebhookState    string
	WebhookSecret   string // told where the endpoint was created, and never again
}

// Setup makes at Stripe what selling needs: a product and a monthly price for each plan
// and add-on that costs something, and the endpoint that events are sent to. What is there
// stays, so that it can be run again and again. Faults: invalid-input, unavailable.
func (d *Desk) Setup(ctx context.Context, in SetupInput) (SetupReport, error) {
	var report SetupReport
	goods, err := pg.All[good](ctx, d.config.DB, goodsSQL, nil)
	if err != nil {
		return report, fmt.Errorf("read the plans and add-ons: %w", pg.Explain(err))
	}
	prices, err := d.pricesOf(ctx, goods)
	if err != nil {
		return report, told("list the prices", err)
	}
	for _, g := range goods {
		priced, err := d.setUpPrice(ctx, g, prices)
		if err != nil {
			return report, told("set up "+g.kind()+" "+g.Code, err)
		}
		report.Prices = append(report.Prices, priced)
	}
	if in.WebhookURL != "" {
		err = told("set up the webhook endpoint", d.setUpEndpoint(ctx, in.WebhookURL, &report))
	}
	return report, err
}

// told makes a fault of what Stripe refused, and leaves what went wrong otherwise.
func told(what string, err error) error {
	if err == nil {
		return nil
	}
	if how := failureOf(err); how != nil {
		return how.fault().Because(fmt.Errorf("%s: %w", what, err))
	}
	return unanswered(what, err)
}

// good is a plan or an add-on that costs something.
type good struct {
	Code        string `db:"code"`
	Name        string `db:"name"`
	Addon       bool   `db:"addon"`
	AmountMinor int64  `db:"price_minor"`
	Currency    string `db:"currency"`
}

const goodsSQL = `
SELECT code, name, addon, price_minor, currency FROM (
	SELECT code, name, false AS addon, price_minor, currency, position FROM billing.plans
	UNION ALL SELECT code, name, true, price_minor, currency, position FROM billing.addons) g
WHERE price_minor > 0 ORDER BY addon, position, code`

func (g good) kind() string {
	if g.Addon {
		return "addon"
	}
	return "plan"
}

func (g good) product() string   { return "nself_" + g.kind() + "_" + g.Code }
func (g good) lookupKey() string { return "nself:" + g.kind() + ":" + g.Code }

// sells says whether a price is what the good is to be sold at.
func (g good) sells(p stripeapi.Price) bool {
	return p.Active && p.AmountMinor == g.AmountMinor && p.Currency == g.Currency && p.Product == g.product() && p.Interval == "month" && p.Every == 1
}

// ofThousand are the currencies of three decimals that Stripe takes, with two of them only.
var ofThousand = []string{"bhd", "jod", "kwd", "omr", "tnd"}

// pricesOf are the prices that goods are sold at now, by lookup key.
func (d *Desk) pricesOf(ctx context.Context, goods []good) (map[string]stripeapi.Price, error) {
	found := map[string]stripeapi.Price{}
	if len(goods) == 0 {
		return found, nil
	}
	keys := make([]string, len(goods))
	for i, g := range goods {
		keys[i] = g.lookupKey()
	}
	for p, err := range d.config.Stripe.Prices(ctx, stripeapi.PriceFilter{LookupKeys: keys}) {
		if err != nil {
			return nil, err
		}
		found[p.LookupKey] = p
	}
	return found, nil
}

func (d *Desk) setUpPrice(ctx context.Context, g good, prices map[string]stripeapi.Price) (SetupPrice, error) {
	if slices.Contains(ofThousand, g.Currency) && g.AmountMinor%10 != 0 {
		return SetupPrice{}, fault.New(fault.InvalidInput, "%s %s costs %d in minor units of %s, of which Stripe takes only amounts whose last digit is 0: make it %d",
			g.kind(), g.Code, g.AmountMinor, g.Currency, g.AmountMinor/10*10)
	}
	if err := d.setUpProduct(ctx, g); err != nil {
		return SetupPrice{}, err
	}
	p, found := prices[g.lookupKey()]
	state := SetupUnchanged
	if !g.sells(p) {
		state = SetupCreated
		if found {
			state = SetupReplaced
		}
		var err error
		if p, err = d.createPrice(ctx, g, p.ID); err != nil {
			return SetupPrice{}, err
		}
	}
	if err := d.keepPrice(ctx, g, p); err != nil {
		return SetupPrice{}, err
	}
	priced := SetupPrice{PriceID: p.ID, AmountMinor: p.AmountMinor, Currency: p.Currency, State: state}
	if g.Addon {
		priced.Addon = g.Code
	} else {
		priced.Plan = g.Code
	}
	return priced, nil
}

func (d *Desk) setUpProduct(ctx context.Context, g good) error {
	stripe := d.config.Stripe
	_, err := stripe.Product(ctx, g.product())
	if !stripeapi.Is(err, stripeapi.NotFound) {
		return err
	}
	look := func() (stripeapi.Product, bool, error) {
		p, err := stripe.Product(ctx, g.product())
		if stripeapi.Is(err, stripeapi.NotFound) {
			return p, false, nil
		}
		return p, err == nil, err
	}
	_, err = again(ctx, "nself:setup:"+g.product(), func(key string) (stripeapi.Product, error) {
		return stripe.CreateProduct(ctx, key, g.product(), g.Name)
	}, look)
	if stripeapi.Is(err, stripeapi.Refused) { // another made it meanwhile
		if _, found, _ := look(); found {
			return nil
		}
	}
	return err
}

// createPrice makes the price that takes over from another, whose id is part of the key:
// a price that comes back to a former amount is another price.
func (d *Desk) createPrice(ctx context.Context, g good, replaced string) (stripeapi.Price, error) {
	stripe := d.config.Stripe
	key := fmt.Sprintf("nself:setup:%s:%s:%d:%s", g.lookupKey(), replaced, g.AmountMinor, g.Currency)
	return again(ctx, key, func(key string) (stripeapi.Price, error) {
		return stripe.CreatePrice(ctx, key, stripeapi.PriceInput{Product: g.product(), LookupKey: g.lookupKey(), AmountMinor: g.AmountMinor, Currency: g.Currency})
	}, func() (stripeapi.Price, bool, error) {
		now, err := d.pricesOf(ctx, []good{g})
		p := now[g.lookupKey()]
		return p, g.sells(p), err
	})
}

const retirePricesSQL = `
UPDATE billing.prices SET active = false
WHERE livemode = @livemode AND active AND price_id <> @price_id AND (plan = @plan OR addon = @addon)`

const keepPriceSQL = `
INSERT INTO billing.prices (price_id, livemode, plan, addon, product_id, amount_minor, currency)
VALUES (@price_id, @livemode, @plan, @addon, @product_id, @amount_minor, @currency)
ON CONFLICT (price_id) DO UPDATE SET active = true, plan = excluded.plan, addon = excluded.addon, product_id = excluded.product_id`

func (d *Desk) keepPrice(ctx context.Context, g good, p stripeapi.Price) error {
	args := pgx.NamedArgs{
		"price_id": p.ID, "livemode": d.config.Stripe.Livemode(), "plan": (*string)(nil), "addon": (*string)(nil),
		"product_id": p.Product, "amount_minor": p.AmountMinor, "currency": p.Currency,
	}
	args[g.kind()] = &g.Code
	err := pg.InTx(ctx, d.config.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, retirePricesSQL, args); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, keepPriceSQL, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the price %s: %w", p.ID, pg.Explain(err))
	}
	return nil
}
