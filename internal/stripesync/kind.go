package stripesync

import (
	"maps"
	"slices"
)

// The kinds of objects that are followed, as billing.stripe_objects has them.
const (
	Customer        = "customer"
	Subscription    = "subscription"
	Invoice         = "invoice"
	Charge          = "charge"
	PaymentMethod   = "payment_method"
	CheckoutSession = "checkout_session"
	TestClock       = "test_clock"
)

// kindOfObject goes by the word that Stripe gives for an object.
var kindOfObject = map[string]string{
	"customer": Customer, "subscription": Subscription, "invoice": Invoice, "charge": Charge, "payment_method": PaymentMethod,
	"checkout.session": CheckoutSession, "test_helpers.test_clock": TestClock,
}

// kindOfType are the types that are followed. invoice.upcoming is none: what it is about
// has no id yet.
var kindOfType = map[string]string{
	"customer.created": Customer, "customer.updated": Customer, "customer.deleted": Customer,

	"customer.subscription.created": Subscription, "customer.subscription.updated": Subscription,
	"customer.subscription.deleted": Subscription, "customer.subscription.paused": Subscription,
	"customer.subscription.resumed": Subscription, "customer.subscription.trial_will_end": Subscription,

	"invoice.created": Invoice, "invoice.updated": Invoice, "invoice.finalized": Invoice, "invoice.finalization_failed": Invoice,
	"invoice.paid": Invoice, "invoice.payment_succeeded": Invoice, "invoice.payment_failed": Invoice,
	"invoice.payment_action_required": Invoice, "invoice.voided": Invoice, "invoice.marked_uncollectible": Invoice, "invoice.deleted": Invoice,

	"charge.succeeded": Charge, "charge.pending": Charge, "charge.failed": Charge, "charge.updated": Charge, "charge.refunded": Charge,

	"payment_method.attached": PaymentMethod, "payment_method.detached": PaymentMethod,
	"payment_method.updated": PaymentMethod, "payment_method.automatically_updated": PaymentMethod,

	"checkout.session.completed": CheckoutSession, "checkout.session.expired": CheckoutSession,
	"checkout.session.async_payment_succeeded": CheckoutSession, "checkout.session.async_payment_failed": CheckoutSession,

	"test_helpers.test_clock.ready": TestClock,
}

// KindOf is what an event of this type is followed as, where its object is what Stripe
// calls objectType. Empty: it is not followed.
func KindOf(eventType, objectType string) string {
	if kind := kindOfType[eventType]; kind == kindOfObject[objectType] {
		return kind
	}
	return ""
}

// Types are the types of events that are followed, in order: what an endpoint for webhooks
// asks Stripe for.
func Types() []string { return slices.Sorted(maps.Keys(kindOfType)) }
