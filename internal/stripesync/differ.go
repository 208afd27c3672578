package stripesync

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/billing"
)

// differs begins the word for a field that is not the same on both sides.
const differs = "differs: "

// field is one value as it is here and at Stripe.
type field struct{ name, here, there string }

func number(n int64) string { return strconv.FormatInt(n, 10) }

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// orZero is what is nowhere as an empty value.
func orZero[T any](value *T) T {
	if value == nil {
		var zero T
		return zero
	}
	return *value
}

func customerFields(here billing.CustomerRow, there billing.Customer) []field {
	if here.DeletedAt != nil || there.Deleted {
		return []field{{"deleted", strconv.FormatBool(here.DeletedAt != nil), strconv.FormatBool(there.Deleted)}}
	}
	fields := []field{
		{"email", orZero(here.Email), there.Email},
		{"currency", orZero(here.Currency), there.Currency},
		{"balance", number(here.BalanceMinor), number(there.BalanceMinor)},
		{"default payment method", orZero(here.DefaultPaymentMethod), there.DefaultPaymentMethod},
		{"delinquent", strconv.FormatBool(here.Delinquent), strconv.FormatBool(there.Delinquent)},
	}
	if !there.Tenant.IsZero() {
		fields = append(fields, field{"tenant", here.TenantID.String(), there.Tenant.String()})
	}
	return fields
}

func subscriptionFields(here billing.SubscriptionRow, there billing.Subscription) []field {
	var amount int64
	for _, item := range there.Items {
		amount += item.AmountMinor * item.Quantity
	}
	return []field{
		{"status", here.Status, there.Status},
		{"amount", number(here.AmountMinor), number(amount)},
		{"current period end", moment(here.CurrentPeriodEnd), moment(there.CurrentPeriodEnd)},
		{"billing cycle anchor", moment(here.AnchorAt), moment(there.AnchorAt)},
		{"trial end", moment(orZero(here.TrialEnd)), moment(there.TrialEnd)},
		{"cancel at period end", strconv.FormatBool(here.CancelAtPeriodEnd), strconv.FormatBool(there.CancelAtPeriodEnd)},
		{"cancel at", moment(orZero(here.CancelAt)), moment(there.CancelAt)},
		{"ended at", moment(orZero(here.EndedAt)), moment(there.EndedAt)},
		{"latest invoice", orZero(here.LatestInvoice), there.LatestInvoice},
	}
}

// termsFields are what a subscription is sold as. Of a plan that is kept metadata may name
// any: one that is none of ours stands nowhere here.
func (r rows) termsFields(here billing.SubscriptionRow, there billing.Subscription) []field {
	kept := there.KeepsPlan
	if !r.plans[kept] {
		kept = ""
	}
	itemsHere, itemsThere := make([]string, 0, 1), make([]string, 0, 1)
	for _, item := range r.items[here.StripeID] {
		itemsHere = append(itemsHere, number(item.Quantity)+" of "+item.PriceID)
	}
	for _, item := range there.Items {
		itemsThere = append(itemsThere, number(item.Quantity)+" of "+item.Price)
	}
	slices.Sort(itemsHere)
	slices.Sort(itemsThere)
	return []field{
		{"items", strings.Join(itemsHere, ", "), strings.Join(itemsThere, ", ")},
		{"plan that is kept", orZero(here.KeepsPlan), kept},
		{"kept until", moment(orZero(here.KeepsUntil)), moment(there.KeepsUntil)},
	}
}

func invoiceFields(here billing.InvoiceRow, there billing.Invoice) []field {
	return []field{
		{"status", here.Status, there.Status},
		{"total", number(here.TotalMinor), number(there.TotalMinor)},
		{"paid", number(here.PaidMinor), number(there.PaidMinor)},
		{"remaining", number(here.RemainingMinor), number(there.RemainingMinor)},
		{"attempts", number(int64(here.Attempts)), number(int64(there.Attempts))},
	}
}

func chargeFields(here billing.PaymentRow, there billing.Charge) []field {
	return []field{
		{"status", here.Status, there.Status},
		{"amount", number(here.AmountMinor), number(there.AmountMinor)},
		{"refunded", number(here.RefundedMinor), number(there.RefundedMinor)},
		{"invoice", orZero(here.InvoiceID), there.Invoice},
	}
}

// drifts are the fields that differ, each as a difference of the kind that like is.
func drifts(like Drift, fields []field) []Drift {
	var found []Drift
	for _, f := range fields {
		if f.here != f.there {
			like.What, like.Here, like.There = differs+f.name, f.here, f.there
			found = append(found, like)
		}
	}
	return found
}

// charged reports whether an invoice was paid with money.
func charged(in billing.Invoice) bool { return in.Status == billing.InvoicePaid && in.PaidMinor > 0 }
