// Package purchase changes what a tenant has at Stripe: it subscribes, changes plans and
// add-ons, sets payment methods, cancels, opens checkout and portal, and bills overages.
// Each change is an operation (billing.operations) that is begun in the caller's
// transaction, taken step by step under a lease with idempotency keys made of its id, and
// finished by the queue where whoever began it could not. What Stripe answers is written
// to no mirrored table: internal/stripesync is asked to fetch what things are now.
package purchase

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

// Syncer brings the present state of one of Stripe's objects in.
type Syncer interface {
	Now(ctx context.Context, kind, id, customer string) error
}

// Config is what a Desk works with; nothing may be nil.
type Config struct {
	DB             *pgxpool.Pool // as nself_server
	Stripe         *stripeapi.Client
	Sync           Syncer
	Push           func(ctx context.Context, tx pgx.Tx, tenant id.Tenant, op id.Operation) error // in 30 seconds, as nself_server, has Finish called for it
	Events         []string                                                                      // the types of events that Setup asks Stripe for: stripesync.Types()
	BaseDomain     string                                                                        // browsers are sent back to it and the hosts below it alone
	PublishableKey string                                                                        // for whoever shows a card form; empty: none is told
	Log            *slog.Logger
}

// Desk makes changes at Stripe.
type Desk struct{ config Config }

// New makes a Desk.
func New(config Config) *Desk { return &Desk{config: config} }

// PublishableKey is what a browser needs to confirm a payment; empty: none is configured.
func (d *Desk) PublishableKey() string { return d.config.PublishableKey }

// Result is how an operation ended.
type Result struct {
	Operation    id.Operation
	State        string                   // done
	Subscription *billing.SubscriptionRow // nil: the tenant has none
	ClientSecret string                   // where the customer has to confirm the payment; kept and logged nowhere
	HostedURL    string                   // where an invoice that is open can be paid
	URL          string                   // of a checkout or portal
	ExpiresAt    time.Time                // of a checkout
}

// The states of an operation.
const (
	stateOpen   = "open"
	stateDone   = "done"
	stateFailed = "failed"
)
