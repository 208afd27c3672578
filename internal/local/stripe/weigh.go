package stripe

// change is what an update comes to, before any of it is done.
type change struct {
	items    []*subscriptionItem
	settle   []*invoiceItem
	begins   bool  // a new period begins now and is billed at once
	trialEnd int64 // a trial until then begins, or goes on; 0 is none
	billed   bool  // an invoice is made at once
	due      int64 // about what that asks for, were nothing else pending
}

// weigh finds what an update comes to; it changes nothing.
func (s *Server) weigh(sub *subscriptionRow, n updating) (*change, error) {
	now := s.now(sub.clock())
	at := now
	if n.at != nil {
		at = *n.at
		if at < sub.CurrentPeriodStart || at > sub.CurrentPeriodEnd {
			return nil, invalid("", "proration_date", "Cannot specify proration date outside of current subscription period.")
		}
	}
	items, err := s.changeItems(sub, n.items)
	if err != nil {
		return nil, err
	}
	ch := &change{}
	for _, c := range items {
		if c.fresh != nil {
			ch.items = append(ch.items, c.fresh)
		}
	}
	if n.trialEnd != nil && *n.trialEnd > 0 {
		ch.trialEnd = *n.trialEnd
		if ch.trialEnd <= now {
			return nil, invalid("", "trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.")
		}
	}
	ch.begins = begins(sub, n, ch)
	trialing := sub.Status == statusTrialing
	switch {
	case trialing || sub.Status == statusPaused || n.proration == prorateNever:
	case ch.begins || ch.trialEnd != 0:
		if sub.amount() > 0 {
			ch.settle = s.unused(sub, sub.Items.Data, at)
		}
	default:
		ch.settle = s.settlements(sub, items, at)
	}
	ch.billed = ch.begins || ch.trialEnd != 0 && !trialing || n.proration == prorateNow && len(ch.settle) > 0
	ch.sum()
	return ch, nil
}

// begins tells whether an update starts a new period now: where it says so, where it ends
// a trial, and where the interval changes or what was free is to be paid for.
func begins(sub *subscriptionRow, n updating, ch *change) bool {
	switch {
	case ch.trialEnd != 0 || sub.Status == statusPaused:
		return false
	case n.anchor == "now":
		return true
	case sub.Status == statusTrialing:
		return n.trialEnd != nil
	}
	was, is := sub.every(), ch.items[0].Price.Recurring
	return was.Interval != is.Interval || was.IntervalCount != is.IntervalCount || free(sub.Items.Data) && !free(ch.items)
}

// free tells whether all the prices are 0. A quantity of 0 makes nothing free.
func free(items []*subscriptionItem) bool {
	for _, item := range items {
		if item.Price.UnitAmount != 0 {
			return false
		}
	}
	return true
}

func (ch *change) sum() {
	for _, item := range ch.settle {
		ch.due += item.Amount
	}
	for _, item := range ch.items {
		if ch.begins {
			ch.due += item.amount()
		}
	}
}
