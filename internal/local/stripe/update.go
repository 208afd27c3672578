package stripe

func (s *Server) updateSubscription(c *call) (any, error) {
	n := readUpdating(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	sub, err := s.findSubscription(c.id)
	if err != nil {
		return nil, err
	}
	if err := s.update(sub, n); err != nil {
		return nil, err
	}
	return sub.wire(), nil
}

// updatable refuses what the state of a subscription, or its customer's card, does not allow.
func (s *Server) updatable(sub *subscriptionRow, n updating) error {
	if sub.over() && (!n.narrow || n.method != nil) {
		return invalid("", "", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	if sub.Status == statusIncomplete && !n.narrow {
		return invalid("", "", "You can only update metadata and the default payment method of a subscription whose status is `incomplete`.")
	}
	if n.method == nil || *n.method == "" {
		return nil
	}
	m := s.state.Methods.get(*n.method)
	if m == nil {
		return noSuch("PaymentMethod", *n.method, "default_payment_method")
	}
	if m.Customer != sub.Customer {
		return invalid("resource_missing", "default_payment_method", "The customer does not have a payment method with the ID %s. The payment method must be attached to the customer.", m.ID)
	}
	return nil
}

// update does an update, or nothing of it.
func (s *Server) update(sub *subscriptionRow, n updating) error {
	if err := s.updatable(sub, n); err != nil {
		return err
	}
	ch, err := s.weigh(sub, n)
	if err != nil {
		return err
	}
	owner := s.state.Customers.get(string(sub.Customer))
	trial := *sub // what can still be refused is tried on a copy
	set(&trial.DefaultPaymentMethod, n.method)
	if ch.billed && n.behavior == "error_if_incomplete" && ch.due+s.pendingAmount(owner, sub)+owner.Balance > 0 {
		m := s.cardOf(owner, &trial)
		if m == nil {
			return invalid("resource_missing", "", "This customer has no attached payment source or default payment method.")
		}
		if err := s.wouldFail(m); err != nil {
			return err
		}
	}
	if err := s.setCancel(&trial, n.cancelAtEnd, n.cancelAt); err != nil {
		return err
	}
	s.apply(sub, n)
	if sub.over() {
		s.changedTo("customer.subscription.updated", sub)
		return nil
	}
	s.carryOut(owner, sub, ch)
	_ = s.setCancel(sub, n.cancelAtEnd, n.cancelAt) // tried above
	s.settleChange(owner, sub, ch)
	s.plan(sub)
	return nil
}

// apply sets what costs nothing.
func (s *Server) apply(sub *subscriptionRow, n updating) {
	set(&sub.DefaultPaymentMethod, n.method)
	set(&sub.Description, n.description)
	set(&sub.CancellationDetails.Comment, n.comment)
	set(&sub.CancellationDetails.Feedback, n.feedback)
	sub.Metadata = sub.Metadata.merge(n.metadata)
	if n.pause != nil {
		sub.PauseCollection = n.pause
	}
	if n.unpause {
		sub.PauseCollection = nil
	}
	if n.missing != "" {
		sub.TrialSettings.EndBehavior.MissingPaymentMethod = n.missing
	}
	if n.save != "" {
		sub.PaymentSettings.SaveDefaultPaymentMethod = ref(n.save)
	}
}

// carryOut changes the items and the period.
func (s *Server) carryOut(owner *customerRow, sub *subscriptionRow, ch *change) {
	now := s.now(sub.clock())
	for _, item := range ch.settle {
		s.keepItem(owner, item)
	}
	sub.setItems(ch.items)
	switch {
	case ch.trialEnd != 0:
		if sub.Status != statusTrialing {
			sub.Status, sub.TrialStart, sub.CurrentPeriodStart = statusTrialing, stamp(now), now
		}
		sub.TrialEnd, sub.CurrentPeriodEnd, sub.BillingCycleAnchor, sub.Noticed = stamp(ch.trialEnd), ch.trialEnd, ch.trialEnd, false
		if sub.CancelAtPeriodEnd {
			sub.CancelAt = stamp(ch.trialEnd)
		}
	case ch.begins:
		if sub.Status == statusTrialing {
			sub.Status, sub.TrialEnd = statusActive, stamp(now)
		}
		s.beginAt(sub, now)
	}
}

// settleChange bills a change at once, where it asks for that.
func (s *Server) settleChange(owner *customerRow, sub *subscriptionRow, ch *change) {
	if !ch.billed {
		s.changedTo("customer.subscription.updated", sub)
		if sub.Status == statusTrialing {
			s.notice(sub)
		}
		return
	}
	inv := s.newInvoice(owner, sub, reasonUpdate)
	if ch.begins || ch.trialEnd != 0 {
		for _, item := range sub.Items.Data {
			amount := item.amount()
			if ch.trialEnd != 0 {
				amount = 0
			}
			s.addLine(inv, item, amount, span{sub.CurrentPeriodStart, sub.CurrentPeriodEnd})
		}
	}
	s.takePending(inv, owner, sub)
	s.keepInvoice(inv, sub)
	s.changedTo("customer.subscription.updated", sub)
	if sub.Status == statusTrialing {
		s.notice(sub)
	}
	s.finalize(inv)
	if inv.Status == open {
		s.collect(inv)
		s.plan(inv)
	}
}
