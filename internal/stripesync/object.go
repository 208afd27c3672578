package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	mostRounds = 10               // of one who follows an object while hints keep coming
	fetchTime  = 45 * time.Second // well within leaseTime
	landTime   = 30 * time.Second
	nowTime    = 10 * time.Second // that Now waits for another's lease
	nowPause   = 50 * time.Millisecond
	slowDown   = 5 // seconds that Stripe is left alone where it asks for that
)

// errLate is the fate of one who stood still for longer than the lease: another follows
// the object, and nothing of what was fetched is applied.
var errLate = errors.New("the lease is another's by now")

// Object follows an object: it is the work of the job that Push puts in the queue. nil:
// what the object is now stands here, or it is parked with the reason, or nothing is known
// of it that would have to be followed. Unavailable with retryAfter: another is at it, or
// Stripe asks to be left alone for a while. Any other error is worth another try.
func (s *Sync) Object(ctx context.Context, object string) error {
	for range mostRounds {
		h, taken, err := s.take(ctx, s.config.DB, object)
		if err != nil {
			return err
		}
		if !taken {
			return nil
		}
		again, err := s.follow(ctx, h)
		if err != nil || !again {
			return err
		}
	}
	return errBusy(object) // by those whose hints keep coming
}

// follow fetches and applies a held object, and gives the lease back. again says that it is
// to be followed once more: newer hints came, or another took it.
func (s *Sync) follow(ctx context.Context, h held) (again bool, err error) {
	outcome := "failed" // also of a panic
	defer func() {
		switch outcome {
		case "failed":
			s.release(ctx, h, 1)
		case "busy":
			s.release(ctx, h, 0)
		}
		s.note(h.Kind, outcome)
	}()
	state, err := s.fetchAndLand(ctx, h)
	switch {
	case errors.Is(err, errLate):
		outcome = "late"
		return true, nil
	case fault.Is(err, fault.Unavailable) && h.Overdue:
		return false, errors.New("it was put off for too long: " + err.Error()) // which is no fault any more that puts it off
	case fault.Is(err, fault.Unavailable):
		outcome = "busy"
		return false, err
	case err != nil:
		return false, err
	}
	outcome = state
	return state == stateWaiting, nil
}

func (s *Sync) fetchAndLand(ctx context.Context, h held) (state string, err error) {
	if h.Livemode != s.config.Stripe.Livemode() {
		return s.park(ctx, h, modesDiffer(h.Livemode))
	}
	fetching, cancel := context.WithTimeout(ctx, fetchTime)
	f, err := s.fetch(fetching, h.Kind, h.Object)
	cancel()
	if said := (*stripeapi.Error)(nil); errors.As(err, &said) {
		switch said.Kind {
		case stripeapi.NotFound:
			return s.missing(ctx, h)
		case stripeapi.Busy:
			return "", fault.New(fault.Unavailable, "Stripe has no time for %s; try again", h.Object).With("retryAfter", slowDown).Because(err)
		}
	}
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", h.Object, err)
	}
	return s.landOrPark(ctx, h, f)
}

func (s *Sync) landOrPark(ctx context.Context, h held, f fact) (state string, err error) {
	landing, cancel := context.WithTimeout(ctx, landTime)
	defer cancel()
	state, err = s.land(landing, h, f)
	if reason, hopeless := refusal(err); hopeless {
		return s.park(ctx, h, reason)
	}
	return state, err
}

// missing ends the following of an object that Stripe does not have. A draft of an invoice
// that was deleted is a fact like any other; of the rest a person has to be told.
func (s *Sync) missing(ctx context.Context, h held) (state string, err error) {
	reason := "Stripe has no such " + h.Kind
	if h.Kind == Invoice && h.Customer != "" {
		tenant, err := billing.TenantOf(ctx, s.config.DB, h.Customer)
		if err != nil {
			return "", err
		}
		if !tenant.IsZero() {
			return s.landOrPark(ctx, h, s.forgotten(h, reason))
		}
	}
	return s.park(ctx, h, reason)
}

// refusal is why a fact cannot be applied, where no other try can help.
func refusal(err error) (string, bool) {
	if err == nil || errors.Is(err, errLate) {
		return "", false
	}
	f := fault.From(pg.Explain(err))
	return f.Message, f.Code != fault.Unavailable && f.Code != fault.Internal
}

// park ends the following of a held object whose fact is not applied.
func (s *Sync) park(ctx context.Context, h held, reason string) (state string, err error) {
	err = pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		state, err = finish(ctx, tx, h, "", reason)
		return err
	})
	return state, err
}

const buryAllTenantsSQL = `
UPDATE billing.stripe_objects SET state = 'dead', reason = @reason
WHERE object_id = @object AND state = 'waiting' AND (leased_until IS NULL OR leased_until <= clock_timestamp())`

// Bury ends the following of an object whose job failed for the last time, with the cause
// as the reason. The next hint, or a replay, has it followed again.
func (s *Sync) Bury(ctx context.Context, object string, cause error) error {
	reason := "every try failed"
	if cause != nil {
		reason += ": " + cause.Error()
	}
	if _, err := s.config.DB.Exec(ctx, buryAllTenantsSQL, pgx.NamedArgs{"object": object, "reason": brief(reason)}); err != nil {
		return fmt.Errorf("bury %s: %w", object, err)
	}
	return nil
}
