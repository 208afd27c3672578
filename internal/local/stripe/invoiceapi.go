package stripe

func (s *Server) findInvoice(id string) (*invoiceRow, error) {
	if inv := s.state.Invoices.get(id); inv != nil {
		return inv, nil
	}
	return nil, absent("invoice", id, "invoice")
}

func (s *Server) retrieveInvoice(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.findInvoice(c.id)
	if err != nil {
		return nil, err
	}
	return inv.wire(), nil
}

func (s *Server) listInvoices(c *call) (any, error) {
	p, owner, sub, created := c.in.paging(), c.in.word("customer"), c.in.word("subscription"), c.in.within("created")
	status := c.in.choice("status", draft, open, paidUp, uncollectible, void)
	c.in.choice("collection_method", "charge_automatically")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Invoices, p, "/v1/invoices", func(row *invoiceRow) bool {
		return (owner == "" || string(row.Customer) == owner) && (sub == "" || string(row.Subscription) == sub) && (status == "" || row.Status == status) && created.holds(row.Created)
	})
}

// listLines lists the lines of an invoice, in their order.
func (s *Server) listLines(c *call) (any, error) {
	p := c.in.paging()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.findInvoice(c.id)
	if err != nil {
		return nil, err
	}
	lines := &table[*invoiceLine]{}
	for i := len(inv.AllLines) - 1; i >= 0; i-- { // pick shows the last first
		lines.put(inv.AllLines[i])
	}
	return pick(lines, p, inv.Lines.URL, func(*invoiceLine) bool { return true })
}

// createInvoice makes a draft of what waits.
func (s *Server) createInvoice(c *call) (any, error) {
	owner, of, pending := c.in.need("customer"), c.in.word("subscription"), c.in.choice("pending_invoice_items_behavior", "include", "exclude")
	auto, description, changes := c.in.yes("auto_advance"), c.in.word("description"), c.in.metadata()
	currency, method := c.in.word("currency"), c.in.word("default_payment_method")
	c.in.choice("collection_method", "charge_automatically")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(owner, "customer")
	if err != nil {
		return nil, err
	}
	sub := s.state.Subscriptions.get(of)
	if of != "" && (sub == nil || string(sub.Customer) != owner) {
		return nil, noSuch("subscription", of, "subscription")
	}
	inv := s.newInvoice(row, sub, reasonManual)
	if currency != "" {
		inv.Currency = currency
	}
	if inv.Currency == "" {
		inv.Currency = s.state.Account.DefaultCurrency
	}
	if pending == "include" || of != "" && pending == "" {
		s.takePending(inv, row, sub)
	}
	if of != "" && len(inv.AllLines) == 0 {
		return nil, invalid("invoice_no_subscription_line_items", "", "Nothing to invoice for subscription")
	}
	inv.AutoAdvance, inv.Description, inv.DefaultPaymentMethod = auto != nil && *auto, ref(description), ref(method)
	inv.Metadata = inv.Metadata.merge(changes)
	if inv.AutoAdvance {
		inv.FinalizeAt = s.now(inv.clock()) + finalizesAfter
		inv.NextPaymentAttempt = stamp(inv.FinalizeAt)
	}
	s.keepInvoice(inv, nil)
	s.plan(inv)
	return inv.wire(), nil
}

func (s *Server) updateInvoice(c *call) (any, error) {
	auto, description, changes := c.in.yes("auto_advance"), c.in.text("description"), c.in.metadata()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.findInvoice(c.id)
	if err != nil {
		return nil, err
	}
	set(&inv.Description, description)
	inv.Metadata = inv.Metadata.merge(changes)
	if auto != nil && (inv.Status == draft || inv.Status == open) && inv.AutoAdvance != *auto {
		s.setAutoAdvance(inv, *auto)
	}
	s.changedTo("invoice.updated", inv)
	s.plan(inv)
	return inv.wire(), nil
}

// setAutoAdvance stops the clock from working on an invoice, or lets it begin again.
func (s *Server) setAutoAdvance(inv *invoiceRow, auto bool) {
	inv.AutoAdvance, inv.NextPaymentAttempt = auto, 0
	if auto && inv.Status == draft {
		inv.FinalizeAt = s.now(inv.clock()) + finalizesAfter
		inv.NextPaymentAttempt = stamp(inv.FinalizeAt)
	}
}

// inState finds an invoice that is in one of some states.
func (s *Server) inState(id, done string, states ...string) (*invoiceRow, error) {
	inv, err := s.findInvoice(id)
	if err != nil {
		return nil, err
	}
	if !either(states, inv.Status) {
		return nil, invalid("", "", "This invoice cannot be %s: its status is `%s`.", done, inv.Status)
	}
	return inv, nil
}

func (s *Server) finalizeInvoice(c *call) (any, error) {
	auto := c.in.yes("auto_advance")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.inState(c.id, "finalized", draft)
	if err != nil {
		return nil, err
	}
	s.finalize(inv)
	if auto != nil && inv.Status == open {
		inv.AutoAdvance = *auto
	}
	if inv.Status == open {
		inv.NextPaymentAttempt = 0
		if inv.AutoAdvance {
			inv.NextPaymentAttempt = stamp(s.now(inv.clock()) + finalizesAfter)
		}
		s.changedTo("invoice.updated", inv)
		s.plan(inv)
	}
	return inv.wire(), nil
}

// payInvoice tries a payment now. A refused card is a 402, and counts as a try.
func (s *Server) payInvoice(c *call) (any, error) {
	method, outside := c.in.word("payment_method"), c.in.yes("paid_out_of_band")
	c.in.yes("off_session")
	c.in.yes("forgive")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.findInvoice(c.id)
	if err != nil {
		return nil, err
	}
	if inv.Status == paidUp {
		return nil, invalid("invoice_already_paid", "", "Invoice is already paid")
	}
	if inv.Status == void {
		return nil, invalid("invoice_not_payable", "", "Invoices with a status of `void` cannot be paid.")
	}
	m, err := s.payingCard(inv, method)
	if err != nil {
		return nil, err
	}
	if inv.Status == draft {
		s.finalize(inv)
	}
	switch {
	case inv.Status == paidUp:
	case outside != nil && *outside:
		s.cancelIntent(inv)
		inv.PaidOutOfBand, inv.Attempted = true, true
		s.markPaid(inv)
	default:
		if err := s.settle(inv, m, false); err != nil {
			s.failedByHand(inv)
			return nil, err
		}
	}
	return inv.wire(), nil
}

// payingCard is the card named, or else the one that the invoice is charged to.
func (s *Server) payingCard(inv *invoiceRow, named string) (*methodRow, error) {
	if named == "" {
		return s.methodOf(inv), nil
	}
	m := s.state.Methods.get(named)
	if m == nil || m.Customer != inv.Customer {
		return nil, invalid("resource_missing", "payment_method", "The customer does not have a payment method with the ID %s. The payment method must be attached to the customer.", named)
	}
	return m, nil
}

// failedByHand moves the subscription after a payment that somebody tried by hand.
func (s *Server) failedByHand(inv *invoiceRow) {
	if inv.BillingReason != reasonCreate {
		s.paymentFailed(inv, false)
	}
}

func (s *Server) voidByHand(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.inState(c.id, "voided", open, uncollectible)
	if err != nil {
		return nil, err
	}
	s.voidInvoice(inv)
	return inv.wire(), nil
}

func (s *Server) writeOffByHand(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.inState(c.id, "marked uncollectible", open)
	if err != nil {
		return nil, err
	}
	s.writeOff(inv)
	return inv.wire(), nil
}

// deleteInvoice deletes a draft that no subscription made.
func (s *Server) deleteInvoice(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	inv, err := s.inState(c.id, "deleted", draft)
	if err != nil {
		return nil, err
	}
	if inv.Subscription != "" {
		return nil, invalid("", "", "You can't delete an invoice created by a subscription.")
	}
	for _, l := range inv.AllLines {
		if item := s.state.Items.get(l.InvoiceItem); item != nil {
			s.state.Items.remove(item.ID)
		}
	}
	s.state.Invoices.remove(inv.ID)
	s.tell("invoice.deleted", inv)
	return &gone{ID: inv.ID, Object: inv.Object, Deleted: true}, nil
}
