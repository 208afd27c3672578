package purchase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepLine      = "line"
	stepItem      = "item"
	stepItemAlone = "item-alone"
	stepInvoice   = "invoice"
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
	err = r.item(ctx, in, l, stepItem)
	var answer *stripeapi.Error
	if l.Subscription != "" && errors.As(err, &answer) && answer.Param == "subscription" { // it ended since it was chosen
		l.Subscription = ""
		err = r.item(ctx, in, l, stepItemAlone)
	}
	if err != nil || l.Subscription != "" {
		return err
	}
	return r.invoiceAlone(ctx, in, l)
}

// item is the step that makes the line, unless an operation before this one did.
func (r *run) item(ctx context.Context, in reportOverage, l line, name string) error {
	stripe := r.desk.config.Stripe
	made := call{
		step: name,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateInvoiceItem(ctx, key, stripeapi.InvoiceItemInput{
				Origin: r.origin(), Customer: l.Customer, Subscription: l.Subscription, AmountMinor: l.AmountMinor, Currency: l.Currency,
				Description: l.Description, Meter: in.Meter, PeriodStart: in.PeriodStart, PeriodEnd: l.PeriodEnd,
			})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			item, err := r.reported(ctx, in, l.Customer)
			return item.ID, err
		},
	}
	if !r.op.Results[name].Done {
		if there, err := r.found(ctx, made); err != nil || there != "" {
			return err
		}
	}
	_, err := r.do(ctx, made)
	return err
}

// reported is the line at Stripe, whichever operation made it; the zero one: there is none.
func (r *run) reported(ctx context.Context, in reportOverage, customer string) (stripeapi.InvoiceItem, error) {
	list := r.desk.config.Stripe.InvoiceItems(ctx, stripeapi.InvoiceItemFilter{Customer: customer})
	item, _, err := find(list, func(i stripeapi.InvoiceItem) bool {
		return i.Tenant == r.op.TenantID && i.Meter == in.Meter && i.PeriodStart.Equal(in.PeriodStart.Truncate(time.Second))
	})
	return item, err
}

// invoiceAlone makes an invoice of what waits for one, unless another has taken the item
// along.
func (r *run) invoiceAlone(ctx context.Context, in reportOverage, l line) error {
	stripe := r.desk.config.Stripe
	taken := func(ctx context.Context) (string, error) {
		item, err := r.reported(ctx, in, l.Customer)
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
		"tenant_id": r.op.TenantID, "meter": in.Meter, "period_start": in.PeriodStart, "item": cmp.Or(r.op.Results[stepItem].ID, r.op.Results[stepItemAlone].ID),
	})
	if err != nil {
		return fmt.Errorf("note that the overage of %s is reported: %w", in.Meter, err)
	}
	return nil
}
