package purchase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nself/tenancy/internal/stripeapi"
)

// call is one write to Stripe, which is a step of an operation.
type call struct {
	step string // its name in the results and in the key
	// write makes the call and returns the id of what it made.
	write func(ctx context.Context, key string) (string, error)
	// look finds what the call made although its answer was an error; empty: it made nothing.
	look func(ctx context.Context) (string, error)
}

const (
	mostTries  = 5                      // of a call within one run
	firstPause = 100 * time.Millisecond // between tries; each is twice the one before
)

// do takes a step that is not done yet, once, however often it has to be asked for: the
// same idempotency key as long as no answer came. An answer of 5xx stands under its key
// for good, so it is looked whether the step was done after all, and where it was not the
// key gets another generation, which is noted before it is used. Of an operation that is
// too old it is looked alone.
func (r *run) do(ctx context.Context, c call) (string, error) {
	done := r.op.Results[c.step]
	if done.Done {
		return done.ID, nil
	}
	stored := 0 // 5xx answers to this key
	for try := range mostTries {
		err := r.ready(ctx, try)
		if errors.Is(err, errTooOld) {
			if made, found := r.found(ctx, c); found != nil || made != "" {
				return made, found
			}
		}
		if err != nil {
			return "", err
		}
		made, err := r.write(ctx, c, done.Generation)
		switch {
		case err == nil:
			return r.noteDone(ctx, c.step, done.Generation, made)
		case stripeapi.Is(err, stripeapi.Stored):
			// The first may be of something between here and Stripe, under which the call is at work yet.
			if stored++; stored == 1 {
				continue
			}
			if made, err := r.found(ctx, c); err != nil || made != "" {
				return made, err
			}
			if try == mostTries-1 {
				break
			}
			done.Generation, stored = done.Generation+1, 0
			if err := r.note(ctx, c.step, done); err != nil {
				return "", err
			}
		case !stripeapi.Is(err, stripeapi.Lost) && !stripeapi.Is(err, stripeapi.Busy):
			return "", err
		}
	}
	return "", pending(r.op, fmt.Errorf("%s: no answer after %d tries", c.step, mostTries))
}

func (r *run) write(ctx context.Context, c call, generation int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return c.write(ctx, r.key(c.step, generation))
}

// found looks whether the step was done after all, and notes it where it was; empty: it
// was not.
func (r *run) found(ctx context.Context, c call) (string, error) {
	made, err := c.look(ctx)
	if err != nil {
		return "", fmt.Errorf("look whether %s was done: %w", c.step, err)
	}
	if made == "" {
		return "", nil
	}
	return r.noteDone(ctx, c.step, r.op.Results[c.step].Generation, made)
}

func (r *run) noteDone(ctx context.Context, name string, generation int, made string) (string, error) {
	return made, r.note(ctx, name, step{Generation: generation, Done: true, ID: made})
}

// ready waits before another try and makes sure that the call may be made at all.
func (r *run) ready(ctx context.Context, try int) error {
	if try > 0 {
		if err := pause(ctx, firstPause<<(try-1)); err != nil {
			return err
		}
	}
	if r.old() && !r.undoing {
		return errTooOld
	}
	return r.renew(ctx)
}

// old says whether the operation's keys cannot be relied on much longer.
func (r *run) old() bool { return time.Since(r.op.CreatedAt) > keysLive }

// key is the idempotency key of a step.
func (r *run) key(name string, generation int) string {
	return fmt.Sprintf("nself:%s:%s:%d", r.op.ID, name, generation)
}

// origin is what everything that the operation makes at Stripe says of itself.
func (r *run) origin() stripeapi.Origin {
	return stripeapi.Origin{Tenant: r.op.TenantID, Operation: r.op.ID}
}

// choose decides something once: what was decided stands, whoever takes the operation up
// again and whatever has changed meanwhile, for a key goes with one set of parameters.
func choose[T any](ctx context.Context, r *run, name string, decide func() (T, error)) (T, error) {
	var chosen T
	if kept := r.op.Results[name]; kept.Done {
		if err := json.Unmarshal(kept.Chosen, &chosen); err != nil {
			return chosen, fmt.Errorf("read the step %s of the operation %s: %w", name, r.op.ID, err)
		}
		return chosen, nil
	}
	chosen, err := decide()
	if err != nil {
		return chosen, err
	}
	text, err := json.Marshal(chosen)
	if err != nil {
		return chosen, fmt.Errorf("encode the step %s: %w", name, err)
	}
	return chosen, r.note(ctx, name, step{Done: true, Chosen: text})
}

// find is the first of a list that is the one; found is false where none is.
func find[T any](list iter.Seq2[T, error], is func(T) bool) (one T, found bool, err error) {
	for item, err := range list {
		if err != nil || is(item) {
			return item, err == nil, err
		}
	}
	return one, false, nil
}

// again makes a call outside an operation until an answer comes, a few times, as do does
// it. What look finds was done after all.
func again[T any](ctx context.Context, key string, write func(key string) (T, error), look func() (T, bool, error)) (T, error) {
	generation, stored := 0, 0
	for try := 1; ; try++ {
		made, err := write(fmt.Sprintf("%s:%d", key, generation))
		switch {
		case err == nil, try == mostTries:
			return made, err
		case stripeapi.Is(err, stripeapi.Stored):
			if stored++; stored == 1 {
				break
			}
			if made, found, err := look(); found || err != nil {
				return made, err
			}
			generation, stored = generation+1, 0
		case !stripeapi.Is(err, stripeapi.Lost) && !stripeapi.Is(err, stripeapi.Busy):
			return made, err
		}
		if err := pause(ctx, firstPause<<(try-1)); err != nil {
			return made, err
		}
	}
}
