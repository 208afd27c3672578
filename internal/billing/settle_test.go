package billing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// stands checks the account's state and, of the tenant, plan and status.
func (w world) stands(t *testing.T, state billing.State, plan string, status tenant.Status) billing.Account {
	t.Helper()
	account, err := billing.AccountOf(t.Context(), w.tx, w.team.ID)
	if err != nil {
		t.Fatal(err)
	}
	found := w.tenant(t)
	if account.State != state || found.Plan != plan || found.Status != status {
		t.Errorf("the account is %s, the tenant %s on %s; want %s, %s on %s", account.State, found.Status, found.Plan, state, status, plan)
	}
	return account
}

func (w world) inside() session.Session {
	inside := pgtest.Operator
	inside.Tenant = w.team.ID
	return inside
}

func TestATenantWithoutAnAccountStandsAtNone(t *testing.T) {
	w := bareWorld(t)
	account, err := billing.AccountOf(t.Context(), w.tx, w.team.ID)
	if err != nil || account.State != billing.None || account.TenantID != w.team.ID {
		t.Errorf("%+v, %v", account, err)
	}
	if settled := w.settle(t); settled.State != billing.None || settled.DueAt != nil {
		t.Errorf("%+v", settled)
	}
	w.stands(t, billing.None, "enterprise", tenant.Active)
}

func (w world) settle(t *testing.T) billing.Account {
	t.Helper()
	account, err := w.Settle(t.Context(), w.tx, w.team.ID)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func TestAPaidSubscriptionGivesItsPlanItsAddonsAndItsMonths(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.Items = append(s.Items, billing.Item{ID: "si_2", Price: "price_storage", AmountMinor: 500, Quantity: 3})
	w.apply(t, s)
	w.stands(t, billing.Active, "pro", tenant.Active)
	want := []string{"extra-storage 3"}
	const addonsSQL = `SELECT addon || ' ' || quantity FROM billing.tenant_addons WHERE tenant_id = $1`
	if diff := cmp.Diff(want, w.texts(t, addonsSQL, w.team.ID)); diff != "" {
		t.Error(diff)
	}
	const anchorSQL = `SELECT anchor_at::text FROM billing.billing_cycles WHERE tenant_id = $1 AND anchor_at = $2`
	if got := w.texts(t, anchorSQL, w.team.ID, start); len(got) != 1 {
		t.Error("the months of usage are not those that are paid")
	}
	if got := w.texts(t, `SELECT "limit"::text FROM billing.entitlement($1, 'storage')`, w.team.ID); got[0] != "107374185400" {
		t.Errorf("storage is limited at %s", got[0])
	}
	wantAudit := []string{"set_billing_cycle", "set_tenant_plan", "billing_active"}
	if diff := cmp.Diff(wantAudit, w.audited(t)); diff != "" {
		t.Error(diff)
	}
	s.Items = s.Items[:1]
	w.apply(t, s, s)
	if got := w.texts(t, addonsSQL, w.team.ID); len(got) != 0 {
		t.Errorf("still has %v", got)
	}
	if diff := cmp.Diff(wantAudit, w.audited(t)); diff != "" {
		t.Errorf("what changed nothing is recorded: %s", diff)
	}
	row, err := billing.MainOf(t.Context(), w.tx, w.team.ID)
	if err != nil || row.StripeID != "sub_1" || row.Quantity != 1 || row.AmountMinor != 9900 {
		t.Errorf("%+v, %v", row, err)
	}
}

// What was used until then is billed by the terms that were paid for, add-ons included.
func TestAddOnsEndWithTheSubscriptionAndThePeriodIsNotedWithThem(t *testing.T) {
	w := newWorld(t)
	w.exec(t, `SELECT FROM billing.period($1, now())`, w.team.ID)
	s := subscription("sub_1", "active")
	s.Items = append(s.Items, billing.Item{ID: "si_2", Price: "price_storage", AmountMinor: 500, Quantity: 3})
	w.apply(t, s)
	s.Status, s.EndedAt = "canceled", start.Add(day)
	w.apply(t, s)
	w.stands(t, billing.Canceled, "free", tenant.Active)
	if got := w.texts(t, `SELECT addon FROM billing.tenant_addons WHERE tenant_id = $1`, w.team.ID); len(got) != 0 {
		t.Errorf("still has %v", got)
	}
	const termsSQL = `SELECT plan || ' ' || "limit" FROM billing.usage_terms WHERE tenant_id = $1 AND meter = 'storage'`
	if diff := cmp.Diff([]string{"pro 107374185400"}, w.texts(t, termsSQL, w.team.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestAPriceOfNothingHereIsToldAndLeavesThePlan(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "active")
	s.Items[0].Price = "price_of_another_shop"
	unknown, err := w.ApplySubscription(t.Context(), w.tx, w.team.ID, s)
	if diff := cmp.Diff([]string{"price_of_another_shop"}, unknown); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.settle(t)
	w.stands(t, billing.Active, "enterprise", tenant.Active)
}

func TestAFailedPaymentLeadsThroughTheGraceToSuspensionAndAPaymentBack(t *testing.T) {
	w := newWorld(t)
	failed := start.AddDate(0, 1, 0).Add(time.Hour)
	s := subscription("sub_1", "active")
	w.apply(t, s, failed)
	s.Status, s.LatestInvoice = "past_due", "in_1"
	account := w.apply(t, s, invoice("in_1", "sub_1", "open", failed))
	w.stands(t, billing.PastDue, "pro", tenant.Active)
	if !account.Since.Equal(failed) || !account.GraceUntil.Equal(failed.Add(grace)) || !account.DueAt.Equal(failed.Add(day)) {
		t.Errorf("%+v", account)
	}
	if account = w.apply(t, failed.Add(grace-time.Second)); account.Reminders != 3 {
		t.Errorf("%d reminders", account.Reminders)
	}
	w.stands(t, billing.PastDue, "pro", tenant.Active)
	account = w.apply(t, failed.Add(grace))
	w.stands(t, billing.Suspended, "pro", tenant.Suspended)
	if found := w.tenant(t); *found.SuspendReason != "payment failed on 2026-04-10 and is still owed" || !account.SuspendedAt.Equal(*found.SuspendedAt) {
		t.Errorf("%s, %v", *found.SuspendReason, account.SuspendedAt)
	}
	paid := invoice("in_1", "sub_1", "paid", failed)
	paid.PaidAt = failed.Add(grace)
	s.Status = "active"
	w.apply(t, paid, s)
	if account = w.stands(t, billing.Active, "pro", tenant.Active); account.SuspendedAt != nil || account.GraceUntil != nil || account.DueAt != nil {
		t.Errorf("%+v", account)
	}
	want := []string{"invoice:in_1", "payment-failed:in_1:1", "recovered:sub_1:in_1", "reminder:in_1:3", "suspended:sub_1:in_1"}
	if diff := cmp.Diff(want, w.effects(t)); diff != "" {
		t.Error(diff)
	}
	wantKinds := []queue.MailKind{queue.PaymentFailed, queue.PaymentFailed, queue.BillingSuspended, queue.Invoice, queue.BillingRecovered}
	if diff := cmp.Diff(wantKinds, kinds(w.mails(t))); diff != "" {
		t.Error(diff)
	}
}

func TestASuspensionThatIsTheOperatorsIsNotLifted(t *testing.T) {
	w := newWorld(t)
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Suspend(t.Context(), tx, w.inside(), "abuse")
		return err
	})
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace))
	if account := w.stands(t, billing.Suspended, "pro", tenant.Suspended); account.SuspendedAt != nil {
		t.Error("the operator's suspension is taken for billing's")
	}
	s.Status = "active"
	w.apply(t, invoice("in_1", "sub_1", "paid", start), s)
	w.stands(t, billing.Active, "pro", tenant.Suspended)
	if *w.tenant(t).SuspendReason != "abuse" {
		t.Error(*w.tenant(t).SuspendReason)
	}
}

func TestASuspensionThatTheOperatorLiftedIsNotMadeAgain(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	open := invoice("in_1", "sub_1", "open", start)
	w.apply(t, s, open, start.Add(grace))
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Activate(t.Context(), tx, w.inside())
		return err
	})
	open.Attempts = 2
	w.apply(t, open, start.Add(grace+day))
	w.stands(t, billing.Suspended, "pro", tenant.Active)
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Suspend(t.Context(), tx, w.inside(), "abuse")
		return err
	})
	s.Status = "active"
	w.apply(t, invoice("in_1", "sub_1", "paid", start), s)
	w.stands(t, billing.Active, "pro", tenant.Suspended)
}

func TestWhatADeletedTenantOwesIsAppliedOnceItIsRestored(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start))
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Delete(t.Context(), tx, w.inside(), w.team.Slug, pgtest.Defaults)
		return err
	})
	before := len(w.mails(t))
	account := w.apply(t, start.Add(grace))
	w.stands(t, billing.PastDue, "pro", tenant.Deleted)
	if account.DueAt == nil || !account.DueAt.Equal(start.Add(grace+time.Hour)) || len(w.mails(t)) != before {
		t.Errorf("%+v, %d mails", account, len(w.mails(t))-before)
	}
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Restore(t.Context(), tx, w.inside())
		return err
	})
	w.exec(t, `UPDATE billing.customers SET clock_at = clock_at + interval '1 hour' WHERE tenant_id = $1`, w.team.ID)
	if n, err := w.Sweep(t.Context(), w.tx); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	w.stands(t, billing.Suspended, "pro", tenant.Suspended)
}

// While billing's own suspension stands the tenant is deleted, pays and is restored.
func TestATenantThatPaidWhileItWasDeletedIsActiveOnceItIsRestored(t *testing.T) {
	w := newWorld(t)
	s := subscription("sub_1", "past_due")
	s.LatestInvoice = "in_1"
	w.apply(t, s, invoice("in_1", "sub_1", "open", start), start.Add(grace))
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Delete(t.Context(), tx, w.inside(), w.team.Slug, pgtest.Defaults)
		return err
	})
	s.Status = "active"
	w.apply(t, invoice("in_1", "sub_1", "paid", start), s)
	w.operator(t, func(tx pgx.Tx) error {
		_, err := tenant.Restore(t.Context(), tx, w.inside())
		return err
	})
	w.stands(t, billing.Active, "pro", tenant.Suspended)
	w.exec(t, `UPDATE billing.customers SET clock_at = clock_at + interval '1 hour' WHERE tenant_id = $1`, w.team.ID)
	if n, err := w.Sweep(t.Context(), w.tx); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	w.stands(t, billing.Active, "pro", tenant.Active)
}
