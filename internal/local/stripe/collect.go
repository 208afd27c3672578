package stripe

import "fmt"

// finalize closes a draft: it gets its number, what the customer has in hand is used, and
// where something is left to pay a payment intent.
func (s *Server) finalize(inv *invoiceRow) {
	owner := s.state.Customers.get(string(inv.Customer))
	now := s.now(inv.clock())
	inv.StartingBalance = owner.Balance
	inv.show()
	inv.Number = ref(fmt.Sprintf("%s-%04d", owner.InvoicePrefix, owner.NextInvoiceSequence))
	owner.NextInvoiceSequence++
	owner.Balance = s.useBalance(inv, owner.Balance)
	ending := owner.Balance
	inv.EndingBalance, inv.AmountRemaining, inv.Status = &ending, inv.AmountDue, open
	inv.FromHand = inv.AmountDue - inv.Total
	inv.StatusTransitions.FinalizedAt, inv.EffectiveAt, inv.FinalizeAt = stamp(now), stamp(now), 0
	inv.HostedInvoiceURL = ref(s.config.URL() + "/pages/invoices/" + inv.ID)
	inv.InvoicePDF = inv.HostedInvoiceURL + "/pdf"
	if owner.Balance == inv.StartingBalance {
		s.remember(owner) // the next number alone is no news
	} else {
		s.changedTo("customer.updated", owner)
	}
	if inv.AmountDue > 0 {
		inv.PaymentIntent = ref(s.newIntent(inv).ID)
	}
	s.tell("invoice.finalized", inv)
	if inv.AmountDue == 0 {
		inv.NextPaymentAttempt, inv.Attempted = 0, true
		s.markPaid(inv)
	}
}

// useBalance sets the amount due of a total, and returns what the customer then has in
// hand. What is too little to charge is kept for the next invoice.
func (s *Server) useBalance(inv *invoiceRow, balance int64) int64 {
	sum := inv.Total + balance
	switch {
	case inv.Total < 0 || sum <= 0 && inv.Total > 0:
		inv.AmountDue = 0
		return sum
	case inv.Total == 0:
		inv.AmountDue = 0
		return balance
	case sum < currencies[inv.Currency]:
		inv.AmountDue = 0
		return sum
	}
	inv.AmountDue = sum
	return 0
}

// markPaid ends an invoice well.
func (s *Server) markPaid(inv *invoiceRow) {
	inv.Status, inv.Paid, inv.AmountPaid, inv.AmountRemaining = paidUp, true, inv.AmountDue, 0
	inv.StatusTransitions.PaidAt, inv.NextPaymentAttempt, inv.AutoAdvance = stamp(s.now(inv.clock())), 0, false
	s.changedTo("invoice.updated", inv)
	s.repeat("invoice.paid", inv)
	s.repeat("invoice.payment_succeeded", inv)
	s.invoiceEnded(inv)
}

// methodOf is the card that an invoice is charged to; nil where there is none.
func (s *Server) methodOf(inv *invoiceRow) *methodRow {
	ids := []ref{inv.DefaultPaymentMethod}
	if sub := s.state.Subscriptions.get(string(inv.Subscription)); sub != nil {
		ids = append(ids, sub.DefaultPaymentMethod)
	}
	ids = append(ids, s.state.Customers.get(string(inv.Customer)).InvoiceSettings.DefaultPaymentMethod)
	for _, id := range ids {
		if m := s.state.Methods.get(string(id)); m != nil && m.Customer == inv.Customer {
			return m
		}
	}
	return nil
}

// settle tries to pay an open invoice from a card, tells how it ended, and returns the
// card's refusal; nil is a card that does not exist. The subscription follows.
func (s *Server) settle(inv *invoiceRow, m *methodRow, confirmed bool) error {
	how := unpaidNoCard
	p := s.state.Intents.get(string(inv.PaymentIntent))
	if m != nil {
		how = s.take(p, m, confirmed)
	}
	inv.Attempted = true
	if p.LatestCharge != "" {
		inv.Charge = p.LatestCharge
	}
	if how == paid {
		if !confirmed {
			inv.AttemptCount++
		}
		s.markPaid(inv)
		return nil
	}
	inv.AttemptCount++
	s.changedTo("invoice.updated", inv)
	if how == unpaidAsks {
		s.repeat("invoice.payment_action_required", inv)
	}
	s.repeat("invoice.payment_failed", inv)
	var e *apiError
	switch how {
	case unpaidNoCard:
		return invalid("", "", "There is no `default_payment_method` set on this Customer or Invoice. Please set one up or specify a payment_method.")
	case unpaidAsks:
		e = declined("subscription_payment_intent_requires_action", "", "Payment for this subscription requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with `subscription.latest_invoice`.")
		e.Code, e.DocURL = "invoice_payment_intent_requires_action", ""
	default:
		e = declined("card_declined", "generic_decline", "Your card was declined.")
		e.Charge = string(p.LatestCharge)
	}
	e.PaymentIntent = p
	return e
}

// invoiceDue finalises a draft whose hour is over, or tries a payment.
func (s *Server) invoiceDue(inv *invoiceRow) {
	if inv.Status != draft {
		s.collect(inv)
		return
	}
	behavior := ""
	if sub := s.state.Subscriptions.get(string(inv.Subscription)); sub != nil && sub.PauseCollection != nil {
		behavior = sub.PauseCollection.Behavior
	}
	if behavior == "keep_as_draft" {
		inv.AutoAdvance, inv.NextPaymentAttempt = false, 0
		s.changedTo("invoice.updated", inv)
		return
	}
	s.finalize(inv)
	switch {
	case inv.Status != open:
	case behavior == "void":
		s.voidInvoice(inv)
	case behavior == "mark_uncollectible":
		s.writeOff(inv)
	default:
		s.collect(inv)
	}
}

// collect tries a payment by itself, and plans the next try where it fails.
func (s *Server) collect(inv *invoiceRow) {
	inv.NextPaymentAttempt = 0
	last := inv.Retry >= len(s.config.Retries)
	if !last {
		inv.NextPaymentAttempt = stamp(s.now(inv.clock()) + int64(s.config.Retries[inv.Retry].Seconds()))
	}
	inv.Retry++
	if s.settle(inv, s.methodOf(inv), false) == nil {
		return
	}
	s.plan(inv)
	s.paymentFailed(inv, last)
}
