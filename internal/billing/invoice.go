package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const putInvoiceSQL = `
INSERT INTO billing.invoices (tenant_id, stripe_id, subscription_id, number, status, reason, currency, subtotal_minor, tax_minor,
	total_minor, due_minor, paid_minor, remaining_minor, attempts, next_attempt_at, period_start, period_end, finalized_at,
	paid_at, hosted_url, pdf_url, livemode, created_at)
VALUES (@tenant_id, @stripe_id, @subscription_id, @number, @status, @reason, @currency, @subtotal_minor, @tax_minor,
	@total_minor, @due_minor, @paid_minor, @remaining_minor, @attempts, @next_attempt_at, @period_start, @period_end, @finalized_at,
	@paid_at, @hosted_url, @pdf_url, @livemode, @created_at)
ON CONFLICT (tenant_id, stripe_id) DO UPDATE SET subscription_id = excluded.subscription_id, number = excluded.number,
	status = excluded.status, reason = excluded.reason, currency = excluded.currency, subtotal_minor = excluded.subtotal_minor,
	tax_minor = excluded.tax_minor, total_minor = excluded.total_minor, due_minor = excluded.due_minor,
	paid_minor = excluded.paid_minor, remaining_minor = excluded.remaining_minor, attempts = excluded.attempts,
	next_attempt_at = excluded.next_attempt_at, period_start = excluded.period_start, period_end = excluded.period_end,
	finalized_at = excluded.finalized_at, paid_at = excluded.paid_at, hosted_url = excluded.hosted_url, pdf_url = excluded.pdf_url,
	livemode = excluded.livemode, created_at = excluded.created_at, updated_at = now()`

// ApplyInvoice keeps what Stripe says of an invoice, whose customer is the tenant's. That
// a payment waits for the customer is told to the owners at once: nothing keeps it.
func (b *Book) ApplyInvoice(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Invoice) error {
	_, err := tx.Exec(ctx, putInvoiceSQL, pgx.NamedArgs{
		"tenant_id": tenant, "stripe_id": in.ID, "subscription_id": text(in.Subscription), "number": text(in.Number),
		"status": in.Status, "reason": text(in.Reason), "currency": in.Currency, "subtotal_minor": in.SubtotalMinor,
		"tax_minor": in.TaxMinor, "total_minor": in.TotalMinor, "due_minor": in.DueMinor, "paid_minor": in.PaidMinor,
		"remaining_minor": in.RemainingMinor, "attempts": in.Attempts, "next_attempt_at": moment(in.NextAttemptAt),
		"period_start": in.PeriodStart, "period_end": in.PeriodEnd, "finalized_at": moment(in.FinalizedAt),
		"paid_at": moment(in.PaidAt), "hosted_url": text(in.HostedURL), "pdf_url": text(in.PDFURL), "livemode": in.Livemode,
		"created_at": in.CreatedAt,
	})
	if err != nil {
		return fmt.Errorf("keep invoice %s: %w", in.ID, err)
	}
	if in.Status != InvoiceOpen || !in.ActionRequired || in.HostedURL == "" {
		return nil
	}
	return b.askToConfirm(ctx, tx, tenant, in)
}

// askToConfirm mails the owners where to confirm a payment.
func (b *Book) askToConfirm(ctx context.Context, tx pgx.Tx, tenant id.Tenant, in Invoice) error {
	at, err := pg.One[clocked](ctx, tx, clockSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return fmt.Errorf("read the clock of the account of %s: %w", tenant, err)
	}
	of, err := readTenant(ctx, tx, tenant)
	if err != nil {
		return err
	}
	asked := in.FinalizedAt
	if in.NextAttemptAt.After(at.Clock) {
		asked = at.Clock // it is still under way
	}
	return teller{post: b.post, tx: tx, tenant: of, clock: at.Clock}.tell(ctx, confirmPayment(in, asked))
}

const forgetInvoiceSQL = `DELETE FROM billing.invoices WHERE tenant_id = @tenant_id AND stripe_id = @invoice AND status = 'draft'`

const hasInvoiceSQL = `SELECT EXISTS (SELECT FROM billing.invoices WHERE tenant_id = @tenant_id AND stripe_id = @invoice)`

// ForgetInvoice removes an invoice that Stripe has no more, which drafts alone come to. It
// reports false where another than a draft stands here: that one stays.
func (b *Book) ForgetInvoice(ctx context.Context, tx pgx.Tx, tenant id.Tenant, invoice string) (bool, error) {
	args := pgx.NamedArgs{"tenant_id": tenant, "invoice": invoice}
	if _, err := tx.Exec(ctx, forgetInvoiceSQL, args); err != nil {
		return false, fmt.Errorf("forget invoice %s: %w", invoice, err)
	}
	stays, err := pg.Scalar[bool](ctx, tx, hasInvoiceSQL, args)
	if err != nil {
		return false, fmt.Errorf("read whether invoice %s stands here: %w", invoice, err)
	}
	return !stays, nil
}

const putPaymentSQL = `
INSERT INTO billing.payments (tenant_id, stripe_id, invoice_id, status, amount_minor, refunded_minor, currency, brand, last4,
	failure_code, failure_message, livemode, created_at)
VALUES (@tenant_id, @stripe_id, @invoice_id, @status, @amount_minor, @refunded_minor, @currency, @brand, @last4,
	@failure_code, @failure_message, @livemode, @created_at)
ON CONFLICT (tenant_id, stripe_id) DO UPDATE SET invoice_id = excluded.invoice_id, status = excluded.status,
	amount_minor = excluded.amount_minor, refunded_minor = excluded.refunded_minor, currency = excluded.currency,
	brand = excluded.brand, last4 = excluded.last4, failure_code = excluded.failure_code,
	failure_message = excluded.failure_message, livemode = excluded.livemode, created_at = excluded.created_at, updated_at = now()`

// ApplyCharge keeps what Stripe says of a try to be paid, by the tenant's customer.
func (b *Book) ApplyCharge(ctx context.Context, tx pgx.Tx, tenant id.Tenant, c Charge) error {
	_, err := tx.Exec(ctx, putPaymentSQL, pgx.NamedArgs{
		"tenant_id": tenant, "stripe_id": c.ID, "invoice_id": text(c.Invoice), "status": c.Status, "amount_minor": c.AmountMinor,
		"refunded_minor": c.RefundedMinor, "currency": c.Currency, "brand": text(c.Brand), "last4": text(c.Last4),
		"failure_code": text(c.FailureCode), "failure_message": text(c.FailureMessage), "livemode": c.Livemode, "created_at": c.CreatedAt,
	})
	if err != nil {
		return fmt.Errorf("keep charge %s: %w", c.ID, err)
	}
	return nil
}
