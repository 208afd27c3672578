package actions

import (
	"context"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripesync"
	"github.com/nself/tenancy/internal/tenant"
)

// forStripe is an action of the operator's that speaks to Stripe, and so in no
// transaction. The session's tenant is the one that the input names; none where it names
// none. What was done is noted in the audit log after it: done says with what outcome, nil
// that nothing changed.
func forStripe[In, Out any](b billings, name string, op func(ctx context.Context, s session.Session, in In) (out Out, done map[string]any, err error)) Action {
	return b.whileEnabled(Action{
		Name: name, Roles: operatorOnly, Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](),
		serve: func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
			in, err := decode[In](c)
			if err != nil {
				return nil, err
			}
			s, err := about(ctx, db, c.session, in)
			if err != nil {
				return nil, err
			}
			out, done, err := op(ctx, s, in)
			if err == nil && done != nil {
				err = b.note(ctx, db, s, audited[name], done)
			}
			return out, err
		},
	})
}

// audited are the actions as the audit log names them.
var audited = map[string]string{
	"setupBilling": "setup_billing", "replayBillingEvents": "replay_billing_events", "reconcileBilling": "reconcile_billing",
	"startBillingClock": "start_billing_clock", "advanceBillingClock": "advance_billing_clock",
}

// tenantless is an input that need not name a tenant.
type tenantless interface{ namesNone() bool }

// about is the session in the tenant that the input names.
func about(ctx context.Context, db *pgxpool.Pool, s session.Session, in any) (session.Session, error) {
	s.Tenant = id.Tenant{}
	named, ok := in.(tenantNamed)
	if free, may := in.(tenantless); !ok || may && free.namesNone() {
		return s, nil
	}
	found, err := tenant.Resolve(ctx, db, named.tenantName())
	s.Tenant = found
	requestlog.Tenant(ctx, found)
	return s, err
}

func (b billings) note(ctx context.Context, db *pgxpool.Pool, s session.Session, action string, done map[string]any) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := pg.EnterServer(ctx, tx, s); err != nil {
			return err
		}
		entry := audit.Entry{Tenant: s.Tenant, Action: action, Target: "billing", After: done}
		if !s.Tenant.IsZero() {
			entry.Target = "tenant:" + s.Tenant.String()
		}
		return audit.Append(ctx, tx, s, entry)
	})
}

type setupInput struct {
	WebhookURL *string `json:"webhookUrl"`
}

type billingPriceReply struct {
	Plan        *string `json:"plan"`
	Addon       *string `json:"addon"`
	PriceID     string  `json:"priceId"`
	AmountMinor int64   `json:"amountMinor"`
	Currency    string  `json:"currency"`
	State       string  `json:"state"`
}

type setupReply struct {
	Prices          []billingPriceReply `json:"prices"`
	WebhookEndpoint *string             `json:"webhookEndpoint"`
	WebhookState    *string             `json:"webhookState"`
	WebhookSecret   *string             `json:"webhookSecret"`
}

func (b billings) setup(ctx context.Context, _ session.Session, in setupInput) (setupReply, map[string]any, error) {
	r, err := b.Billing.Setup(ctx, purchase.SetupInput{WebhookURL: value(in.WebhookURL)})
	reply := setupReply{
		Prices: make([]billingPriceReply, len(r.Prices)), WebhookEndpoint: told(r.WebhookEndpoint),
		WebhookState: told(r.WebhookState), WebhookSecret: told(r.WebhookSecret),
	}
	for i, p := range r.Prices {
		reply.Prices[i] = billingPriceReply{
			Plan: told(p.Plan), Addon: told(p.Addon), PriceID: p.PriceID, AmountMinor: p.AmountMinor, Currency: p.Currency, State: p.State,
		}
	}
	return reply, map[string]any{"prices": len(r.Prices), "webhook_endpoint": r.WebhookEndpoint, "webhook_state": r.WebhookState}, err
}

type replayBillingInput struct {
	IDs   *[]string  `json:"ids"`
	Since *time.Time `json:"since"`
	ids   []string
}

func (in *replayBillingInput) validate(_ session.Session, problems *fault.Problems) {
	if in.IDs != nil {
		in.ids = *in.IDs
	}
	switch {
	case len(in.ids) > mostListed:
		problems.Add("ids", "must be at most %d; got %d", mostListed, len(in.ids))
	case len(in.ids) == 0 && in.Since == nil:
		problems.Add("ids", "must name the events, where since does not say from when on")
	case len(in.ids) > 0 && in.Since != nil:
		problems.Add("since", "must be left out where ids names the events")
	}
}

type replayedBillingReply struct {
	Replayed int `json:"replayed"`
	Applied  int `json:"applied"`
	Parked   int `json:"parked"`
	Dead     int `json:"dead"`
	Waiting  int `json:"waiting"`

	Next *time.Time `json:"next"`
}

func (b billings) replay(ctx context.Context, _ session.Session, in replayBillingInput) (replayedBillingReply, map[string]any, error) {
	var since time.Time
	if in.Since != nil {
		since = *in.Since
	}
	r, err := b.StripeSync.Replay(ctx, in.ids, since)
	reply := replayedBillingReply{Replayed: r.Replayed, Applied: r.Applied, Parked: r.Parked, Dead: r.Dead, Waiting: r.Waiting}
	if !r.Next.IsZero() {
		reply.Next = &r.Next
	}
	return reply, map[string]any{"replayed": r.Replayed, "applied": r.Applied, "parked": r.Parked, "dead": r.Dead, "waiting": r.Waiting}, err
}

type reconcileBillingInput struct {
	ownTenant
	Fix *bool `json:"fix"`
}

func (in reconcileBillingInput) namesNone() bool { return in.Tenant == nil }

type billingDriftReply struct {
	TenantID *id.Tenant `json:"tenantId"`
	ObjectID string     `json:"objectId"`
	What     string     `json:"what"`
	Here     *string    `json:"here"`
	There    *string    `json:"there"`
}

type reconciledReply struct {
	Customers     int                 `json:"customers"`
	Subscriptions int                 `json:"subscriptions"`
	Invoices      int                 `json:"invoices"`
	Charges       int                 `json:"charges"`
	Fixed         int                 `json:"fixed"`
	Drift         []billingDriftReply `json:"drift"`
}

func (b billings) reconcile(ctx context.Context, s session.Session, in reconcileBillingInput) (reconciledReply, map[string]any, error) {
	fix := in.Fix != nil && *in.Fix
	r, err := b.StripeSync.Reconcile(ctx, stripesync.ReconcileInput{Tenant: known(s.Tenant), Fix: fix})
	reply := reconciledReply{
		Customers: r.Customers, Subscriptions: r.Subscriptions, Invoices: r.Invoices, Charges: r.Charges,
		Fixed: r.Fixed, Drift: make([]billingDriftReply, len(r.Drift)),
	}
	for i, d := range r.Drift {
		reply.Drift[i] = billingDriftReply{TenantID: known(d.TenantID), ObjectID: d.ObjectID, What: d.What, Here: told(d.Here), There: told(d.There)}
	}
	return reply, map[string]any{"fix": fix, "fixed": r.Fixed, "differ": len(r.Drift)}, err
}

type clockReply struct {
	ClockAt time.Time `json:"clockAt"`
}

type startClockInput struct {
	anyTenant
	At time.Time `json:"at"`
}

func (b billings) startClock(ctx context.Context, s session.Session, in startClockInput) (clockReply, map[string]any, error) {
	at, err := b.Billing.StartClock(ctx, s.Tenant, in.At)
	return clockReply{at}, map[string]any{"clock_at": at}, err
}

type advanceClockInput struct {
	anyTenant
	To time.Time `json:"to"`
}

func (b billings) advanceClock(ctx context.Context, s session.Session, in advanceClockInput) (clockReply, map[string]any, error) {
	at, err := b.Billing.AdvanceClock(ctx, s.Tenant, in.To)
	return clockReply{at}, map[string]any{"clock_at": at}, err
}
