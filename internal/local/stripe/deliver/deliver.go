// Package deliver brings the events of the stand-in for Stripe to its webhook endpoints: signed
// as Stripe signs, again with growing pauses where an endpoint does not answer 2xx, and on wish
// twice, late and out of order, all of which Stripe does too. What is not delivered when the
// program ends is lost; the events themselves stay with the stand-in.
package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
)

// patience is how long an endpoint may take to answer.
const patience = 10 * time.Second

// heldBack is the most that an event which is overtaken by others waits for them.
const heldBack = time.Second

// Config says where to, and what shall go wrong on the way. Everything but Endpoints may be
// left out.
type Config struct {
	Endpoints func() []stripe.Endpoint // asked for each event and each delivery
	HTTP      *http.Client             // nil: one of its own, which waits 10 s and follows no redirects
	Now       func() time.Time         // nil: time.Now
	Rand      *rand.Rand               // decides what follows; nil: another in each run
	Duplicate float64                  // the part of the events that are delivered twice, 0 to 1
	Reorder   float64                  // the part of the deliveries that take another place in the queue, 0 to 1
	Delay     func() time.Duration     // what each delivery waits; nil: nothing
	Log       *slog.Logger             // nil: discarded
}

// Deliverer holds the deliveries that are to be made. Its methods may be called from several
// goroutines.
type Deliverer struct {
	config Config
	wake   chan struct{}

	mu     sync.Mutex
	queue  []*delivery
	flying int
	busy   map[string]bool // the endpoints that Run is at
}

// delivery is an event on its way to one endpoint.
type delivery struct {
	endpoint string
	event    stripe.Event
	due      time.Time
	tries    int
}

// New makes a deliverer without deliveries.
func New(c Config) *Deliverer {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // no secret comes of it
	}
	if c.Delay == nil {
		c.Delay = func() time.Duration { return 0 }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Deliverer{config: c, wake: make(chan struct{}, 1), busy: map[string]bool{}}
}

// Post queues an event for each endpoint that is enabled and wants its type. It is what the
// stand-in's Config.Deliver calls.
func (d *Deliverer) Post(event stripe.Event) {
	for _, endpoint := range d.config.Endpoints() {
		if endpoint.Status != "enabled" || !slices.Contains(endpoint.Events, "*") && !slices.Contains(endpoint.Events, event.Type) {
			continue
		}
		d.mu.Lock()
		d.add(endpoint.ID, event)
		if d.config.Rand.Float64() < d.config.Duplicate {
			d.add(endpoint.ID, event)
		}
		d.mu.Unlock()
	}
	d.rouse()
}

// rouse has Run look again.
func (d *Deliverer) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Deliverer) add(endpoint string, event stripe.Event) {
	fresh := &delivery{endpoint: endpoint, event: event, due: d.config.Now().Add(d.config.Delay())}
	place := len(d.queue)
	if d.config.Rand.Float64() < d.config.Reorder {
		place = d.config.Rand.IntN(len(d.queue) + 1)
		fresh.due = fresh.due.Add(time.Duration(d.config.Rand.Int64N(int64(heldBack))))
	}
	d.queue = slices.Insert(d.queue, place, fresh)
}

// Pending is how many deliveries are not made yet, those being made included.
func (d *Deliverer) Pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) + d.flying
}

// Run makes deliveries as they come due, those to one endpoint one after the other, until
// ctx ends.
func (d *Deliverer) Run(ctx context.Context) {
	var flights sync.WaitGroup
	defer flights.Wait()
	for ctx.Err() == nil {
		next, wait := d.take(d.config.Now())
		if next != nil {
			flights.Go(func() { d.fly(ctx, next) })
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Flush makes every delivery now, due or not, those that are queued meanwhile too, each once.
// What fails stays queued; the error says how many did and why the last one.
func (d *Deliverer) Flush(ctx context.Context) error {
	var failures []*delivery
	var last error
	for ctx.Err() == nil {
		next := d.takeBut(failures)
		if next == nil {
			break
		}
		if err := d.attempt(ctx, next); err != nil {
			failures, last = append(failures, next), err
		}
	}
	if last != nil {
		return fmt.Errorf("%d webhook deliveries failed: %w", len(failures), last)
	}
	return ctx.Err()
}
