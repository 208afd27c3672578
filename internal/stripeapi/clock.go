package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// Clock is one of Stripe's test clocks: a time of its own, which stands still until it is
// moved on. Clocks are of test mode.
type Clock struct {
	ID        string
	Name      string
	Status    string // ready, advancing or internal_failure
	At        time.Time
	CreatedAt time.Time
}

// ClockReady is the status of a clock that stands still: all that was due has been done.
const ClockReady = string(stripe.TestHelpersTestClockStatusReady)

// Clock fetches a test clock.
func (c *Client) Clock(ctx context.Context, id string) (Clock, error) {
	return at(id, &stripe.TestHelpersTestClockParams{Params: read(ctx)}, c.api.TestHelpersTestClocks.Get, clock)
}

// Clocks lists all test clocks, the newest first.
func (c *Client) Clocks(ctx context.Context) iter.Seq2[Clock, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.TestHelpersTestClocks.List(&stripe.TestHelpersTestClockListParams{ListParams: page})
	}, clock)
}

// CreateClock makes a test clock that stands at the time.
func (c *Client) CreateClock(ctx context.Context, key, name string, at time.Time) (Clock, error) {
	return call(&stripe.TestHelpersTestClockParams{
		Params:     write(ctx, key),
		FrozenTime: stripe.Int64(at.Unix()),
		Name:       optional(name),
	}, c.api.TestHelpersTestClocks.New, clock)
}

// AdvanceClock has a test clock move on. The call returns while it is advancing.
func (c *Client) AdvanceClock(ctx context.Context, key, id string, to time.Time) (Clock, error) {
	return at(id, &stripe.TestHelpersTestClockAdvanceParams{
		Params:     write(ctx, key),
		FrozenTime: stripe.Int64(to.Unix()),
	}, c.api.TestHelpersTestClocks.Advance, clock)
}

func clock(s *stripe.TestHelpersTestClock) (string, Clock) {
	return s.ID, Clock{ID: s.ID, Name: s.Name, Status: string(s.Status), At: moment(s.FrozenTime), CreatedAt: moment(s.Created)}
}
