package purchase

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepLine    = "line"
	stepItem    = "item"
	stepInvoice = "invoice"
)

// reportOverage puts an overage on the next invoice of the subscription or, where none
// goes on, on one of its own.
func (r *run) reportOverage(ctx context.Context) error {
	in, err := input[reportOverage](r.op)
	if err != nil {
		return err
	}
	l, err := choose(ctx, r, stepLine, func() (line, error) { return r.chooseLine(ctx, in) })
	if err != nil {
		return err
	}
	stripe := r.desk.config.Stripe
	_, err = r.do(ctx, call{
		step: stepItem,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateInvoiceItem(ctx, key, stripeapi.InvoiceItemInput{
				Origin: r.origin(), Customer: l.Customer, Subscription: l.Subscription, AmountMinor: l.AmountMinor, Currency: l.Currency,
				Description: l.Description, Meter: in.Meter, PeriodStart: in.PeriodStart, PeriodEnd: l.PeriodEnd,
			})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			item, _, err := r.reported(ctx, l.Customer)
			return item.ID, err
		},
	})
	if err != nil || l.Subscription != "" {
		return err
	}
	return r.invoiceAlone(ctx, l)
}

// reported is the item that the operation made.
func (r *run) reported(ctx context.Context, customer string) (stripeapi.InvoiceItem, bool, error) {
	list := r.desk.config.Stripe.InvoiceItems(ctx, stripeapi.InvoiceItemFilter{Customer: customer})
	return find(list, func(i stripeapi.InvoiceItem) bool { return i.Operation == r.op.ID })
}

// invoiceAlone makes an invoice of what waits for one, unless another has taken the item
// along.
func (r *run) invoiceAlone(ctx context.Context, l line) error {
	stripe := r.desk.config.Stripe
	taken := func(ctx context.Context) (string, error) {
		item, _, err := r.reported(ctx, l.Customer)
		return item.Invoice, err
	}
	if !r.op.Results[stepInvoice].Done {
		invoice, err := taken(ctx)
		if err != nil {
			return fmt.Errorf("look whether the overage is invoiced: %w", err)
		}
		if invoice != "" {
			if _, err := r.noteDone(ctx, stepInvoice, 0, invoice); err != nil {
				return err
			}
		}
	}
	invoice, err := r.do(ctx, call{step: stepInvoice, look: taken, write: func(ctx context.Context, key string) (string, error) {
		made, err := stripe.CreateInvoice(ctx, key, stripeapi.InvoiceInput{Origin: r.origin(), Customer: l.Customer, Currency: l.Currency, Pending: true})
		return made.ID, err
	}})
	if stripeapi.Is(err, stripeapi.Refused) { // another invoice took the item along in between
		if invoice, _ = taken(ctx); invoice != "" {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return r.sync(ctx, objectInvoice, invoice, l.Customer)
}

const settleOverageSQL = `
UPDATE billing.overages SET item_id = @item, reported_at = now()
WHERE tenant_id = @tenant_id AND meter = @meter AND period_start = @period_start`

// settleOverage notes, as the operation ends, that the overage is on an invoice.
func (r *run) settleOverage(ctx context.Context, tx pgx.Tx) error {
	if r.op.Kind != kindReportOverage {
		return nil
	}
	in, err := input[reportOverage](r.op)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, settleOverageSQL, pgx.NamedArgs{
		"tenant_id": r.op.TenantID, "meter": in.Meter, "period_start": in.PeriodStart, "item": r.op.Results[stepItem].ID,
	})
	if err != nil {
		return fmt.Errorf("note that the overage of %s is reported: %w", in.Meter, err)
	}
	return nil
}
