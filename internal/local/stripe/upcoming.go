package stripe

// upcomingInvoice shows the next invoice of a subscription, as it would be after a change;
// nothing is kept of it.
func (s *Server) upcomingInvoice(c *call) (any, error) {
	owner, of, n := c.in.word("customer"), c.in.word("subscription"), readPreview(c.in)
	if owner == "" && of == "" {
		c.in.refuse(invalid("", "", "You must pass in either a customer or a subscription."))
	}
	if err := c.in.done(); err != nil {
		return nil, err
	}
	sub, err := s.previewed(owner, of)
	if err != nil {
		return nil, err
	}
	ch, err := s.weigh(sub, n)
	if err != nil {
		return nil, err
	}
	ending := sub.CancelAt != 0 && int64(sub.CancelAt) <= sub.CurrentPeriodEnd
	if n.cancelAtEnd != nil {
		ending = *n.cancelAtEnd
	}
	inv := s.preview(sub, ch, ending)
	if ending && !ch.billed && len(inv.AllLines) == 0 {
		return nil, nothingComes(string(sub.Customer))
	}
	return inv.wire(), nil
}

func readPreview(in *form) updating {
	n := updating{proration: in.choice("subscription_proration_behavior", prorate, prorateNow, prorateNever), at: in.whole("subscription_proration_date"),
		cancelAtEnd: in.yes("subscription_cancel_at_period_end"), trialEnd: in.moment("subscription_trial_end"),
		anchor: in.choice("subscription_billing_cycle_anchor", "now", "unchanged")}
	if n.proration == "" {
		n.proration = prorate
	}
	for _, f := range in.list("subscription_items") {
		item := itemInput{id: f.word("id"), price: f.word("price"), quantity: f.whole("quantity")}
		deleted := f.yes("deleted")
		item.deleted = deleted != nil && *deleted
		n.items = append(n.items, item)
	}
	return n
}

// previewed is the subscription named, or the customer's one.
func (s *Server) previewed(owner, of string) (*subscriptionRow, error) {
	if of != "" {
		sub := s.state.Subscriptions.get(of)
		if sub == nil || owner != "" && string(sub.Customer) != owner {
			return nil, noSuch("subscription", of, "subscription")
		}
		if sub.over() {
			return nil, nothingComes(string(sub.Customer))
		}
		return sub, nil
	}
	row, err := s.findCustomer(owner, "customer")
	if err != nil {
		return nil, err
	}
	for _, id := range row.Subs {
		if sub := s.state.Subscriptions.get(id); !sub.over() {
			return sub, nil
		}
	}
	return nil, nothingComes(owner)
}

func nothingComes(owner string) error {
	e := invalid("invoice_upcoming_none", "", "No upcoming invoices for customer: %s", owner)
	e.status = 404
	return e
}

func (s *Server) preview(sub *subscriptionRow, ch *change, ending bool) *invoiceRow {
	owner := s.state.Customers.get(string(sub.Customer))
	inv := s.newInvoice(owner, sub, reasonSoon)
	inv.ID = ""
	start, end := sub.CurrentPeriodEnd, sub.every().nextAfter(sub.BillingCycleAnchor, sub.CurrentPeriodEnd)
	if ch.billed {
		start = inv.Created
		end = ch.items[0].Price.Recurring.after(start, 1)
	} else {
		inv.Created = start
		inv.NextPaymentAttempt = stamp(start + finalizesAfter)
	}
	for _, id := range owner.Pending {
		if item := s.state.Items.get(id); taken(item, sub) {
			s.addItem(inv, item)
		}
	}
	for _, item := range ch.settle {
		s.addItem(inv, item)
	}
	if ch.begins || !ch.billed && !ending {
		for _, item := range ch.items {
			s.addLine(inv, item, item.amount(), span{start, end})
		}
	}
	inv.PeriodStart, inv.PeriodEnd = sub.CurrentPeriodStart, sub.CurrentPeriodEnd
	inv.show()
	s.useBalance(inv, owner.Balance)
	inv.AmountRemaining = inv.AmountDue
	return inv
}
