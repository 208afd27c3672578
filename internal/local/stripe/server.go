// Package stripe is a stand-in for Stripe's API, version 2023-10-16: it keeps customers,
// cards, products, prices, subscriptions and invoices, bills them by the clock, takes
// payments, tells events, and repeats a reply under its Idempotency-Key, as Stripe does
// and where Stripe surprises too. No money moves. `server dev` and tests use it, nothing
// in production does; delivering the events to webhook endpoints is the work of
// internal/local/stripe/deliver.
package stripe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Version is the only API version that is served.
const Version = "2023-10-16"

// Config says how the stand-in behaves. Its zero value serves any test key from memory.
type Config struct {
	Key          string           // the secret key that is let in; "" lets in every sk_test_ and rk_test_ key
	Now          func() time.Time // the time of customers without a test clock; nil: time.Now
	URL          func() string    // where the pages are reached, without a slash at its end; nil: http://stripe.invalid
	File         string           // where everything is saved as JSON after each change; "": memory only
	Retries      []time.Duration  // the waits between tries of a failed renewal; nil: 3, 5 and 7 days
	AfterRetries string           // what the subscription becomes after the last: canceled (also ""), unpaid or past_due
	Fault        func(Call) Fault // asked at every call outside the lock; nil: nothing goes wrong
	Deliver      func(Event)      // gets each new event, in order, outside the lock; nil: nobody
	Log          *slog.Logger     // nil: discarded
	Seed         int64            // not 0: ids are the same in every run
}

// Event is something that happened, as webhook endpoints are told of it.
type Event struct {
	ID      string
	Type    string
	Created time.Time // whole seconds, of the clock of what it is about
	Body    []byte    // the JSON as delivered
}

// Endpoint is a webhook endpoint.
type Endpoint struct {
	ID     string
	URL    string
	Secret string   // what deliveries are signed with, whsec_…
	Events []string // the types it wants; "*" is every type
	Status string   // enabled or disabled
}

// Charge is one try to take money.
type Charge struct {
	ID       string
	Invoice  string // "" where it was for none
	Customer string
	Amount   int64 // minor units
	Refunded int64 // minor units of Amount that went back
	Currency string
	Status   string // succeeded or failed
	Created  time.Time
}

// Server is a running stand-in. Its methods may be called from several goroutines.
type Server struct {
	config  Config
	key     []byte // what ids are derived from
	handler http.Handler

	mu       sync.Mutex
	state    *state
	ticking  int64 // the moment that Tick is working on; 0 outside of it
	calls    int
	request  request // whose changes are being made
	outbox   []Event // not yet given to Deliver
	draining bool
	changed  bool // since the file was written
}

// New makes a server, with what Config.File holds where there is such a file.
func New(c Config) (*Server, error) {
	if err := complete(&c); err != nil {
		return nil, err
	}
	s := &Server{config: c, key: make([]byte, 8), state: newState()}
	if c.Seed != 0 {
		binary.BigEndian.PutUint64(s.key, uint64(c.Seed)) //nolint:gosec // any bits will do
	} else {
		_, _ = rand.Read(s.key) // never fails
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

func complete(c *Config) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.URL == nil {
		c.URL = func() string { return "http://stripe.invalid" }
	}
	if c.Retries == nil {
		c.Retries = []time.Duration{3 * 24 * time.Hour, 5 * 24 * time.Hour, 7 * 24 * time.Hour}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch c.AfterRetries {
	case "":
		c.AfterRetries = statusCanceled
	case statusCanceled, statusUnpaid, statusPastDue:
	default:
		return errors.New("the stripe stand-in: AfterRetries is canceled, unpaid or past_due, not " + c.AfterRetries)
	}
	return nil
}

// Handler serves the API under /v1 and the pages under /pages.
func (s *Server) Handler() http.Handler { return s.handler }

// Tick does what has come due by Config.Now for customers without a test clock. An error
// means that the file could not be written.
func (s *Server) Tick(ctx context.Context) error {
	s.mu.Lock()
	s.advance(ctx, "", s.config.Now().Unix())
	err := s.save()
	s.mu.Unlock()
	s.drain()
	return err
}

// Events returns every event, those too old for the API as well, the oldest first.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []Event
	for _, e := range s.state.Events.all() {
		events = append(events, e.public())
	}
	return events
}

// Endpoints returns the webhook endpoints, disabled ones too, the oldest first.
func (s *Server) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	var endpoints []Endpoint
	for _, e := range s.state.Endpoints.all() {
		endpoints = append(endpoints, Endpoint{ID: e.ID, URL: e.URL, Secret: e.Secret, Events: e.EnabledEvents, Status: e.Status})
	}
	return endpoints
}

// Charges returns every try to take money, failed ones too, the oldest first.
func (s *Server) Charges() []Charge {
	s.mu.Lock()
	defer s.mu.Unlock()
	var charges []Charge
	for _, c := range s.state.Charges.all() {
		charges = append(charges, Charge{ID: c.ID, Invoice: string(c.Invoice), Customer: string(c.Customer), Amount: c.Amount,
			Refunded: c.AmountRefunded, Currency: c.Currency, Status: c.Status, Created: time.Unix(c.Created, 0).UTC()})
	}
	return charges
}
