// Package billing is what a tenant buys and where that leaves it: the customer, the
// subscription, invoices and payments as Stripe last said they are, and the account's
// standing that follows from them by one table of transitions (transitions.go). It owns
// the tables of schema billing that mirror Stripe, the ledgers of hints, operations and
// effects, and it changes the tenant's plan and service accordingly. It never speaks to
// Stripe: internal/stripesync brings facts in, internal/purchase makes changes there.
package billing

import (
	"time"

	"github.com/nself/tenancy/internal/id"
)

// Customer is what Stripe says of a customer.
type Customer struct {
	ID                   string
	Livemode             bool
	Deleted              bool // then nothing but ID is told
	Email                string
	Currency             string // of three letters; empty: never charged
	BalanceMinor         int64  // negative is credit
	Delinquent           bool
	DefaultPaymentMethod string       // empty: none
	Tenant               id.Tenant    // of its metadata; zero: none, or no uuid
	Operation            id.Operation // of its metadata: the operation that made it
	ClockID              string       // empty: it lives by the time of day
	ClockAt              time.Time    // zero where ClockID is empty
	CreatedAt            time.Time
}

// Subscription is what Stripe says of a subscription.
type Subscription struct {
	ID                 string
	Livemode           bool
	Customer           string
	Status             string // Stripe's word, such as past_due
	Items              []Item
	Currency           string
	CurrentPeriodStart time.Time
	CurrentPeriodEnd   time.Time
	AnchorAt           time.Time
	TrialEnd           time.Time // zero, as all that follow: none
	CancelAtPeriodEnd  bool
	CancelAt           time.Time
	CanceledAt         time.Time
	EndedAt            time.Time
	KeepsPlan          string // of its metadata: what holds until KeepsUntil whatever the price; empty: nothing
	KeepsUntil         time.Time
	KeepsPrice         string       // what was paid for KeepsPlan, and is put back where it is wanted again
	KeepsQuantity      int64        // of KeepsPrice
	Operation          id.Operation // of its metadata: the operation that made it
	LatestInvoice      string       // empty: none yet
	CreatedAt          time.Time
}

// Item is one line of a subscription.
type Item struct {
	ID          string
	Price       string
	Product     string
	AmountMinor int64 // of one
	Quantity    int64
}

// Invoice is what Stripe says of an invoice. Amounts are in minor units of Currency.
type Invoice struct {
	ID             string
	Livemode       bool
	Customer       string
	Subscription   string // empty: of none
	Number         string // empty of a draft
	Status         string // draft, open, paid, void or uncollectible
	Reason         string // Stripe's billing_reason
	Currency       string
	SubtotalMinor  int64
	TaxMinor       int64
	TotalMinor     int64
	DueMinor       int64
	PaidMinor      int64
	RemainingMinor int64
	Attempts       int
	NextAttemptAt  time.Time // zero: none is planned
	PeriodStart    time.Time
	PeriodEnd      time.Time
	FinalizedAt    time.Time // zero of a draft
	PaidAt         time.Time // zero: it is not
	HostedURL      string
	PDFURL         string
	Charge         string // the latest; empty: none
	ClientSecret   string // of its payment, where the customer has to act; kept nowhere
	ActionRequired bool   // the customer has to confirm the payment
	CreatedAt      time.Time
}

// Charge is what Stripe says of one try to be paid.
type Charge struct {
	ID             string
	Livemode       bool
	Customer       string
	Invoice        string // empty: of none
	Status         string // succeeded, pending or failed
	AmountMinor    int64
	RefundedMinor  int64
	Currency       string
	Brand, Last4   string
	FailureCode    string
	FailureMessage string
	CreatedAt      time.Time
}

// PaymentMethod is what Stripe says of a way to pay.
type PaymentMethod struct {
	ID           string
	Livemode     bool
	Customer     string // empty: it is no customer's (any more)
	Kind         string // card, …
	Brand, Last4 string
	ExpMonth     int
	ExpYear      int
	CreatedAt    time.Time
}
