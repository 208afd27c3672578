package stripe

// subscriptionDue does what the clock has brought to a subscription: one thing at a time.
func (s *Server) subscriptionDue(sub *subscriptionRow) {
	now := s.now(sub.clock())
	switch {
	case sub.Status == statusIncomplete:
		s.expire(sub)
	case sub.CancelAt != 0 && int64(sub.CancelAt) <= now:
		s.endInTime(sub)
	case sub.PauseCollection != nil && sub.PauseCollection.ResumesAt != 0 && int64(sub.PauseCollection.ResumesAt) <= now:
		sub.PauseCollection = nil
		s.changedTo("customer.subscription.updated", sub)
	case sub.Status == statusTrialing && int64(sub.TrialEnd) <= now:
		s.endTrial(sub)
	case sub.Status == statusTrialing && !sub.Noticed && int64(sub.TrialEnd)-trialNotice <= now:
		s.notice(sub)
	case sub.CurrentPeriodEnd <= now:
		s.renew(sub)
	}
}

// expire gives a subscription up whose first payment never came.
func (s *Server) expire(sub *subscriptionRow) {
	s.end(sub, statusExpired)
	if inv := s.latestFinal(sub); inv != nil && inv.Status == open {
		s.voidInvoice(inv)
	}
}

// end makes a subscription canceled or incomplete_expired. Its invoices are no longer
// collected, and prorations that no invoice has taken are forgotten.
func (s *Server) end(sub *subscriptionRow, status string) {
	now := stamp(s.now(sub.clock()))
	owner := s.state.Customers.get(string(sub.Customer))
	sub.Status, sub.EndedAt, sub.PauseCollection = status, now, nil
	if sub.CanceledAt == 0 {
		sub.CanceledAt = now
	}
	if sub.CancellationDetails.Reason == "" && status == statusCanceled {
		sub.CancellationDetails.Reason = "cancellation_requested"
	}
	for _, id := range append([]string{}, owner.Pending...) {
		if item := s.state.Items.get(id); item.Proration && string(item.Subscription) == sub.ID {
			s.dropItem(owner, item)
		}
	}
	s.tell("customer.subscription.deleted", sub)
	for _, id := range sub.Invoices {
		if inv := s.state.Invoices.get(id); inv != nil && inv.AutoAdvance {
			inv.AutoAdvance, inv.NextPaymentAttempt = false, 0
			s.changedTo("invoice.updated", inv)
		}
	}
}

// endInTime ends a subscription at its cancel_at. There is no renewal; prorations that wait
// are collected in a last invoice.
func (s *Server) endInTime(sub *subscriptionRow) {
	owner := s.state.Customers.get(string(sub.Customer))
	var last *invoiceRow
	if s.pendingOf(owner, sub) {
		last = s.newInvoice(owner, sub, reasonUpdate)
		s.takePending(last, owner, sub)
	}
	s.end(sub, statusCanceled)
	if last != nil {
		s.keepInvoice(last, sub)
		s.remember(sub)
		s.await(last)
	}
}

// await leaves a draft to the clock, which finalises it in an hour.
func (s *Server) await(inv *invoiceRow) {
	inv.FinalizeAt = s.now(inv.clock()) + finalizesAfter
	inv.NextPaymentAttempt = stamp(inv.FinalizeAt)
	s.remember(inv)
	s.plan(inv)
}

// renew begins the next period with a draft.
func (s *Server) renew(sub *subscriptionRow) {
	before := span{sub.CurrentPeriodStart, sub.CurrentPeriodEnd}
	sub.CurrentPeriodStart = sub.CurrentPeriodEnd
	sub.CurrentPeriodEnd = sub.every().nextAfter(sub.BillingCycleAnchor, sub.CurrentPeriodStart)
	s.bill(sub, before)
}

// bill makes the draft of a period that has begun, over what the one before left.
func (s *Server) bill(sub *subscriptionRow, before span) {
	owner := s.state.Customers.get(string(sub.Customer))
	inv := s.newInvoice(owner, sub, reasonCycle)
	inv.PeriodStart, inv.PeriodEnd = before.Start, before.End
	for _, item := range sub.Items.Data {
		s.addLine(inv, item, item.amount(), span{sub.CurrentPeriodStart, sub.CurrentPeriodEnd})
	}
	s.takePending(inv, owner, sub)
	if sub.Status == statusUnpaid {
		inv.AutoAdvance = false
	} else {
		inv.FinalizeAt = s.now(inv.clock()) + finalizesAfter
		inv.NextPaymentAttempt = stamp(inv.FinalizeAt)
	}
	s.keepInvoice(inv, sub)
	s.plan(inv)
	s.changedTo("customer.subscription.updated", sub)
}

// endTrial begins the first paid period, or does what was agreed where there is no card.
func (s *Server) endTrial(sub *subscriptionRow) {
	owner := s.state.Customers.get(string(sub.Customer))
	if s.cardOf(owner, sub) == nil {
		switch sub.TrialSettings.EndBehavior.MissingPaymentMethod {
		case "cancel":
			s.end(sub, statusCanceled)
			return
		case "pause":
			sub.Status = statusPaused
			s.changedTo("customer.subscription.updated", sub)
			s.repeat("customer.subscription.paused", sub)
			return
		}
	}
	sub.Status = statusActive
	s.renew(sub)
}

// beginAt starts a new period now, and makes now the anchor.
func (s *Server) beginAt(sub *subscriptionRow, now int64) {
	sub.BillingCycleAnchor, sub.CurrentPeriodStart, sub.CurrentPeriodEnd = now, now, sub.every().after(now, 1)
	if sub.CancelAtPeriodEnd {
		sub.CancelAt = stamp(sub.CurrentPeriodEnd)
	}
}
