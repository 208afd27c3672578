package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/text"
)

// billingQuery asks what a tenant buys and where that leaves it. billingToOwnerQuery leaves
// out what owners may not see.
const (
	billingQuery        = billingSelected + ` customers(where: {tenant_id: {_eq: $tenant}}) { id: stripe_id ` + customerColumns + ` } }`
	billingToOwnerQuery = billingSelected + ` customers(where: {tenant_id: {_eq: $tenant}}) { ` + customerColumns + ` } }`

	customerColumns = `email currency balance_minor delinquent default_payment_method clock_at deleted_at`
)

const billingSelected = `query ($tenant: uuid!) {
	accounts: billingAccounts(where: {tenant_id: {_eq: $tenant}}) { state since grace_until due_at reminders }
	subscriptions(where: {tenant_id: {_eq: $tenant}, main: {_eq: true}}) { id: stripe_id status plan quantity amount_minor currency
		current_period_start current_period_end trial_end cancel_at_period_end cancel_at ended_at keeps_plan keeps_until created_at }
	payment_methods: paymentMethods(where: {tenant_id: {_eq: $tenant}}, order_by: {created_at: asc}) { id: stripe_id kind brand last4 exp_month exp_year }
	addons: tenantAddons(where: {tenant_id: {_eq: $tenant}}, order_by: {addon: asc}) { addon quantity }
	open_invoices: invoices(where: {tenant_id: {_eq: $tenant}, status: {_eq: "open"}}, order_by: {created_at: asc}) ` + invoiceColumns + `
	operations: billingOperations(where: {tenant_id: {_eq: $tenant}, state: {_eq: "open"}}, order_by: {created_at: asc}) { id kind created_at }`

// The states of an account.
const (
	statePending   = "pending"
	stateTrialing  = "trialing"
	stateActive    = "active"
	statePastDue   = "past_due"
	statePaused    = "paused"
	stateCanceled  = "canceled"
	stateSuspended = "suspended"
)

// account is where a tenant stands with what it buys. DueAt is when time alone changes
// something; Reminders is how many were due.
type account struct {
	State      string     `json:"state"`
	Since      *time.Time `json:"since"`
	GraceUntil *time.Time `json:"grace_until"`
	DueAt      *time.Time `json:"due_at"`
	Reminders  int        `json:"reminders"`
}

type subscription struct {
	ID                 string     `json:"id"`
	Status             string     `json:"status"`
	Plan               *string    `json:"plan"`
	Quantity           bigint     `json:"quantity"`
	AmountMinor        bigint     `json:"amount_minor"`
	Currency           string     `json:"currency"`
	CurrentPeriodStart time.Time  `json:"current_period_start"`
	CurrentPeriodEnd   time.Time  `json:"current_period_end"`
	TrialEnd           *time.Time `json:"trial_end"`
	CancelAtPeriodEnd  bool       `json:"cancel_at_period_end"`
	CancelAt           *time.Time `json:"cancel_at"`
	EndedAt            *time.Time `json:"ended_at"`
	KeepsPlan          *string    `json:"keeps_plan"`
	KeepsUntil         *time.Time `json:"keeps_until"`
	CreatedAt          time.Time  `json:"created_at"`
}

type customer struct {
	ID                   string     `json:"id,omitempty"`
	Email                *string    `json:"email"`
	Currency             *string    `json:"currency"`
	BalanceMinor         bigint     `json:"balance_minor"`
	Delinquent           bool       `json:"delinquent"`
	DefaultPaymentMethod *string    `json:"default_payment_method"`
	ClockAt              *time.Time `json:"clock_at"`
	DeletedAt            *time.Time `json:"deleted_at"`
}

type paymentMethod struct {
	ID       string  `json:"id"`
	Kind     string  `json:"kind"`
	Brand    *string `json:"brand"`
	Last4    *string `json:"last4"`
	ExpMonth *int    `json:"exp_month"`
	ExpYear  *int    `json:"exp_year"`
}

type heldAddon struct {
	Addon    string `json:"addon"`
	Quantity bigint `json:"quantity"`
}

type operation struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	CreatedAt time.Time `json:"created_at"`
}

// billed is what a tenant buys and where that leaves it, as the tables have it. Accounts,
// Subscriptions and Customers hold one row or none.
type billed struct {
	Accounts       []account       `json:"accounts"`
	Subscriptions  []subscription  `json:"subscriptions"`
	Customers      []customer      `json:"customers"`
	PaymentMethods []paymentMethod `json:"payment_methods"`
	Addons         []heldAddon     `json:"addons"`
	OpenInvoices   []invoice       `json:"open_invoices"`
	Operations     []operation     `json:"operations"`
}

func billingOf(ctx context.Context, client *hasuraapi.Client, tenantID string) (billed, error) {
	query := billingQuery
	if !client.Operator() {
		query = billingToOwnerQuery
	}
	var found billed
	err := client.Do(ctx, query, map[string]any{"tenant": tenantID}, &found)
	return found, err
}

// first is the only row there can be, or nil.
func first[T any](rows []T) *T {
	if len(rows) == 0 {
		return nil
	}
	return &rows[0]
}

// standing says where the account stands; "" where it never bought anything.
func (b billed) standing() string {
	if account := first(b.Accounts); account != nil {
		return account.standing()
	}
	return ""
}

func (a account) standing() string {
	if a.Since == nil {
		return a.State
	}
	return a.State + " since " + when(a.Since)
}

// graceUntil is when the tenant goes out of service; "" where nothing is owed.
func (b billed) graceUntil() string {
	if account := first(b.Accounts); account != nil {
		return when(account.GraceUntil)
	}
	return ""
}

// nextStep says what happens next, and when.
func (b billed) nextStep() string {
	account, bought := first(b.Accounts), first(b.Subscriptions)
	if account == nil {
		return ""
	}
	switch account.State {
	case statePending:
		return "the first payment" + b.payAt()
	case stateTrialing, stateActive:
		if bought != nil {
			return bought.nextStep()
		}
	case statePastDue:
		return account.countdown() + b.payAt()
	case statePaused:
		return "the plan is free until a card is set (nself billing card set) and the subscription resumed (nself billing resume)"
	case stateCanceled:
		if account.GraceUntil != nil {
			return account.countdown() + ", unless it subscribes again"
		}
	case stateSuspended:
		if at := b.payAt(); at != "" {
			return "back in service once paid" + at
		}
		return "back in service once it subscribes again"
	}
	return ""
}

// countdown says which reminder comes, and when the grace ends.
func (a account) countdown() string {
	suspension := "out of service on " + when(a.GraceUntil)
	if a.DueAt != nil && a.GraceUntil != nil && a.DueAt.Before(*a.GraceUntil) {
		return "reminder on " + when(a.DueAt) + ", " + suspension
	}
	return suspension
}

// nextStep says how a subscription that is paid goes on.
func (s subscription) nextStep() string {
	price := text.Money(int64(s.AmountMinor), s.Currency)
	switch {
	case s.CancelAt != nil:
		return "ends on " + when(s.CancelAt)
	case s.CancelAtPeriodEnd:
		return "ends on " + when(&s.CurrentPeriodEnd)
	case s.Status == statusTrialing && s.TrialEnd != nil:
		return fmt.Sprintf("the trial ends on %s, %s is charged then: a card is needed", when(s.TrialEnd), price)
	case s.KeepsUntil != nil && !s.KeepsUntil.Before(s.CurrentPeriodEnd):
		return fmt.Sprintf("goes from %s to %s on %s, %s is charged then", value(s.KeepsPlan), value(s.Plan), when(s.KeepsUntil), price)
	}
	return fmt.Sprintf("renews on %s for at least %s", when(&s.CurrentPeriodEnd), price)
}

// payAt tells where the oldest open invoice is paid; "" where none is open.
func (b billed) payAt() string {
	open := first(b.OpenInvoices)
	if open == nil {
		return ""
	}
	said := " (" + text.Money(int64(open.RemainingMinor), open.Currency)
	if url := value(open.HostedURL); url != "" {
		said += " at " + url
	}
	return said + ")"
}

// shown is the method as people know it: visa ending 4242.
func (m paymentMethod) shown() string {
	said := m.Kind
	if m.Brand != nil {
		said = *m.Brand
	}
	if m.Last4 != nil {
		said += " ending " + *m.Last4
	}
	if m.ExpMonth != nil && m.ExpYear != nil {
		said += fmt.Sprintf(", good until %02d/%d", *m.ExpMonth, *m.ExpYear)
	}
	return said + " (" + m.ID + ")"
}

// paysBy is the customer's own method, or the last one it paid with.
func (b billed) paysBy() string {
	customer := first(b.Customers)
	switch {
	case customer == nil:
		return ""
	case customer.DefaultPaymentMethod == nil && len(b.PaymentMethods) > 0: // of a checkout: the subscription's own
		return b.PaymentMethods[len(b.PaymentMethods)-1].shown()
	case customer.DefaultPaymentMethod == nil:
		return ""
	}
	for _, m := range b.PaymentMethods {
		if m.ID == *customer.DefaultPaymentMethod {
			return m.shown()
		}
	}
	return *customer.DefaultPaymentMethod
}

// addons are those the tenant has: 2 of extra-storage.
func (b billed) addonsHeld() string {
	held := make([]string, len(b.Addons))
	for i, a := range b.Addons {
		held[i] = groupedInt(int64(a.Quantity)) + " of " + a.Addon
	}
	return strings.Join(held, ", ")
}
