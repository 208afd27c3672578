// Package stripesync follows Stripe. An event is a hint that an object changed: it is kept,
// and whoever holds the object's lease fetches what the object is now and has
// internal/billing apply that, so that the order of events, their copies and lost answers
// do not matter. It owns the ledgers billing.stripe_events and billing.stripe_objects, and
// the comparison of Stripe's lists with the rows here (billing.drift). It changes nothing
// at Stripe, and what a fact means for an account is for internal/billing to say.
package stripesync

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/stripeapi"
)

// Config is what following needs; all of it but Applied.
type Config struct {
	DB     *pgxpool.Pool // as nself_server
	Stripe *stripeapi.Client
	Book   *billing.Book
	// Push puts a job for each object into the transaction; the job calls Object.
	Push func(ctx context.Context, tx pgx.Tx, objects ...string) error
	Log  *slog.Logger
	// Applied is told of what became of each try to follow an object: applied, parked,
	// waiting (newer hints came), late (another had taken the lease), busy (Stripe, or what
	// has to come first) or failed; and of an event of another version of Stripe's API:
	// other-version. nil: nobody is.
	Applied func(kind, outcome string)
}

// Sync follows one account of Stripe.
type Sync struct {
	config Config
	slots  [slotCount]*slot
}

// New makes a Sync. Nothing runs until something is asked of it.
func New(config Config) *Sync {
	s := &Sync{config: config}
	for i := range s.slots {
		s.slots[i] = &slot{sync: s}
	}
	return s
}

func (s *Sync) note(kind, outcome string) {
	if s.config.Applied != nil {
		s.config.Applied(kind, outcome)
	}
}

// Event is a delivery of one of Stripe's events.
type Event struct {
	ID         string
	Type       string // such as invoice.paid
	Object     string // the id of what it is about
	Kind       string // what KindOf says of it
	Customer   string // whose object it is; empty: the event does not say
	Livemode   bool
	APIVersion string
	CreatedAt  time.Time
	Payload    []byte // as it was delivered; kept of the types that are followed alone
}

// Outcome says what became of a delivery.
type Outcome string

// Accepted: it is kept, and its object will be followed. Repeated: it had been kept
// before. Ignored: it is kept, and is about nothing that is followed. Parked: it is kept,
// and is of a mode that the key of this server cannot see.
const (
	Accepted Outcome = "accepted"
	Repeated Outcome = "repeated"
	Ignored  Outcome = stateIgnored
	Parked   Outcome = stateParked
)

// The states of an object and, ignored beside them, of an event.
const (
	stateWaiting = "waiting"
	stateApplied = "applied"
	stateParked  = "parked"
	stateDead    = "dead"
	stateIgnored = "ignored"
)
