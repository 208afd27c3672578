package stripe

func (s *Server) showInvoice(id string) (*view, error) {
	inv, err := s.findInvoice(id)
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Invoice " + string(inv.Number), Rows: []pageRow{{"Status", inv.Status}}}
	for _, l := range inv.AllLines {
		v.Rows = append(v.Rows, pageRow{string(l.Description), money(l.Amount, l.Currency)})
	}
	if inv.Total != inv.AmountDue {
		v.Rows = append(v.Rows, pageRow{"From the balance", money(inv.AmountDue-inv.Total, inv.Currency)})
	}
	v.Rows = append(v.Rows, pageRow{"Due", money(inv.AmountDue, inv.Currency)}, pageRow{"Paid", money(inv.AmountPaid, inv.Currency)})
	if inv.Status != open && inv.Status != uncollectible {
		return v, nil
	}
	if m := s.methodOf(inv); m != nil {
		v.Buttons = append(v.Buttons, button{"present", "", "Pay with the card ending in " + m.Card.Last4})
	}
	v.Buttons = append(v.Buttons, cards("Pay with")...)
	return v, nil
}

// doInvoice pays an invoice with the present card, or with another that then is the
// customer's.
func (s *Server) doInvoice(id, what, _ string) (string, error) {
	inv, err := s.findInvoice(id)
	if err != nil {
		return "", err
	}
	if inv.Status != open && inv.Status != uncollectible {
		return "", invalid("", "", "This invoice is %s: there is nothing to pay.", inv.Status)
	}
	m := s.methodOf(inv)
	switch {
	case what != "present" && cardCalled(what) == nil:
		return "", unknownButton(what)
	case what != "present":
		if m, err = s.cardFor(what, s.state.Customers.get(string(inv.Customer))); err != nil {
			return "", err
		}
	}
	if err := s.settle(inv, m, false); err != nil {
		s.failedByHand(inv)
		return "", err
	}
	return "", nil
}

func (s *Server) showIntent(id string) (*view, error) {
	p, err := s.findIntent(id)
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Confirm a payment", Rows: []pageRow{{"Amount", money(p.Amount, p.Currency)}, {"Status", p.Status}}}
	if p.Status == needsAction {
		v.Buttons = []button{{"confirm", "", "Confirm the payment"}, {"fail", "", "Refuse it"}}
	}
	return v, nil
}

// doIntent is the bank asking the customer whether a payment is theirs.
func (s *Server) doIntent(id, what, _ string) (string, error) {
	p, err := s.findIntent(id)
	if err != nil {
		return "", err
	}
	if p.Status != needsAction {
		return "", invalid("payment_intent_unexpected_state", "", "This payment waits for no confirmation: its status is %s.", p.Status)
	}
	inv := s.state.Invoices.get(string(p.Invoice))
	switch what {
	case "confirm":
		return "", s.settle(inv, s.state.Methods.get(string(p.PaymentMethod)), true)
	case "fail":
		p.Status, p.NextAction, p.PaymentMethod = needsMethod, nil, ""
		p.LastPaymentError = &paymentError{Code: "payment_intent_authentication_failure", Type: "card_error",
			Message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again."}
		s.tell("payment_intent.payment_failed", intentObject{p, inv.clock()})
		return "", nil
	}
	return "", unknownButton(what)
}
