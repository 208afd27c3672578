package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

const (
	invoiceColumns = `{ id: stripe_id number status reason currency subtotal_minor tax_minor total_minor due_minor paid_minor remaining_minor attempts
		next_attempt_at period_start period_end finalized_at paid_at hosted_url pdf_url created_at }`
	paymentColumns = `{ id: stripe_id invoice_id status amount_minor refunded_minor currency brand last4 failure_code failure_message created_at }`

	invoicesQuery = `query ($tenant: uuid!, $limit: Int) {
		rows: invoices(where: {tenant_id: {_eq: $tenant}}, order_by: [{created_at: desc}, {stripe_id: desc}], limit: $limit) ` + invoiceColumns + ` }`
	paymentsQuery = `query ($tenant: uuid!, $limit: Int) {
		rows: payments(where: {tenant_id: {_eq: $tenant}}, order_by: [{created_at: desc}, {stripe_id: desc}], limit: $limit) ` + paymentColumns + ` }`
)

// invoice is one of Stripe's. Amounts are in minor units of the currency; due is after
// credits.
type invoice struct {
	ID             string     `json:"id"`
	Number         *string    `json:"number"`
	Status         string     `json:"status"`
	Reason         *string    `json:"reason"`
	Currency       string     `json:"currency"`
	SubtotalMinor  bigint     `json:"subtotal_minor"`
	TaxMinor       bigint     `json:"tax_minor"`
	TotalMinor     bigint     `json:"total_minor"`
	DueMinor       bigint     `json:"due_minor"`
	PaidMinor      bigint     `json:"paid_minor"`
	RemainingMinor bigint     `json:"remaining_minor"`
	Attempts       int        `json:"attempts"`
	NextAttemptAt  *time.Time `json:"next_attempt_at"`
	PeriodStart    time.Time  `json:"period_start"`
	PeriodEnd      time.Time  `json:"period_end"`
	FinalizedAt    *time.Time `json:"finalized_at"`
	PaidAt         *time.Time `json:"paid_at"`
	HostedURL      *string    `json:"hosted_url"`
	PDFURL         *string    `json:"pdf_url"`
	CreatedAt      time.Time  `json:"created_at"`
}

// payment is one try to charge an invoice.
type payment struct {
	ID             string    `json:"id"`
	InvoiceID      *string   `json:"invoice_id"`
	Status         string    `json:"status"`
	AmountMinor    bigint    `json:"amount_minor"`
	RefundedMinor  bigint    `json:"refunded_minor"`
	Currency       string    `json:"currency"`
	Brand          *string   `json:"brand"`
	Last4          *string   `json:"last4"`
	FailureCode    *string   `json:"failure_code"`
	FailureMessage *string   `json:"failure_message"`
	CreatedAt      time.Time `json:"created_at"`
}

func (p *program) invoicesCommand() *cobra.Command {
	return ledger(p, &cobra.Command{
		Use: "invoices <tenant>", Short: "List a tenant's invoices, the latest first",
		Long: `List a tenant's invoices, the latest first: what each comes to, what was paid of it, and what
is left. With --json each has the address where it is paid.`,
		Example: `  nself billing invoices acme
  nself billing invoices acme --limit 12 --json`,
	}, invoicesQuery, writeInvoices)
}

func (p *program) paymentsCommand() *cobra.Command {
	return ledger(p, &cobra.Command{
		Use: "payments <tenant>", Short: "List what was charged, and what failed, the latest first",
		Long: `List each try to charge a tenant, the latest first: of which invoice, and why it failed
where it did.`,
		Example: `  nself billing payments acme
  nself billing payments acme --json`,
	}, paymentsQuery, writePayments)
}

// ledger is a command that lists rows of a tenant, which query selects as rows.
func ledger[T any](p *program, cmd *cobra.Command, query string, write func(*strings.Builder, []T)) *cobra.Command {
	var limit int
	listing(cmd.Flags(), &limit)
	cmd.Args = takes(1, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{}, &checks{}
		check.limited(variables, limit)
		if err := check.err(); err != nil {
			return err
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		found, err := findTenant[tenant](cmd.Context(), client, lookup{document: namedTenantQuery, ref: args[0]})
		if err != nil {
			return err
		}
		variables["tenant"] = found.ID
		reply := struct {
			Rows []T `json:"rows"`
		}{Rows: []T{}}
		if err := client.Do(cmd.Context(), query, variables, &reply); err != nil {
			return err
		}
		rows := shownOf(p, reply.Rows, limit)
		return p.print(rows, func(w *strings.Builder) { write(w, rows) })
	}
	return cmd
}

func writeInvoices(w *strings.Builder, invoices []invoice) {
	rows := make([][]string, len(invoices))
	for n, i := range invoices {
		left := i.money(i.RemainingMinor)
		if i.Status == "void" {
			left = ""
		}
		rows[n] = []string{i.name(), i.Status, value(i.Reason), i.money(i.TotalMinor), i.money(i.PaidMinor), left, when(&i.CreatedAt), when(i.PaidAt)}
	}
	table(w, []string{"INVOICE", "STATUS", "REASON", "TOTAL", "PAID", "LEFT", "MADE", "PAID AT"}, rows)
}

func writePayments(w *strings.Builder, payments []payment) {
	rows := make([][]string, len(payments))
	for n, p := range payments {
		refunded := ""
		if p.RefundedMinor != 0 {
			refunded = text.Money(int64(p.RefundedMinor), p.Currency)
		}
		rows[n] = []string{p.ID, value(p.InvoiceID), p.Status, text.Money(int64(p.AmountMinor), p.Currency), refunded, p.card(), when(&p.CreatedAt), p.failure()}
	}
	table(w, []string{"PAYMENT", "INVOICE", "STATUS", "AMOUNT", "REFUNDED", "CARD", "AT", "FAILURE"}, rows)
}

func (i invoice) money(minor bigint) string { return text.Money(int64(minor), i.Currency) }

// name is the number, or Stripe's id of a draft.
func (i invoice) name() string { return cmp.Or(value(i.Number), i.ID) }

// owed says what is left to pay, and where.
func (i invoice) owed() string {
	said := fmt.Sprintf("%s of invoice %s, tried %s", i.money(i.RemainingMinor), i.name(), times(i.Attempts))
	if i.NextAttemptAt != nil {
		said += ", again on " + when(i.NextAttemptAt)
	}
	if i.HostedURL != nil {
		said += ", to be paid at " + *i.HostedURL
	}
	return said
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (p payment) card() string { return strings.TrimSpace(value(p.Brand) + " " + value(p.Last4)) }

// failure says why a payment failed, by Stripe's words and its code.
func (p payment) failure() string {
	if p.FailureCode == nil {
		return value(p.FailureMessage)
	}
	return strings.TrimSpace(value(p.FailureMessage) + " (" + *p.FailureCode + ")")
}
