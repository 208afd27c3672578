package purchase

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepClock     = "clock"
	clockPatience = 20 * time.Second // how long an advancing clock is waited for
)

func (d *Desk) refuseLive() error {
	if d.config.Stripe.Livemode() {
		return fault.New(fault.Forbidden, "Stripe's test clocks are of test mode; the secret key of this installation is of live mode")
	}
	return nil
}

// StartClock makes a customer for a tenant that has none, who lives by a test clock of its
// own, and says what time it is there. Forbidden in live mode.
func (d *Desk) StartClock(ctx context.Context, tenant id.Tenant, at time.Time) (time.Time, error) {
	if err := d.refuseLive(); err != nil {
		return time.Time{}, err
	}
	op, err := d.begin(ctx, d.config.DB, tenant, startClock{At: at})
	if err != nil {
		return time.Time{}, err
	}
	if _, err := d.Run(ctx, tenant, op); err != nil {
		return time.Time{}, err
	}
	return d.clock(ctx, tenant)
}

func (d *Desk) checkClock(ctx context.Context, tx pgx.Tx, tenant id.Tenant) error {
	_, err := billing.CustomerOf(ctx, tx, tenant)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.WrongStatus, "the tenant has a customer at Stripe, and a customer cannot be moved to a test clock; take a new tenant").With("status", "customer")
}

// startClock makes the clock, and the customer on it.
func (r *run) startClock(ctx context.Context) error {
	in, err := input[startClock](r.op)
	if err != nil {
		return err
	}
	stripe := r.desk.config.Stripe
	name := "nself " + r.op.ID.String()
	clock, err := r.do(ctx, call{
		step: stepClock,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateClock(ctx, key, name, in.At)
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			made, _, err := find(stripe.Clocks(ctx), func(c stripeapi.Clock) bool { return c.Name == name })
			return made.ID, err
		},
	})
	if err != nil {
		return err
	}
	_, err = r.customer(ctx, clock)
	return err
}

// AdvanceClock moves the tenant's test clock on, waits until all that came due is done,
// brings it in, and says what time it is there. Wrong-status: the tenant lives by no test
// clock. Unavailable: the clock is still advancing.
func (d *Desk) AdvanceClock(ctx context.Context, tenant id.Tenant, to time.Time) (time.Time, error) {
	if err := d.refuseLive(); err != nil {
		return time.Time{}, err
	}
	customer, err := billing.CustomerOf(ctx, d.config.DB, tenant)
	if err == nil && customer.ClockID == nil {
		err = fault.New(fault.WrongStatus, "the tenant lives by no test clock; start one before it buys anything").With("status", "customer")
	}
	if err != nil {
		return time.Time{}, err
	}
	if err := d.moveClock(ctx, *customer.ClockID, to); err != nil {
		return time.Time{}, err
	}
	if err := d.awaitClock(ctx, *customer.ClockID); err != nil {
		return time.Time{}, err
	}
	if err := d.syncAll(ctx, *customer.ClockID, customer.StripeID); err != nil {
		return time.Time{}, fault.New(fault.Unavailable, "the clock is moved, but what happened could not be brought in; it comes by itself").Because(err)
	}
	return d.clock(ctx, tenant)
}

func (d *Desk) moveClock(ctx context.Context, clock string, to time.Time) error {
	stripe := d.config.Stripe
	if stands, err := stripe.Clock(ctx, clock); err == nil && to.Before(stands.At) {
		return fault.New(fault.InvalidInput, "to is %s, which is before %s, where the clock stands: it only goes forward",
			to.UTC().Format(time.RFC3339), stands.At.UTC().Format(time.RFC3339))
	}
	move := func(key string) (stripeapi.Clock, error) { return stripe.AdvanceClock(ctx, key, clock, to) }
	look := func() (stripeapi.Clock, bool, error) {
		now, err := stripe.Clock(ctx, clock)
		return now, now.Status != stripeapi.ClockReady || now.At.Equal(to.Truncate(time.Second)), err
	}
	_, err := again(ctx, fmt.Sprintf("nself:advance:%s:%d", clock, to.Unix()), move, look)
	if err == nil {
		return nil
	}
	if how := failureOf(err); how != nil {
		return how.fault()
	}
	return fault.New(fault.Unavailable, "Stripe did not move the clock; try again").Because(err)
}

func (d *Desk) awaitClock(ctx context.Context, clock string) error {
	for until := time.Now().Add(clockPatience); ; {
		now, err := d.config.Stripe.Clock(ctx, clock)
		if err == nil && now.Status == stripeapi.ClockReady {
			return nil
		}
		if time.Now().After(until) {
			return fault.New(fault.Unavailable, "the test clock %s is still advancing; what happens comes in by itself", clock).Because(err)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// syncAll brings in everything of a customer, in the order in which it hangs together: the
// time comes after all that happened until then.
func (d *Desk) syncAll(ctx context.Context, clock, customer string) error {
	stripe, now := d.config.Stripe, d.config.Sync.Now
	if err := now(ctx, objectCustomer, customer, customer); err != nil {
		return err
	}
	for s, err := range stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: customer}) {
		if err != nil {
			return err
		}
		if err := now(ctx, objectSubscription, s.ID, customer); err != nil {
			return err
		}
	}
	for in, err := range stripe.Invoices(ctx, stripeapi.InvoiceFilter{Customer: customer}) {
		if err != nil {
			return err
		}
		if err := now(ctx, objectInvoice, in.ID, customer); err != nil {
			return err
		}
	}
	for c, err := range stripe.Charges(ctx, stripeapi.ChargeFilter{Customer: customer}) {
		if err != nil {
			return err
		}
		if err := now(ctx, objectCharge, c.ID, customer); err != nil {
			return err
		}
	}
	return now(ctx, objectClock, clock, "") // a clock is of many customers
}
