package stripe

// paymentFailed moves the subscription of an invoice whose payment failed by itself; last
// tells that it will not be tried again.
func (s *Server) paymentFailed(inv *invoiceRow, last bool) {
	s.delinquent(inv)
	sub := s.state.Subscriptions.get(string(inv.Subscription))
	if sub == nil || sub.over() || sub.Status == statusIncomplete || sub.Status == statusPaused || s.latestFinal(sub) != inv {
		return
	}
	switch {
	case last && s.config.AfterRetries == statusCanceled:
		sub.CancellationDetails.Reason = "payment_failed"
		s.end(sub, statusCanceled)
		return
	case last:
		sub.Status = s.config.AfterRetries
	case sub.Status == statusActive || sub.Status == statusTrialing:
		sub.Status = statusPastDue
	}
	s.changedTo("customer.subscription.updated", sub)
}

// delinquent notes whether the customer's latest invoice failed.
func (s *Server) delinquent(inv *invoiceRow) {
	owner := s.state.Customers.get(string(inv.Customer))
	owner.Delinquent = inv.Status == open || inv.Status == uncollectible
	if !owner.Gone {
		s.changedTo("customer.updated", owner)
	}
}

// latestFinal is the newest invoice of a subscription that is no draft; nil where there is none.
func (s *Server) latestFinal(sub *subscriptionRow) *invoiceRow {
	for i := len(sub.Invoices) - 1; i >= 0; i-- {
		if inv := s.state.Invoices.get(sub.Invoices[i]); inv != nil && inv.Status != draft {
			return inv
		}
	}
	return nil
}

// invoiceEnded moves the subscription of an invoice that was paid, voided or written off.
// Only the newest counts: an older one that is paid leaves a newer failure as it is.
func (s *Server) invoiceEnded(inv *invoiceRow) {
	s.delinquent(inv)
	sub := s.state.Subscriptions.get(string(inv.Subscription))
	if sub == nil || s.latestFinal(sub) != inv {
		return
	}
	switch {
	case sub.Status == statusIncomplete && inv.Status == paidUp:
		sub.Status = statusActive
		if sub.TrialEnd != 0 && int64(sub.TrialEnd) > s.now(sub.clock()) {
			sub.Status = statusTrialing
		}
		s.adoptCard(sub, inv)
	case sub.Status == statusIncomplete && inv.Status == void:
		s.end(sub, statusExpired)
		return
	case sub.Status == statusPastDue, sub.Status == statusUnpaid:
		sub.Status = statusActive
	case sub.Status == statusPaused && inv.Status == paidUp && inv.BillingReason == reasonUpdate:
		sub.Status = statusActive
		s.changedTo("customer.subscription.updated", sub)
		s.repeat("customer.subscription.resumed", sub)
	}
	s.changedTo("customer.subscription.updated", sub)
	s.plan(sub)
}

// adoptCard makes the card that paid for the start of a subscription its own, where the
// subscription asked for that.
func (s *Server) adoptCard(sub *subscriptionRow, inv *invoiceRow) {
	p := s.state.Intents.get(string(inv.PaymentIntent))
	if p != nil && sub.PaymentSettings.SaveDefaultPaymentMethod == "on_subscription" {
		sub.DefaultPaymentMethod = p.PaymentMethod
	}
}

// voidInvoice takes an open invoice back; what it used of the customer's hand returns.
func (s *Server) voidInvoice(inv *invoiceRow) {
	now := s.now(inv.clock())
	inv.Status, inv.NextPaymentAttempt, inv.AutoAdvance, inv.AmountRemaining = void, 0, false, inv.AmountDue
	inv.StatusTransitions.VoidedAt = stamp(now)
	if owner := s.state.Customers.get(string(inv.Customer)); inv.FromHand != 0 && !owner.Gone {
		owner.Balance += inv.FromHand
		s.changedTo("customer.updated", owner)
	}
	s.cancelIntent(inv)
	s.changedTo("invoice.updated", inv)
	s.repeat("invoice.voided", inv)
	s.invoiceEnded(inv)
}

func (s *Server) cancelIntent(inv *invoiceRow) {
	if p := s.state.Intents.get(string(inv.PaymentIntent)); p != nil && p.Status != succeeded {
		p.Status, p.CanceledAt, p.CancellationReason, p.NextAction = statusCanceled, stamp(s.now(inv.clock())), "void_invoice", nil
		s.tell("payment_intent.canceled", intentObject{p, inv.clock()})
	}
}

// writeOff gives an open invoice up; it can still be paid.
func (s *Server) writeOff(inv *invoiceRow) {
	inv.Status, inv.NextPaymentAttempt, inv.AutoAdvance = uncollectible, 0, false
	inv.StatusTransitions.MarkedUncollectibleAt = stamp(s.now(inv.clock()))
	s.changedTo("invoice.updated", inv)
	s.repeat("invoice.marked_uncollectible", inv)
	s.invoiceEnded(inv)
}
