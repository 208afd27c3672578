package billing

// Stripe's words for the status of a subscription.
const (
	StatusActive            = "active"
	StatusTrialing          = "trialing"
	StatusPastDue           = "past_due"
	StatusUnpaid            = "unpaid"
	StatusPaused            = "paused"
	StatusCanceled          = "canceled"
	StatusIncomplete        = "incomplete" // the first payment has not come
	StatusIncompleteExpired = "incomplete_expired"
)

// Stripe's words for the status of an invoice. One that is void or uncollectible nobody
// compares with.
const (
	InvoiceDraft = "draft"
	InvoiceOpen  = "open"
	InvoicePaid  = "paid"
)
