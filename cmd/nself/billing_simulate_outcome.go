package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/text"
)

// outcome is what a simulation prints with --json: what its invoices were paid, and what
// was charged and not given back, in minor units of the currency; and where Stripe has
// something else.
type outcome struct {
	TenantID     string        `json:"tenant_id"`
	Slug         string        `json:"tenant_slug"`
	Months       int           `json:"months"`
	Happened     []happening   `json:"happened"`
	Invoices     int           `json:"invoices"`
	Payments     int           `json:"payments"`
	Failed       int           `json:"failed_payments"`
	PaidMinor    int64         `json:"paid_minor"`
	ChargedMinor int64         `json:"charged_minor"`
	Currency     string        `json:"currency"`
	Drift        []stripeDrift `json:"drift"`
}

// settle waits until what was paid is what was charged, and everything is as Stripe has
// it, or until that takes too long: the outcome says so then.
func (s *simulation) settle(ctx context.Context) error {
	var failed error
	settled := func() bool {
		s.sum()
		found, err := s.p.compare(ctx, map[string]any{"tenant": s.tenant.ID})
		s.outcome.Drift, failed = found.Drift, err
		return err != nil || s.outcome.fault() == nil
	}
	if err := s.await(ctx, "what was paid is what was charged", settled); err != nil && ctx.Err() != nil {
		return err
	}
	return failed
}

func (s *simulation) sum() {
	o := &s.outcome
	o.Invoices, o.Payments, o.Failed, o.PaidMinor, o.ChargedMinor = 0, 0, 0, 0, 0
	for _, i := range s.watched.Invoices {
		o.Invoices++
		o.PaidMinor += int64(i.PaidMinor)
		o.Currency = i.Currency
	}
	for _, p := range s.watched.Payments {
		switch p.Status {
		case "succeeded":
			o.Payments++
			o.ChargedMinor += int64(p.AmountMinor) - int64(p.RefundedMinor)
		case "failed":
			o.Failed++
		}
	}
}

// fault says what is not as it has to be; nil where everything is.
func (o outcome) fault() error {
	switch {
	case o.PaidMinor != o.ChargedMinor:
		return fmt.Errorf("invoices were paid %s, and %s was charged", text.Money(o.PaidMinor, o.Currency), text.Money(o.ChargedMinor, o.Currency))
	case len(o.Drift) > 0:
		return fmt.Errorf("%s from Stripe left; nself billing reconcile %s tells them", number(len(o.Drift), "difference"), o.Slug)
	}
	return nil
}

func (o outcome) write(w *strings.Builder, p *program) {
	says := "What was paid is what Stripe charged"
	if fault := o.fault(); fault != nil {
		says = fault.Error()
	}
	fmt.Fprintln(w, p.mark(o.fault() == nil)+" "+clean(says))
	describe(w, "  ", []field{
		{"Tenant", o.Slug + " (ID: " + o.TenantID + ")"},
		{"Paid", fmt.Sprintf("%s by %s", text.Money(o.PaidMinor, o.Currency), number(o.Invoices, "invoice"))},
		{"Charged", fmt.Sprintf("%s by %s, %d failed", text.Money(o.ChargedMinor, o.Currency), number(o.Payments, "payment"), o.Failed)},
		{"Differences from Stripe", groupedInt(int64(len(o.Drift)))},
	})
}
