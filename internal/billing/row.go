package billing

import (
	"time"

	"github.com/nself/tenancy/internal/id"
)

// CustomerRow is a row of billing.customers.
type CustomerRow struct {
	TenantID             id.Tenant  `db:"tenant_id"`
	StripeID             string     `db:"stripe_id"`
	Livemode             bool       `db:"livemode"`
	Email                *string    `db:"email"`
	Currency             *string    `db:"currency"` // nil: never charged
	BalanceMinor         int64      `db:"balance_minor"`
	Delinquent           bool       `db:"delinquent"`
	DefaultPaymentMethod *string    `db:"default_payment_method"`
	ClockID              *string    `db:"clock_id"`
	ClockAt              *time.Time `db:"clock_at"` // nil: it lives by the time of day
	DeletedAt            *time.Time `db:"deleted_at"`
	CreatedAt            time.Time  `db:"created_at"`
	UpdatedAt            time.Time  `db:"updated_at"`
}

// SubscriptionRow is a row of billing.subscriptions.
type SubscriptionRow struct {
	TenantID           id.Tenant  `db:"tenant_id"`
	StripeID           string     `db:"stripe_id"`
	Status             string     `db:"status"` // Stripe's word
	Plan               *string    `db:"plan"`   // what its price is of; nil: no plan of ours
	Quantity           int64      `db:"quantity"`
	AmountMinor        int64      `db:"amount_minor"`
	Currency           string     `db:"currency"`
	CurrentPeriodStart time.Time  `db:"current_period_start"`
	CurrentPeriodEnd   time.Time  `db:"current_period_end"`
	AnchorAt           time.Time  `db:"anchor_at"`
	TrialEnd           *time.Time `db:"trial_end"`
	CancelAtPeriodEnd  bool       `db:"cancel_at_period_end"`
	CancelAt           *time.Time `db:"cancel_at"`
	CanceledAt         *time.Time `db:"canceled_at"`
	EndedAt            *time.Time `db:"ended_at"`
	KeepsPlan          *string    `db:"keeps_plan"` // holds until KeepsUntil, whatever Plan is
	KeepsUntil         *time.Time `db:"keeps_until"`
	LatestInvoice      *string    `db:"latest_invoice"`
	Main               bool       `db:"main"`
	Livemode           bool       `db:"livemode"`
	CreatedAt          time.Time  `db:"created_at"`
	UpdatedAt          time.Time  `db:"updated_at"`
}

// ItemRow is a row of billing.subscription_items.
type ItemRow struct {
	TenantID       id.Tenant `db:"tenant_id"`
	SubscriptionID string    `db:"subscription_id"`
	StripeID       string    `db:"stripe_id"`
	PriceID        string    `db:"price_id"`
	Quantity       int64     `db:"quantity"`
	Addon          *string   `db:"addon"` // nil: the plan's own item, or one of no price of ours
}

// InvoiceRow is a row of billing.invoices. Amounts are in minor units of Currency.
type InvoiceRow struct {
	TenantID       id.Tenant  `db:"tenant_id"`
	StripeID       string     `db:"stripe_id"`
	SubscriptionID *string    `db:"subscription_id"`
	Number         *string    `db:"number"`
	Status         string     `db:"status"`
	Reason         *string    `db:"reason"`
	Currency       string     `db:"currency"`
	SubtotalMinor  int64      `db:"subtotal_minor"`
	TaxMinor       int64      `db:"tax_minor"`
	TotalMinor     int64      `db:"total_minor"`
	DueMinor       int64      `db:"due_minor"`
	PaidMinor      int64      `db:"paid_minor"`
	RemainingMinor int64      `db:"remaining_minor"`
	Attempts       int        `db:"attempts"`
	NextAttemptAt  *time.Time `db:"next_attempt_at"`
	PeriodStart    time.Time  `db:"period_start"`
	PeriodEnd      time.Time  `db:"period_end"`
	FinalizedAt    *time.Time `db:"finalized_at"`
	PaidAt         *time.Time `db:"paid_at"`
	HostedURL      *string    `db:"hosted_url"`
	PDFURL         *string    `db:"pdf_url"`
	Livemode       bool       `db:"livemode"`
	CreatedAt      time.Time  `db:"created_at"`
	UpdatedAt      time.Time  `db:"updated_at"`
}

// PaymentRow is a row of billing.payments: one try to charge an invoice.
type PaymentRow struct {
	TenantID       id.Tenant `db:"tenant_id"`
	StripeID       string    `db:"stripe_id"`
	InvoiceID      *string   `db:"invoice_id"`
	Status         string    `db:"status"` // succeeded, pending or failed
	AmountMinor    int64     `db:"amount_minor"`
	RefundedMinor  int64     `db:"refunded_minor"`
	Currency       string    `db:"currency"`
	Brand          *string   `db:"brand"`
	Last4          *string   `db:"last4"`
	FailureCode    *string   `db:"failure_code"`
	FailureMessage *string   `db:"failure_message"`
	Livemode       bool      `db:"livemode"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
}

// PlanRow is a row of billing.plans.
type PlanRow struct {
	Code       string `db:"code"`
	Name       string `db:"name"`
	PriceMinor int64  `db:"price_minor"` // per month, for each seat where PerSeat
	Currency   string `db:"currency"`
	PerSeat    bool   `db:"per_seat"`
	TrialDays  int    `db:"trial_days"`
	Position   int    `db:"position"`
}

// AddonRow is a row of billing.addons.
type AddonRow struct {
	Code       string `db:"code"`
	Name       string `db:"name"`
	PriceMinor int64  `db:"price_minor"` // of one, per month
	Currency   string `db:"currency"`
	Position   int    `db:"position"`
}
