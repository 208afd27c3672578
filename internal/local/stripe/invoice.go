package stripe

import "fmt"

// States of an invoice.
const (
	draft         = "draft"
	open          = "open"
	paidUp        = "paid"
	void          = "void"
	uncollectible = "uncollectible"
)

// Why an invoice was made.
const (
	reasonCreate = "subscription_create"
	reasonCycle  = "subscription_cycle"
	reasonUpdate = "subscription_update"
	reasonManual = "manual"
	reasonSoon   = "upcoming"
)

// finalizesAfter is how long a renewal stays a draft, in seconds of its clock.
const finalizesAfter = 3600

type automaticTax struct {
	Enabled bool `json:"enabled"`
	Status  any  `json:"status"`
}

type transitions struct {
	FinalizedAt           stamp `json:"finalized_at"`
	MarkedUncollectibleAt stamp `json:"marked_uncollectible_at"`
	PaidAt                stamp `json:"paid_at"`
	VoidedAt              stamp `json:"voided_at"`
}

type subscriptionDetails struct {
	Metadata metadata `json:"metadata"`
}

type invoice struct {
	ID                           string               `json:"id,omitempty"` // an upcoming one has none
	Object                       string               `json:"object"`
	AccountCountry               string               `json:"account_country"`
	AccountName                  string               `json:"account_name"`
	AmountDue                    int64                `json:"amount_due"`
	AmountPaid                   int64                `json:"amount_paid"`
	AmountRemaining              int64                `json:"amount_remaining"`
	AmountShipping               int64                `json:"amount_shipping"`
	AttemptCount                 int64                `json:"attempt_count"`
	Attempted                    bool                 `json:"attempted"`
	AutoAdvance                  bool                 `json:"auto_advance"`
	AutomaticTax                 automaticTax         `json:"automatic_tax"`
	BillingReason                string               `json:"billing_reason"`
	Charge                       ref                  `json:"charge"`
	CollectionMethod             string               `json:"collection_method"`
	Created                      int64                `json:"created"`
	Currency                     string               `json:"currency"`
	Customer                     ref                  `json:"customer"`
	CustomerAddress              any                  `json:"customer_address"`
	CustomerEmail                ref                  `json:"customer_email"`
	CustomerName                 ref                  `json:"customer_name"`
	CustomerPhone                ref                  `json:"customer_phone"`
	CustomerTaxExempt            string               `json:"customer_tax_exempt"`
	DefaultPaymentMethod         ref                  `json:"default_payment_method"`
	Description                  ref                  `json:"description"`
	Discount                     any                  `json:"discount"`
	DueDate                      stamp                `json:"due_date"`
	EffectiveAt                  stamp                `json:"effective_at"`
	EndingBalance                *int64               `json:"ending_balance"`
	Footer                       ref                  `json:"footer"`
	HostedInvoiceURL             ref                  `json:"hosted_invoice_url"`
	InvoicePDF                   ref                  `json:"invoice_pdf"`
	LastFinalizationError        any                  `json:"last_finalization_error"`
	Lines                        page[*invoiceLine]   `json:"lines"`
	Livemode                     bool                 `json:"livemode"`
	Metadata                     metadata             `json:"metadata"`
	NextPaymentAttempt           stamp                `json:"next_payment_attempt"`
	Number                       ref                  `json:"number"`
	Paid                         bool                 `json:"paid"`
	PaidOutOfBand                bool                 `json:"paid_out_of_band"`
	PaymentIntent                ref                  `json:"payment_intent"`
	PeriodEnd                    int64                `json:"period_end"`
	PeriodStart                  int64                `json:"period_start"`
	PostPaymentCreditNotesAmount int64                `json:"post_payment_credit_notes_amount"`
	PrePaymentCreditNotesAmount  int64                `json:"pre_payment_credit_notes_amount"`
	ReceiptNumber                ref                  `json:"receipt_number"`
	StartingBalance              int64                `json:"starting_balance"`
	Status                       string               `json:"status"`
	StatusTransitions            transitions          `json:"status_transitions"`
	Subscription                 ref                  `json:"subscription"`
	SubscriptionDetails          *subscriptionDetails `json:"subscription_details"`
	Subtotal                     int64                `json:"subtotal"`
	Tax                          any                  `json:"tax"`
	TestClock                    ref                  `json:"test_clock"`
	Total                        int64                `json:"total"`
	TotalExcludingTax            int64                `json:"total_excluding_tax"`
}

// invoiceLine is one line.
type invoiceLine struct {
	ID               string   `json:"id"`
	Object           string   `json:"object"`
	Amount           int64    `json:"amount"`
	Currency         string   `json:"currency"`
	Description      ref      `json:"description"`
	Discountable     bool     `json:"discountable"`
	Invoice          ref      `json:"invoice"`
	InvoiceItem      string   `json:"invoice_item,omitempty"`
	Livemode         bool     `json:"livemode"`
	Metadata         metadata `json:"metadata"`
	Period           span     `json:"period"`
	Plan             *plan    `json:"plan"`
	Price            *price   `json:"price"`
	Proration        bool     `json:"proration"`
	Quantity         int64    `json:"quantity"`
	Subscription     ref      `json:"subscription"`
	SubscriptionItem string   `json:"subscription_item,omitempty"`
	Type             string   `json:"type"`
}

func (l *invoiceLine) ident() string { return l.ID }

// linesShown is how many lines come with an invoice, and items with a subscription; all of
// them have a list of their own.
const linesShown = 10

// invoiceRow is an invoice with what the API does not show.
type invoiceRow struct {
	invoice
	AllLines   []*invoiceLine `json:"_lines"`
	FinalizeAt int64          `json:"_finalize_at,omitempty"`
	Retry      int            `json:"_retry,omitempty"`     // how many of Config.Retries were used
	FromHand   int64          `json:"_from_hand,omitempty"` // what it took from the customer's balance, which falls below 0 as the hand fills
}

func (inv *invoiceRow) ident() string { return inv.ID }
func (inv *invoiceRow) wire() any     { return &inv.invoice }
func (inv *invoiceRow) clock() string { return string(inv.TestClock) }

// next is when the draft is finalised, or a payment is tried again.
func (inv *invoiceRow) next() int64 {
	switch {
	case inv.Status == draft && inv.AutoAdvance:
		return inv.FinalizeAt
	case inv.Status == open && inv.AutoAdvance:
		return int64(inv.NextPaymentAttempt)
	}
	return 0
}

// newInvoice makes a draft for a customer; sub is nil for one of loose items.
func (s *Server) newInvoice(owner *customerRow, sub *subscriptionRow, reason string) *invoiceRow {
	now := s.now(owner.clock())
	inv := &invoiceRow{invoice: invoice{ID: s.token("in_"), Object: "invoice", AccountCountry: "US", AccountName: s.state.Account.BusinessProfile.Name,
		AutoAdvance: true, BillingReason: reason, CollectionMethod: "charge_automatically", Created: now, Currency: string(owner.Currency), Customer: ref(owner.ID),
		CustomerAddress: owner.Address, CustomerEmail: owner.Email, CustomerName: owner.Name, CustomerPhone: owner.Phone, CustomerTaxExempt: owner.TaxExempt,
		Metadata: metadata{}, PeriodStart: now, PeriodEnd: now, Status: draft, TestClock: owner.TestClock, StartingBalance: owner.Balance}}
	if sub != nil {
		inv.Subscription, inv.Currency = ref(sub.ID), sub.Currency
		inv.SubscriptionDetails = &subscriptionDetails{Metadata: sub.Metadata}
	}
	return inv
}

// addLine adds a line of a subscription's item for a period.
func (s *Server) addLine(inv *invoiceRow, item *subscriptionItem, amount int64, over span) *invoiceLine {
	l := &invoiceLine{ID: s.token("il_"), Object: "line_item", Amount: amount, Currency: inv.Currency, Discountable: true, Invoice: ref(inv.ID),
		Metadata: metadata{}, Period: over, Plan: item.Plan, Price: item.Price, Quantity: item.Quantity, Subscription: ref(item.Subscription),
		SubscriptionItem: item.ID, Type: "subscription"}
	l.Description = ref(fmt.Sprintf("%d × %s (at %s / %s)", item.Quantity, s.named(item.Price), money(item.Price.UnitAmount, inv.Currency), item.Price.Recurring.every()))
	inv.AllLines = append(inv.AllLines, l)
	return l
}

// takeItem adds a line of an invoice item, which the invoice then has.
func (s *Server) takeItem(inv *invoiceRow, item *invoiceItem) {
	item.Invoice = ref(inv.ID)
	s.addItem(inv, item)
}

func (s *Server) addItem(inv *invoiceRow, item *invoiceItem) {
	inv.AllLines = append(inv.AllLines, &invoiceLine{ID: s.token("il_"), Object: "line_item", Amount: item.Amount, Currency: item.Currency,
		Description: item.Description, Discountable: item.Discountable, Invoice: ref(inv.ID), InvoiceItem: item.ID, Metadata: item.Metadata,
		Period: item.Period, Plan: item.Plan, Price: item.Price, Proration: item.Proration, Quantity: item.Quantity, Subscription: item.Subscription,
		SubscriptionItem: item.SubscriptionItem, Type: "invoiceitem"})
}

// show brings the totals and the lines shown up to date with all lines.
func (inv *invoiceRow) show() {
	inv.Lines = page[*invoiceLine]{Object: "list", Data: inv.AllLines, URL: "/v1/invoices/" + inv.ID + "/lines"}
	if len(inv.AllLines) > linesShown {
		inv.Lines.Data, inv.Lines.HasMore = inv.AllLines[:linesShown], true
	}
	if inv.Lines.Data == nil {
		inv.Lines.Data = []*invoiceLine{}
	}
	inv.Subtotal = 0
	for _, l := range inv.AllLines {
		inv.Subtotal += l.Amount
	}
	inv.Total, inv.TotalExcludingTax = inv.Subtotal, inv.Subtotal
	if inv.Status == draft {
		inv.AmountDue = max(0, inv.Total+inv.StartingBalance)
	}
	inv.AmountRemaining = inv.AmountDue - inv.AmountPaid
}

// keepInvoice keeps and tells a new draft.
func (s *Server) keepInvoice(inv *invoiceRow, sub *subscriptionRow) {
	inv.show()
	s.state.Invoices.put(inv)
	if sub != nil {
		sub.LatestInvoice = ref(inv.ID)
		sub.Invoices = append(sub.Invoices, inv.ID)
	}
	s.tell("invoice.created", inv)
}
