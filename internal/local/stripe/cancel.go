package stripe

func (s *Server) cancelSubscription(c *call) (any, error) {
	now, credit := c.in.yes("invoice_now"), c.in.yes("prorate")
	details := c.in.sub("cancellation_details")
	comment := details.text("comment")
	feedback := details.choice("feedback", "", "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex", "too_expensive", "unused")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	sub, err := s.findSubscription(c.id)
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, noSuch("subscription", c.id, "id")
	}
	set(&sub.CancellationDetails.Comment, comment)
	set(&sub.CancellationDetails.Feedback, &feedback)
	sub.CancellationDetails.Reason = "cancellation_requested"
	if sub.Status == statusIncomplete {
		s.expire(sub)
		return sub.wire(), nil
	}
	s.cancelNow(sub, now != nil && *now, credit != nil && *credit)
	return sub.wire(), nil
}

// cancelNow ends a subscription at once: with credit the unused time is given back, with
// invoiced what is pending is billed at once; else a credit waits for the next invoice.
func (s *Server) cancelNow(sub *subscriptionRow, invoiced, credit bool) {
	owner := s.state.Customers.get(string(sub.Customer))
	var credits []*invoiceItem
	if credit && sub.Status != statusTrialing && sub.Status != statusPaused {
		credits = s.unused(sub, sub.Items.Data, s.now(sub.clock()))
	}
	var last *invoiceRow
	if invoiced {
		for _, item := range credits {
			s.keepItem(owner, item)
		}
		if s.pendingOf(owner, sub) {
			last = s.newInvoice(owner, sub, reasonUpdate)
			s.takePending(last, owner, sub)
		}
	}
	s.end(sub, statusCanceled)
	if last != nil {
		s.keepInvoice(last, sub)
		s.remember(sub)
		s.finalize(last)
		if last.Status == open {
			s.collect(last)
		}
	} else if !invoiced {
		for _, item := range credits {
			s.keepItem(owner, item)
		}
	}
}

// resumeSubscription ends a pause that a trial without a card began: it bills at once, and
// stays paused until that is paid.
func (s *Server) resumeSubscription(c *call) (any, error) {
	anchor := c.in.choice("billing_cycle_anchor", "now", "unchanged")
	c.in.choice("proration_behavior", prorate, prorateNow, prorateNever)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	sub, err := s.findSubscription(c.id)
	if err != nil {
		return nil, err
	}
	if sub.Status != statusPaused {
		return nil, invalid("", "", "You can only resume subscriptions with a status of `paused`. This subscription is `%s`.", sub.Status)
	}
	s.resume(sub, anchor == "unchanged")
	return sub.wire(), nil
}

func (s *Server) resume(sub *subscriptionRow, unchanged bool) {
	owner, now := s.state.Customers.get(string(sub.Customer)), s.now(sub.clock())
	if unchanged {
		sub.CurrentPeriodStart, sub.CurrentPeriodEnd = now, sub.every().nextAfter(sub.BillingCycleAnchor, now)
	} else {
		s.beginAt(sub, now)
	}
	inv := s.newInvoice(owner, sub, reasonUpdate)
	for _, item := range sub.Items.Data {
		s.addLine(inv, item, s.firstLine(sub, item, prorate), span{now, sub.CurrentPeriodEnd})
	}
	s.takePending(inv, owner, sub)
	s.keepInvoice(inv, sub)
	s.changedTo("customer.subscription.updated", sub)
	s.finalize(inv)
	if inv.Status == open {
		_ = s.settle(inv, s.cardOf(owner, sub), false) // how it ended is in the subscription's status
	}
	s.plan(sub)
}
