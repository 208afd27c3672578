package billing

import "time"

// Rules are what the installation decided about those who do not pay.
type Rules struct {
	Grace     time.Duration   // from the first failed payment, or the end of a subscription, to suspension
	Reminders []time.Duration // after the first failed payment, rising, each less than Grace
}

// FreePlan is what a tenant has whose subscription ended.
const FreePlan = "free"
