package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// leaseTime is how long an object is its holder's alone. It is longer than a fetch may
// take, so that only a holder that stands still loses it.
const leaseTime = 60 * time.Second

// patience is how long following an object may be put off without that being a failure.
const patience = 10 * time.Minute

// held is an object under its holder's lease.
type held struct {
	Object   string    `db:"object_id"`
	Kind     string    `db:"kind"`
	Livemode bool      `db:"livemode"`
	Customer string    `db:"customer_id"` // whose it is, as far as hints told; empty: they did not
	Noted    int64     `db:"hints"`       // the hints there were when it was taken: what is fetched now answers them
	Overdue  bool      `db:"overdue"`     // it was hinted at longer ago than it may be put off
	Lease    uuid.UUID `db:"lease"`
}

// A job that was left over for an object that is dead is one more try.
const takeAllTenantsSQL = `
UPDATE billing.stripe_objects SET lease = @lease, leased_until = clock_timestamp() + @lasts::interval, state = 'waiting', reason = NULL
WHERE object_id = @object AND state IN ('waiting', 'dead') AND (leased_until IS NULL OR leased_until <= clock_timestamp())
RETURNING object_id, kind, livemode, coalesce(customer_id, '') AS customer_id, hints, lease,
	hinted_at < clock_timestamp() - @patience::interval AS overdue`

const dueAllTenantsSQL = `
SELECT EXISTS (SELECT FROM billing.stripe_objects WHERE object_id = @object AND state IN ('waiting', 'dead'))`

// take takes the lease of an object. Nothing is taken where there is nothing to follow,
// and busy is the error where another holds it.
func (s *Sync) take(ctx context.Context, db pg.DB, object string) (h held, taken bool, err error) {
	args := pgx.NamedArgs{"object": object, "lease": uuid.New(), "lasts": leaseTime, "patience": patience}
	h, err = pg.One[held](ctx, db, takeAllTenantsSQL, args)
	if err == nil {
		return h, true, nil
	}
	if !pg.NoRow(err) {
		return held{}, false, fmt.Errorf("take the lease of %s: %w", object, err)
	}
	due, err := pg.Scalar[bool](ctx, db, dueAllTenantsSQL, pgx.NamedArgs{"object": object})
	switch {
	case err != nil:
		return held{}, false, fmt.Errorf("read whether %s is to follow: %w", object, err)
	case due:
		return held{}, false, errBusy(object)
	}
	return held{}, false, nil
}

// errElsewhere is the cause of waiting for another's work.
var errElsewhere = errors.New("it is another's work just now")

// errBusy has the job try again soon, which counts as no failure.
func errBusy(what string) error {
	return fault.New(fault.Unavailable, "%s is being followed; try again", what).With("retryAfter", 1).Because(errElsewhere)
}

// What is left of the lease says until when somebody was at the object.
const releaseAllTenantsSQL = `
UPDATE billing.stripe_objects SET lease = NULL, leased_until = clock_timestamp(), tries = tries + @failed::integer WHERE object_id = @object AND lease = @lease`

// releaseTime is how long giving back a lease may take; what is not given back ends by
// itself.
const releaseTime = 5 * time.Second

// release gives back the lease of an object that was not followed; failed is 1 where that
// was a failure, else 0.
func (s *Sync) release(ctx context.Context, h held, failed int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if _, err := s.config.DB.Exec(ctx, releaseAllTenantsSQL, pgx.NamedArgs{"object": h.Object, "lease": h.Lease, "failed": failed}); err != nil {
		s.config.Log.WarnContext(ctx, "a lease could not be given back; it ends by itself", "object", h.Object, "error", err)
	}
}

// Whoever followed an object for a hint that came meanwhile goes on with the newer one.
const finishAllTenantsSQL = `
UPDATE billing.stripe_objects SET applied = @noted, applied_at = now(), tries = 0, lease = NULL, leased_until = NULL,
	state = CASE WHEN hints > @noted THEN 'waiting' WHEN @reason = '' THEN 'applied' ELSE 'parked' END,
	reason = CASE WHEN hints > @noted THEN NULL ELSE nullif(@reason, '') END,
	customer_id = coalesce(nullif(@customer, ''), customer_id)
WHERE object_id = @object AND lease = @lease
RETURNING state`

// finish notes what the hints of a held object came to and gives the lease back; a reason
// parks it. It returns the state, which is waiting where newer hints came. errLate: the
// lease was another's by now, and nothing is noted.
func finish(ctx context.Context, tx pgx.Tx, h held, customer, reason string) (string, error) {
	state, err := pg.Scalar[string](ctx, tx, finishAllTenantsSQL, pgx.NamedArgs{
		"object": h.Object, "lease": h.Lease, "noted": h.Noted, "customer": customer, "reason": brief(reason),
	})
	if pg.NoRow(err) {
		return "", errLate
	}
	if err != nil {
		return "", fmt.Errorf("note that %s was followed: %w", h.Object, err)
	}
	return state, nil
}

// longestReason bounds what is kept of an error.
const longestReason = 500

// brief is a reason as it is kept.
func brief(reason string) string {
	short := []rune(storable(reason))
	return string(short[:min(len(short), longestReason)])
}
