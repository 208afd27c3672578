package stripe

import (
	"fmt"
	"time"
)

// What becomes of the difference when a subscription changes within a period.
const (
	prorate      = "create_prorations" // it waits for the next invoice
	prorateNow   = "always_invoice"
	prorateNever = "none"
)

// unused is the credit for what is left of a period of items at a moment.
func (s *Server) unused(sub *subscriptionRow, items []*subscriptionItem, at int64) []*invoiceItem {
	return s.prorated(sub, items, at, -1)
}

// prorated makes an invoice item for what is left of the period, for each item: a credit
// where sign is -1, a debit where it is 1.
func (s *Server) prorated(sub *subscriptionRow, items []*subscriptionItem, at, sign int64) []*invoiceItem {
	whole, left := sub.CurrentPeriodEnd-sub.CurrentPeriodStart, max(0, sub.CurrentPeriodEnd-at)
	if natural := sub.CurrentPeriodEnd - sub.every().after(sub.CurrentPeriodEnd, -1); sub.BillingCycleAnchor == sub.CurrentPeriodEnd {
		whole = natural // an anchor in the future cut the period short
	}
	what := map[int64]string{-1: "Unused", 1: "Remaining"}[sign]
	var made []*invoiceItem
	for _, item := range items {
		i := s.newItem(s.state.Customers.get(string(sub.Customer)), portion(sign*item.amount(), left, whole, sub.Currency), sub.Currency)
		i.Description = ref(fmt.Sprintf("%s time on %d × %s after %s", what, item.Quantity, s.named(item.Price), time.Unix(at, 0).UTC().Format("02 Jan 2006")))
		i.Discountable, i.Period, i.Proration, i.Quantity = false, span{at, sub.CurrentPeriodEnd}, true, item.Quantity
		i.Price, i.Plan, i.Subscription, i.SubscriptionItem = item.Price, item.Plan, ref(sub.ID), item.ID
		i.UnitAmount = sign * item.Price.UnitAmount
		i.UnitAmountDecimal = fmt.Sprint(i.UnitAmount)
		made = append(made, i)
	}
	return made
}

// itemChange is an item before and after a change; one of both may be nil.
type itemChange struct{ old, fresh *subscriptionItem }

// changed tells whether what is to be paid for the item has changed.
func (c itemChange) changed() bool {
	return c.old == nil || c.fresh == nil || c.old.Price.ID != c.fresh.Price.ID || c.old.Quantity != c.fresh.Quantity
}

// settlements is the credits and debits of a change at a moment within a period.
func (s *Server) settlements(sub *subscriptionRow, changes []itemChange, at int64) []*invoiceItem {
	var made []*invoiceItem
	for _, c := range changes {
		if !c.changed() {
			continue
		}
		if c.old != nil {
			made = append(made, s.prorated(sub, []*subscriptionItem{c.old}, at, -1)...)
		}
		if c.fresh != nil {
			made = append(made, s.prorated(sub, []*subscriptionItem{c.fresh}, at, 1)...)
		}
	}
	return made
}

// changeItems returns how the items of a subscription change by an update's items[].
func (s *Server) changeItems(sub *subscriptionRow, inputs []itemInput) ([]itemChange, error) {
	var changes []itemChange
	for _, item := range sub.Items.Data {
		fresh := *item
		changes = append(changes, itemChange{old: item, fresh: &fresh})
	}
	for _, in := range inputs {
		if in.id == "" {
			item, err := s.makeItem(sub, in, nil)
			if err != nil {
				return nil, err
			}
			changes = append(changes, itemChange{fresh: item})
			continue
		}
		i := indexOf(sub.Items.Data, in.id)
		if i < 0 {
			return nil, noSuch("subscription_item", in.id, "items[0][id]")
		}
		if err := s.changeItem(&changes[i], sub, in); err != nil {
			return nil, err
		}
	}
	return changes, s.together(changes)
}

func indexOf(items []*subscriptionItem, id string) int {
	for i, item := range items {
		if item.ID == id {
			return i
		}
	}
	return -1
}

func (s *Server) changeItem(change *itemChange, sub *subscriptionRow, in itemInput) error {
	if in.deleted {
		change.fresh = nil
		return nil
	}
	if in.price != "" && in.price != change.old.Price.ID {
		p, err := s.subscribable(in.price, nil)
		if err != nil {
			return err
		}
		if p.Currency != sub.Currency {
			return invalid("", "items", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.", p.Currency, sub.Currency)
		}
		change.fresh.price(p)
		if in.quantity == nil {
			change.fresh.Quantity = 1 // as Stripe does: a new price starts at one
		}
	}
	if in.quantity != nil {
		change.fresh.Quantity = *in.quantity
	}
	change.fresh.Metadata = change.fresh.Metadata.merge(in.metadata)
	return nil
}

// together refuses items that cannot stand side by side.
func (s *Server) together(changes []itemChange) error {
	var beside []*subscriptionItem
	for _, c := range changes {
		if c.fresh == nil {
			continue
		}
		if len(beside) > 0 && (c.old == nil || c.changed()) {
			if _, err := s.subscribable(c.fresh.Price.ID, beside); err != nil {
				return err
			}
		}
		beside = append(beside, c.fresh)
	}
	if len(beside) == 0 {
		return invalid("", "items", "A subscription must have at least one active plan; to cancel the subscription, delete it.")
	}
	first := beside[0].Price.Recurring
	for _, item := range beside {
		if r := item.Price.Recurring; r.Interval != first.Interval || r.IntervalCount != first.IntervalCount {
			return invalid("", "items", "Currently, all plans on a subscription must have the same `interval` and `interval_count`.")
		}
	}
	return nil
}
