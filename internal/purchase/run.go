package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

// Run takes an operation to its end, or waits for whoever is doing that, and tells how it
// ended, again and again where it is asked again. An operation that failed is its fault:
// payment-failed (declineCode), not-found, invalid-input, already-subscribed,
// no-subscription, wrong-status. Unavailable: it is not finished, and goes on by itself.
func (d *Desk) Run(ctx context.Context, tenant id.Tenant, op id.Operation) (Result, error) {
	r, found, err := d.takeSoon(ctx, tenant, op)
	if errors.Is(err, errTaken) {
		return Result{}, pending(found, err)
	}
	if err != nil {
		return Result{}, err
	}
	if r != nil {
		if err := r.finish(ctx); err != nil {
			return Result{}, err
		}
		found = r.op
	}
	if found.Failure != nil {
		return Result{}, found.Failure.fault()
	}
	return d.result(ctx, found)
}

// Finish is Run for the queue: nil where the operation has ended, well or not. Unavailable
// with retryAfter: another runner has it.
func (d *Desk) Finish(ctx context.Context, tenant id.Tenant, op id.Operation) error {
	r, found, err := d.take(ctx, tenant, op)
	switch {
	case errors.Is(err, errTaken):
		return pending(found, err)
	case fault.Is(err, fault.NotFound):
		return nil // the tenant is gone, and its operations are
	case err != nil || r == nil:
		return err
	}
	return r.finish(ctx)
}

// finish takes the steps that are left and ends the operation. Its error: it has not ended.
func (r *run) finish(ctx context.Context) error {
	err := r.steps(ctx)
	how := r.verdict(err)
	if how != nil {
		if again := r.undo(ctx); again != nil {
			err, how = again, nil
		}
	}
	if err == nil || how != nil {
		if err = r.end(ctx, how); err == nil {
			return nil
		}
	}
	if !errors.Is(err, errTaken) {
		r.release(ctx)
		r.desk.config.Log.Warn("an operation is not finished; it goes on", "tenant", r.op.TenantID.String(),
			"operation", r.op.ID.String(), "kind", r.op.Kind, "error", err)
	}
	var answer *stripeapi.Error
	if errors.Is(err, errTaken) || errors.As(err, &answer) || fault.From(err).Code == fault.Unavailable {
		return pending(r.op, err)
	}
	return err
}

// verdict is how an error ends the operation; nil: it does not. One that is too old ends
// by whatever it meets.
func (r *run) verdict(err error) *failure {
	how := failureOf(err)
	if err != nil && how == nil && r.old() && !errors.Is(err, errTaken) {
		how = failureOf(errTooOld)
	}
	return how
}

// steps takes the steps of the operation's kind that are not done yet.
func (r *run) steps(ctx context.Context) error {
	switch r.op.Kind {
	case kindSubscribe:
		return r.subscribe(ctx)
	case kindChangePlan:
		return r.changePlan(ctx)
	case kindSetSeats:
		return r.setSeats(ctx)
	case kindSetAddon:
		return r.setAddon(ctx)
	case kindSetPaymentMethod:
		return r.setPaymentMethod(ctx)
	case kindCancel:
		return r.cancel(ctx)
	case kindResume:
		return r.resume(ctx)
	case kindCheckout:
		return r.checkout(ctx)
	case kindPortal:
		return r.portal(ctx)
	case kindReportOverage:
		return r.reportOverage(ctx)
	case kindStartClock:
		return r.startClock(ctx)
	}
	return fmt.Errorf("the operation %s is of kind %s, which this version does not know", r.op.ID, r.op.Kind)
}

// result is what is told of an operation that is done. What is secret is asked for anew.
func (d *Desk) result(ctx context.Context, op operation) (Result, error) {
	told := Result{Operation: op.ID, State: op.State}
	main, err := billing.MainOf(ctx, d.config.DB, op.TenantID)
	switch {
	case err == nil:
		told.Subscription = &main
	case !fault.Is(err, fault.NoSubscription):
		return told, err
	}
	switch op.Kind {
	case kindCheckout:
		return told, d.tellCheckout(ctx, op, &told)
	case kindPortal:
		return told, d.tellPortal(ctx, op, &told)
	}
	d.tellPayment(ctx, &told)
	return told, nil
}

// tellPayment says where a first payment that did not go through can be made after all.
func (d *Desk) tellPayment(ctx context.Context, told *Result) {
	main := told.Subscription
	if main == nil || main.Status != billing.StatusIncomplete || main.LatestInvoice == nil {
		return
	}
	invoice, err := d.config.Stripe.Invoice(ctx, *main.LatestInvoice)
	if err != nil {
		d.config.Log.Warn("the invoice of an incomplete subscription could not be fetched", "invoice", *main.LatestInvoice, "error", err)
		return // the operation is done all the same
	}
	told.HostedURL, told.ClientSecret = invoice.HostedURL, invoice.ClientSecret
}
