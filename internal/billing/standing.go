package billing

import (
	"cmp"
	"slices"
	"time"
)

// trialNotice is how long before its end a trial's end is told.
const trialNotice = 3 * 24 * time.Hour

// rank orders subscriptions that came to life, the better first; others are not in it.
var rank = map[string]int{StatusActive: 1, StatusTrialing: 2, StatusPastDue: 3, StatusUnpaid: 4, StatusPaused: 5, StatusCanceled: 6}

// chooseMain picks the subscription that the account goes by. Among those that ended it
// is the last that did: its end is the account's.
func chooseMain(all []SubscriptionRow) *SubscriptionRow {
	best := func(pick func(SubscriptionRow) bool, compare func(a, b SubscriptionRow) int) *SubscriptionRow {
		var found *SubscriptionRow
		for _, s := range all {
			if pick(s) && (found == nil || compare(s, *found) < 0) {
				found = &s
			}
		}
		return found
	}
	live := func(s SubscriptionRow) bool { return rank[s.Status] > 0 }
	if found := best(live, compareLive); found != nil {
		return found
	}
	waiting := func(s SubscriptionRow) bool { return s.Status == StatusIncomplete }
	return best(waiting, func(a, b SubscriptionRow) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.StripeID, b.StripeID))
	})
}

func compareLive(a, b SubscriptionRow) int {
	ended := 0
	if a.Status == StatusCanceled && b.Status == StatusCanceled {
		ended = b.end().Compare(a.end())
	}
	return cmp.Or(cmp.Compare(rank[a.Status], rank[b.Status]), ended, a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.StripeID, b.StripeID))
}

// end is when a canceled subscription ended.
func (s SubscriptionRow) end() time.Time {
	for _, at := range []*time.Time{s.EndedAt, s.CanceledAt} {
		if at != nil {
			return *at
		}
	}
	return s.CurrentPeriodEnd
}

// paying reports whether what is on the subscription may be used.
func (s SubscriptionRow) paying() bool {
	return slices.Contains([]string{StatusTrialing, StatusActive, StatusPastDue, StatusUnpaid}, s.Status)
}

// facts are all that the standing of an account is a function of.
type facts struct {
	clock         time.Time
	created       time.Time // the tenant was
	subscriptions []SubscriptionRow
	main          *SubscriptionRow // of subscriptions; nil: none
	owed          []owed           // of main, oldest first
	latest        latest           // of main
}

// standing is what facts make of an account.
type standing struct {
	cause      Cause
	since      time.Time
	graceUntil *time.Time
	plan       *string // in force; nil: billing has no say
	reminders  int     // how many are due
	dueAt      *time.Time
}

// stand computes the standing. It looks at nothing else.
func (r Rules) stand(f facts) standing {
	s := standing{cause: NoSubscription, since: f.created}
	if f.main == nil {
		for _, given := range f.subscriptions { // all of them expired before they began
			if s.cause != Abandoned || given.CreatedAt.After(s.since) {
				s.cause, s.since = Abandoned, given.CreatedAt
			}
		}
		return s
	}
	switch m := *f.main; m.Status {
	case StatusIncomplete:
		s.cause, s.since = FirstPayment, m.CreatedAt
	case StatusTrialing:
		s.cause, s.since = Trial, m.CreatedAt
	case StatusActive:
		s.cause, s.since = Paid, f.paidSince()
		if len(f.owed) > 0 {
			s = r.grace(f.clock, f.unpaidSince(), UnpaidInGrace, UnpaidPastGrace)
		}
	case StatusPaused:
		s.cause, s.since = OnPause, m.CurrentPeriodStart
		if m.TrialEnd != nil {
			s.since = *m.TrialEnd
		}
	case StatusPastDue, StatusUnpaid:
		s = r.grace(f.clock, f.unpaidSince(), UnpaidInGrace, UnpaidPastGrace)
	case StatusCanceled:
		since := m.end()
		if len(f.owed) > 0 && f.owed[0].FailedAt.Before(since) {
			since = f.owed[0].FailedAt // to cancel is no way to a new grace
		}
		s = r.grace(f.clock, since, EndedInGrace, EndedPastGrace)
	}
	if s.plan = f.main.planInForce(f.clock); f.undecided() {
		s.plan = nil
	}
	if s.cause == UnpaidInGrace && len(f.owed) > 0 {
		for _, after := range r.Reminders {
			if !s.since.Add(after).After(f.clock) {
				s.reminders++
			}
		}
	}
	s.dueAt = r.due(f, s)
	return s
}

// undecided reports whether the main subscription was canceled and its invoice, which
// tells whether it ever began, is not here yet. Until it is, the plan stays and nobody is
// told of an end.
func (f facts) undecided() bool {
	return f.main.Status == StatusCanceled && f.main.LatestInvoice != nil && f.latest.Status == nil
}

// overtaken reports whether the subscription is still said to be unpaid although nothing is
// owed any more: the invoice was fetched after it. Until it is fetched again nothing
// changes.
func (f facts) overtaken() bool {
	return f.main != nil && (f.main.Status == StatusPastDue || f.main.Status == StatusUnpaid) &&
		len(f.owed) == 0 && f.latest.Status != nil && *f.latest.Status == InvoicePaid
}

func (r Rules) grace(clock, since time.Time, within, past Cause) standing {
	until := since.Add(r.Grace)
	if clock.Before(until) {
		return standing{cause: within, since: since, graceUntil: &until}
	}
	return standing{cause: past, since: since, graceUntil: &until}
}

// paidSince is when the account came to be in order.
func (f facts) paidSince() time.Time {
	since, moments := f.main.CreatedAt, []*time.Time{f.main.TrialEnd, f.latest.RecoveredAt}
	if f.main.TrialEnd != nil {
		moments = append(moments, &f.main.AnchorAt) // it was resumed after the trial
	}
	for _, at := range moments {
		if at != nil && at.After(since) && !at.After(f.clock) {
			since = *at
		}
	}
	return since
}

// unpaidSince is when the payment failed that is still owed. Where it is not known yet
// which it was, nobody is to be suspended for the order in which that arrives.
func (f facts) unpaidSince() time.Time {
	switch {
	case len(f.owed) > 0:
		return f.owed[0].FailedAt
	case f.main.LatestInvoice != nil && f.latest.Status == nil:
		return f.clock
	}
	return f.main.CurrentPeriodStart
}

// planInForce is the plan that a subscription stands for; nil: that is not for it to say.
func (s SubscriptionRow) planInForce(clock time.Time) *string {
	free := FreePlan
	switch {
	case s.Status == StatusCanceled || s.Status == StatusPaused:
		return &free
	case s.Status == StatusIncomplete:
		return nil
	case s.kept(clock):
		return s.KeepsPlan
	}
	return s.Plan
}

// kept reports whether a dearer plan is still paid for and holds.
func (s SubscriptionRow) kept(clock time.Time) bool {
	return s.KeepsPlan != nil && s.KeepsUntil != nil && clock.Before(*s.KeepsUntil)
}

// due is the next moment at which time alone changes something; nil: there is none.
func (r Rules) due(f facts, s standing) *time.Time {
	var moments []time.Time
	if s.graceUntil != nil {
		moments = append(moments, *s.graceUntil)
	}
	if s.cause == UnpaidInGrace && len(f.owed) > 0 {
		for _, after := range r.Reminders {
			moments = append(moments, s.since.Add(after))
		}
	}
	if f.main.paying() && f.main.kept(f.clock) {
		moments = append(moments, *f.main.KeepsUntil)
	}
	if s.cause == Trial && f.main.TrialEnd != nil {
		moments = append(moments, f.main.TrialEnd.Add(-trialNotice))
	}
	var next *time.Time
	for _, at := range moments {
		if at.After(f.clock) && (next == nil || at.Before(*next)) {
			next = &at
		}
	}
	return next
}
