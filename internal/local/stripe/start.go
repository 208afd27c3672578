package stripe

import "net/http"

// schedule sets the trial, the anchor and the first period of a new subscription.
func (s *Server) schedule(sub *subscriptionRow, n subscribing) error {
	now := s.now(sub.clock())
	sub.CurrentPeriodStart = now
	end := int64(0)
	switch {
	case n.trialDays != nil:
		end = now + *n.trialDays*24*3600
	case n.trialEnd != nil && *n.trialEnd > 0:
		end = *n.trialEnd
		if end <= now {
			return invalid("", "trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.")
		}
	}
	switch {
	case end != 0:
		sub.TrialStart, sub.TrialEnd, sub.BillingCycleAnchor, sub.CurrentPeriodEnd, sub.Status = stamp(now), stamp(end), end, end, statusTrialing
	case n.anchor != nil && *n.anchor > 0:
		if longest := sub.every().after(now, 1); *n.anchor <= now || *n.anchor > longest {
			return invalid("", "billing_cycle_anchor", "billing_cycle_anchor must be in the future and not later than the natural end of the first period (%d).", longest)
		}
		sub.BillingCycleAnchor, sub.CurrentPeriodEnd = *n.anchor, *n.anchor
	default:
		sub.CurrentPeriodEnd = sub.every().after(now, 1)
	}
	return s.setCancel(sub, n.cancelAtEnd, n.cancelAt)
}

// setCancel notes or forgets when a subscription shall end.
func (s *Server) setCancel(sub *subscriptionRow, atEnd *bool, at *int64) error {
	now := stamp(s.now(sub.clock()))
	if atEnd != nil && *atEnd && at != nil && *at != 0 {
		return invalid("", "cancel_at", "You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
	}
	if at != nil && *at != 0 && *at <= int64(now) {
		return invalid("", "cancel_at", "Invalid timestamp: cancel_at must be in the future.")
	}
	switch {
	case atEnd != nil && *atEnd:
		if !sub.CancelAtPeriodEnd {
			sub.CanceledAt = now
		}
		sub.CancelAtPeriodEnd, sub.CancelAt = true, stamp(sub.CurrentPeriodEnd)
		sub.CancellationDetails.Reason = "cancellation_requested"
	case at != nil && *at != 0:
		sub.CancelAtPeriodEnd, sub.CancelAt, sub.CanceledAt = false, stamp(*at), now
		sub.CancellationDetails.Reason = "cancellation_requested"
	case atEnd != nil && sub.CancelAtPeriodEnd, at != nil:
		sub.CancelAtPeriodEnd, sub.CancelAt, sub.CanceledAt = false, 0, 0
		sub.CancellationDetails = cancellationDetails{}
	}
	return nil
}

// payable refuses a subscription that could not be paid, before anything is made.
func (s *Server) payable(owner *customerRow, sub *subscriptionRow, n subscribing) error {
	if n.method != "" {
		m := s.state.Methods.get(n.method)
		if m == nil {
			return noSuch("PaymentMethod", n.method, "default_payment_method")
		}
		if string(m.Customer) != owner.ID {
			return invalid("resource_missing", "default_payment_method", "The customer does not have a payment method with the ID %s. The payment method must be attached to the customer.", n.method)
		}
	}
	if sub.Status == statusTrialing || n.behavior == "default_incomplete" || s.firstAmount(sub, n)+s.pendingAmount(owner, sub)+owner.Balance <= 0 {
		return nil
	}
	m := s.cardOf(owner, sub)
	if n.paidBy != nil {
		m = n.paidBy
	}
	if m == nil {
		return invalid("resource_missing", "", "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.")
	}
	if n.behavior == "error_if_incomplete" {
		return s.wouldFail(m)
	}
	return nil
}

// wouldFail is the refusal of a card that cannot pay by itself.
func (s *Server) wouldFail(m *methodRow) error {
	switch m.Does {
	case cardGood:
		return nil
	case cardAsks:
		e := declined("subscription_payment_intent_requires_action", "", "Payment for this subscription requires additional user action before it can be completed successfully.")
		e.status = http.StatusPaymentRequired
		return e
	}
	return declined("card_declined", "generic_decline", "Your card was declined.")
}

// cardOf is the card of a subscription or of its customer; nil where there is none.
func (s *Server) cardOf(owner *customerRow, sub *subscriptionRow) *methodRow {
	for _, id := range []ref{sub.DefaultPaymentMethod, owner.InvoiceSettings.DefaultPaymentMethod} {
		if m := s.state.Methods.get(string(id)); m != nil && string(m.Customer) == owner.ID {
			return m
		}
	}
	return nil
}

// firstAmount is what the first period costs, which an anchor may have cut short.
func (s *Server) firstAmount(sub *subscriptionRow, n subscribing) int64 {
	sum := int64(0)
	for _, item := range sub.Items.Data {
		sum += s.firstLine(sub, item, n.proration)
	}
	return sum
}

func (s *Server) firstLine(sub *subscriptionRow, item *subscriptionItem, proration string) int64 {
	whole := sub.CurrentPeriodEnd - sub.every().after(sub.CurrentPeriodEnd, -1)
	length := sub.CurrentPeriodEnd - sub.CurrentPeriodStart
	switch {
	case sub.Status == statusTrialing:
		return 0
	case sub.BillingCycleAnchor == sub.CurrentPeriodStart || length >= whole:
		return item.amount()
	case proration == prorateNever:
		return 0
	}
	return portion(item.amount(), length, whole, sub.Currency)
}

// start makes the first invoice and pays it. The subscription is told of as incomplete
// before the payment, as Stripe does.
func (s *Server) start(owner *customerRow, sub *subscriptionRow, n subscribing) {
	inv := s.newInvoice(owner, sub, reasonCreate)
	for _, item := range sub.Items.Data {
		l := s.addLine(inv, item, s.firstLine(sub, item, n.proration), span{sub.CurrentPeriodStart, sub.CurrentPeriodEnd})
		if sub.Status == statusTrialing {
			l.Description = ref("Trial period for " + s.named(item.Price))
		}
	}
	s.takePending(inv, owner, sub)
	trial := sub.Status == statusTrialing
	if !trial {
		sub.Status = statusIncomplete
	}
	sub.LatestInvoice = ref(inv.ID)
	s.tell("customer.subscription.created", sub)
	s.keepInvoice(inv, sub)
	s.finalize(inv)
	if trial {
		s.notice(sub)
	}
	if inv.Status != open {
		return
	}
	inv.AutoAdvance = true
	if n.behavior == "default_incomplete" {
		s.awaitPayment(inv)
		return
	}
	m := n.paidBy
	if m == nil {
		m = s.cardOf(owner, sub)
	}
	_ = s.settle(inv, m, false) // how it ended is in the subscription's status
}

// awaitPayment leaves the payment of a first invoice to the customer.
func (s *Server) awaitPayment(inv *invoiceRow) {
	p := s.state.Intents.get(string(inv.PaymentIntent))
	if m := s.methodOf(inv); m != nil {
		p.PaymentMethod, p.Status = ref(m.ID), needsConfirm
	}
}

// notice tells that a trial ends in three days, or sooner.
func (s *Server) notice(sub *subscriptionRow) {
	if !sub.Noticed && int64(sub.TrialEnd)-s.now(sub.clock()) <= trialNotice {
		sub.Noticed = true
		s.tell("customer.subscription.trial_will_end", sub)
	}
}
