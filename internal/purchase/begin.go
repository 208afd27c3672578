package purchase

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Begin checks what can be checked here and notes the operation in the caller's
// transaction, as nself_tenant or nself_server; the tenant is the actor's. Once that
// commits the operation goes on by itself; Run takes it to its end at once. Faults:
// invalid-input, not-found, already-subscribed, no-subscription, wrong-status,
// operation-in-progress (kind, operationId).
func (d *Desk) Begin(ctx context.Context, tx pgx.Tx, actor session.Session, in Input) (id.Operation, error) {
	if actor.Tenant.IsZero() {
		return id.Operation{}, fault.New(fault.TenantRequired, "name the tenant whose billing is to change")
	}
	var problems fault.Problems
	if in.Validate(&problems); problems.Fault() != nil {
		return id.Operation{}, problems.Fault()
	}
	in, err := d.check(ctx, tx, actor.Tenant, in)
	if err != nil {
		return id.Operation{}, err
	}
	return d.insert(ctx, tx, actor, in)
}

// check refuses what the rows here forbid. What Stripe knows better is asked there, by the
// operation.
func (d *Desk) check(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Input) (Input, error) {
	switch in := in.(type) {
	case Subscribe:
		return in, d.checkSubscribe(ctx, tx, tenant, in)
	case Checkout:
		return d.checkCheckout(ctx, tx, tenant, in)
	case ChangePlan:
		return in, d.checkChange(ctx, tx, tenant, in)
	case SetAddon:
		return in, d.checkAddon(ctx, tx, tenant, in)
	case Cancel:
		_, err := subscriptionOf(ctx, tx, tenant, endable)
		return in, err
	case Resume:
		_, err := subscriptionOf(ctx, tx, tenant, resumable)
		return in, err
	case Portal:
		return d.checkPortal(ctx, tx, tenant, in)
	case startClock:
		return in, d.checkClock(ctx, tx, tenant)
	}
	return in, nil
}

// The statuses in which things can be done to a subscription. What is bought changes while
// nothing is owed: a change that is paid would make the subscription active with its debt
// open, and less would be credited that was not paid.
var (
	changeable = []string{billing.StatusTrialing, billing.StatusActive}
	running    = []string{billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue}
	resumable  = []string{billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue, billing.StatusUnpaid, billing.StatusPaused}
	endable    = []string{billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue, billing.StatusUnpaid, billing.StatusPaused, billing.StatusIncomplete}
)

// changeableOf is the tenant's subscription where things can be bought beside it: while an
// invoice is owed none can, whatever Stripe says of the subscription.
func changeableOf(ctx context.Context, db pg.DB, tenant id.Tenant) (billing.SubscriptionRow, error) {
	main, err := subscriptionOf(ctx, db, tenant, changeable)
	if err != nil {
		return main, err
	}
	account, err := billing.AccountOf(ctx, db, tenant)
	if err == nil && (account.State == billing.PastDue || account.State == billing.Suspended) {
		err = fault.New(fault.WrongStatus, "an invoice is owed; pay what is open first, by setting a payment method or on the page of the invoice").With("status", account.State)
	}
	return main, err
}

// subscriptionOf is the tenant's subscription, which must be in one of the statuses.
func subscriptionOf(ctx context.Context, db pg.DB, tenant id.Tenant, statuses []string) (billing.SubscriptionRow, error) {
	main, err := billing.MainOf(ctx, db, tenant)
	if err != nil {
		return main, err
	}
	return main, checkStatus(main.Status, statuses)
}

func checkStatus(status string, statuses []string) error {
	switch {
	case slices.Contains(statuses, status):
		return nil
	case status == billing.StatusCanceled, status == billing.StatusIncompleteExpired:
		return fault.New(fault.WrongStatus, "the subscription has ended; subscribe again").With("status", status)
	case status == billing.StatusIncomplete:
		return fault.New(fault.WrongStatus, "the subscription's first payment is not made yet; make it, or subscribe again with another payment method").With("status", status)
	}
	if status == billing.StatusPaused {
		return fault.New(fault.WrongStatus, "the subscription is paused; resume it first").With("status", status)
	}
	return fault.New(fault.WrongStatus, "the subscription is %s; pay what is open first, by setting a payment method or on the page of the invoice", status).With("status", status)
}

// sold is a plan that can be bought.
func (d *Desk) sold(ctx context.Context, tx pgx.Tx, code string) (billing.PlanRow, error) {
	plan, err := billing.Plan(ctx, tx, code)
	if err != nil {
		return plan, err
	}
	if plan.PriceMinor == 0 {
		return plan, fault.New(fault.InvalidInput, "plan %s costs nothing: cancel instead", code)
	}
	return plan, pg.AsServer(ctx, tx, func() error {
		_, err := d.priceOf(ctx, tx, code, "")
		return err
	})
}

// checkUnsubscribed refuses a second subscription; one whose first payment failed is none.
func checkUnsubscribed(ctx context.Context, tx pgx.Tx, tenant id.Tenant) error {
	main, err := billing.MainOf(ctx, tx, tenant)
	switch {
	case fault.Is(err, fault.NoSubscription):
		return nil
	case err != nil:
		return err
	case slices.Contains([]string{billing.StatusIncomplete, billing.StatusIncompleteExpired, billing.StatusCanceled}, main.Status):
		return nil
	}
	return alreadySubscribed()
}

func alreadySubscribed() error {
	return fault.New(fault.AlreadySubscribed, "the tenant has a subscription already; change its plan, or cancel it")
}

func (d *Desk) checkSubscribe(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Subscribe) error {
	plan, err := d.sold(ctx, tx, in.Plan)
	if err != nil {
		return err
	}
	if err := checkUnsubscribed(ctx, tx, tenant); err != nil || in.PaymentMethod != "" {
		return err
	}
	customer, err := billing.CustomerOf(ctx, tx, tenant)
	switch {
	case err == nil && customer.DeletedAt == nil && customer.DefaultPaymentMethod != nil:
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	}
	ever, err := d.everSubscribed(ctx, tx, tenant)
	if err == nil && (ever || plan.TrialDays == 0) {
		return needsMethod()
	}
	return err
}

func needsMethod() error {
	return fault.New(fault.InvalidInput, "paymentMethod is needed: the tenant has none that is charged by default, and no trial begins")
}

func (d *Desk) checkChange(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in ChangePlan) error {
	plan, err := d.sold(ctx, tx, in.Plan)
	if err != nil {
		return err
	}
	main, err := changeableOf(ctx, tx, tenant)
	if err != nil {
		return err
	}
	return checkCurrency(plan.Currency, main.Currency)
}

// A subscription is paid in one currency (Stripe's rule).
func checkCurrency(wanted, paid string) error {
	if wanted == paid {
		return nil
	}
	return fault.New(fault.InvalidInput, "it is sold in %s and the subscription is paid in %s: cancel, and subscribe in the other currency", wanted, paid)
}

func (d *Desk) checkAddon(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in SetAddon) error {
	addon, err := billing.Addon(ctx, tx, in.Addon)
	if err != nil {
		return err
	}
	main, err := changeableOf(ctx, tx, tenant)
	if err != nil || in.Quantity == 0 {
		return err
	}
	if err := checkCurrency(addon.Currency, main.Currency); err != nil {
		return err
	}
	return pg.AsServer(ctx, tx, func() error {
		_, err := d.priceOf(ctx, tx, "", in.Addon)
		return err
	})
}

// home is the tenant's own host.
func (d *Desk) home(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (string, error) {
	slug, err := pg.Scalar[string](ctx, tx, slugSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return "", fmt.Errorf("read the slug of %s: %w", tenant, pg.Explain(err))
	}
	return "https://" + slug + "." + d.config.BaseDomain + "/", nil
}

func (d *Desk) checkCheckout(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Checkout) (Input, error) {
	home, err := d.home(ctx, tx, tenant)
	if err != nil {
		return in, err
	}
	var problems fault.Problems
	d.checkReturn("successUrl", &in.SuccessURL, home, &problems)
	d.checkReturn("cancelUrl", &in.CancelURL, home, &problems)
	if err := problems.Fault(); err != nil {
		return in, err
	}
	if _, err := d.sold(ctx, tx, in.Plan); err != nil {
		return in, err
	}
	return in, checkUnsubscribed(ctx, tx, tenant)
}

func (d *Desk) checkPortal(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Portal) (Input, error) {
	home, err := d.home(ctx, tx, tenant)
	if err != nil {
		return in, err
	}
	var problems fault.Problems
	if d.checkReturn("returnUrl", &in.ReturnURL, home, &problems); problems.Fault() != nil {
		return in, problems.Fault()
	}
	customer, err := billing.CustomerOf(ctx, tx, tenant)
	if fault.Is(err, fault.NotFound) || err == nil && customer.DeletedAt != nil {
		return in, neverBought()
	}
	return in, err
}
