package purchase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const (
	leaseTime = time.Minute            // renewed before each write to Stripe: longer than that may take
	callTime  = 45 * time.Second       // what a write may take, with all its tries
	pollEvery = 100 * time.Millisecond // how often whoever waits for another looks
	patience  = 10 * time.Second       // how long Run waits for another
	noteTime  = 5 * time.Second        // what was done is noted even where the caller went away
)

// run is an operation in the hands of one runner. What it notes is noted only while the
// lease is its own: whoever took it over is not disturbed.
type run struct {
	desk    *Desk
	op      operation
	lease   string
	undoing bool // the operation failed, and what it did is taken back: its age forbids nothing more
}

// errTaken says that another runner has the operation.
var errTaken = errors.New("another runner has the operation")

const takeLeaseSQL = `
UPDATE billing.operations SET lease = @lease::uuid, leased_until = now() + @for::interval, tries = tries + 1, updated_at = now()
WHERE tenant_id = @tenant_id AND id = @id AND state = 'open' AND (lease IS NULL OR leased_until <= now())
RETURNING ` + operationColumns

// take takes the lease of an operation; the run is nil where the operation has ended.
// Where another has it the error is errTaken.
func (d *Desk) take(ctx context.Context, tenant id.Tenant, op id.Operation) (*run, operation, error) {
	lease := uuid.NewString()
	args := pgx.NamedArgs{"tenant_id": tenant, "id": op, "lease": lease, "for": leaseTime}
	taken, err := pg.One[operation](ctx, d.config.DB, takeLeaseSQL, args)
	if err == nil {
		if taken.Results == nil {
			taken.Results = map[string]step{}
		}
		return &run{desk: d, op: taken, lease: lease}, taken, nil
	}
	if !pg.NoRow(err) {
		return nil, operation{}, fmt.Errorf("take the operation %s: %w", op, pg.Explain(err))
	}
	found, err := d.read(ctx, tenant, op)
	if err == nil && found.State == stateOpen {
		err = errTaken
	}
	return nil, found, err
}

// takeSoon is take, but waits for another runner.
func (d *Desk) takeSoon(ctx context.Context, tenant id.Tenant, op id.Operation) (*run, operation, error) {
	for until := time.Now().Add(patience); ; {
		r, found, err := d.take(ctx, tenant, op)
		if !errors.Is(err, errTaken) || time.Now().After(until) {
			return r, found, err
		}
		if err := pause(ctx, pollEvery); err != nil {
			return nil, found, err
		}
	}
}

const renewSQL = `
UPDATE billing.operations SET leased_until = now() + @for::interval
WHERE tenant_id = @tenant_id AND id = @id AND lease = @lease::uuid AND state = 'open'`

// renew keeps the lease for one more call.
func (r *run) renew(ctx context.Context) error {
	return r.change(ctx, r.desk.config.DB, renewSQL, nil)
}

const noteSQL = `
UPDATE billing.operations
SET results = results || jsonb_build_object(@step::text, @result::jsonb), leased_until = now() + @for::interval, updated_at = now()
WHERE tenant_id = @tenant_id AND id = @id AND lease = @lease::uuid AND state = 'open'`

// note keeps what a step came to.
func (r *run) note(ctx context.Context, name string, result step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if err := r.change(ctx, r.desk.config.DB, noteSQL, pgx.NamedArgs{"step": name, "result": result}); err != nil {
		return err
	}
	r.op.Results[name] = result
	return nil
}

const endSQL = `
UPDATE billing.operations
SET state = CASE WHEN @failure::jsonb IS NULL THEN 'done' ELSE 'failed' END, failure = @failure, ended_at = now(), updated_at = now(),
	lease = NULL, leased_until = NULL
WHERE tenant_id = @tenant_id AND id = @id AND lease = @lease::uuid AND state = 'open'`

// end ends the operation: done where how is nil.
func (r *run) end(ctx context.Context, how *failure) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	err := pg.InTx(ctx, r.desk.config.DB, func(tx pgx.Tx) error {
		if err := r.change(ctx, tx, endSQL, pgx.NamedArgs{"failure": how}); err != nil {
			return err
		}
		if how == nil {
			if err := r.settleOverage(ctx, tx); err != nil {
				return err
			}
		}
		for _, entry := range r.op.entries(how == nil) {
			if err := audit.Append(ctx, tx, r.op.Actor.session(r.op.TenantID), entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.op.State, r.op.Failure = stateDone, how
		if how != nil {
			r.op.State = stateFailed
		}
	}
	return err
}

const releaseSQL = `
UPDATE billing.operations SET lease = NULL, leased_until = NULL
WHERE tenant_id = @tenant_id AND id = @id AND lease = @lease::uuid AND state = 'open'`

// release lets the next runner begin at once. Where it fails the lease runs out.
func (r *run) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if err := r.change(ctx, r.desk.config.DB, releaseSQL, nil); err != nil && !errors.Is(err, errTaken) {
		r.desk.config.Log.Warn("the lease of an operation was not given back; it runs out", "operation", r.op.ID.String(), "error", err)
	}
}

// change is a statement on the operation that holds while the lease is this run's.
func (r *run) change(ctx context.Context, db pg.DB, sql string, more pgx.NamedArgs) error {
	args := pgx.NamedArgs{"tenant_id": r.op.TenantID, "id": r.op.ID, "lease": r.lease, "for": leaseTime}
	for name, value := range more {
		args[name] = value
	}
	tag, err := db.Exec(ctx, sql, args)
	if err != nil {
		return fmt.Errorf("keep the operation %s: %w", r.op.ID, pg.Explain(err))
	}
	if tag.RowsAffected() == 0 {
		return errTaken
	}
	return nil
}

// pause waits, but not past the end of ctx.
func pause(ctx context.Context, howLong time.Duration) error {
	timer := time.NewTimer(howLong)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "the request took too long; try again").Because(ctx.Err())
	case <-timer.C:
		return nil
	}
}
