package stripe

// itemInput is one of items[] of a subscription's create or update.
type itemInput struct {
	id, price string
	quantity  *int64
	deleted   bool
	metadata  map[string]string
}

func readItems(in *form, update bool) []itemInput {
	var items []itemInput
	for _, f := range in.list("items") {
		item := itemInput{price: f.word("price"), quantity: f.whole("quantity"), metadata: f.metadata()}
		if update {
			item.id = f.word("id")
			deleted, clear := f.yes("deleted"), f.yes("clear_usage")
			item.deleted = deleted != nil && *deleted && (clear == nil || !*clear)
		}
		if item.price == "" && item.id == "" {
			f.need("price")
		}
		if item.quantity != nil && *item.quantity < 0 {
			in.refuse(invalid("parameter_invalid_integer", f.name+"[quantity]", "This value must be greater than or equal to 0."))
		}
		items = append(items, item)
	}
	return items
}

// subscribing is what a subscription is made from.
type subscribing struct {
	items                     []itemInput
	trialDays, trialEnd       *int64
	anchor                    *int64
	missing, method, behavior string
	proration, save           string
	description               string
	cancelAt                  *int64
	cancelAtEnd               *bool
	metadata                  map[string]string
	paidBy                    *methodRow // a card that must pay at once, as checkout demands
}

// readTrial reads what checkout and subscriptions have in common.
func readTrial(in *form) subscribing {
	n := subscribing{trialDays: in.whole("trial_period_days"), trialEnd: in.moment("trial_end"), anchor: in.moment("billing_cycle_anchor"), description: in.word("description"),
		missing:   in.sub("trial_settings").sub("end_behavior").choice("missing_payment_method", "cancel", "pause", "create_invoice"),
		proration: in.choice("proration_behavior", prorate, prorateNow, prorateNever), metadata: in.metadata()}
	if n.trialDays != nil && (*n.trialDays < 1 || *n.trialDays > 730) {
		in.refuse(invalid("parameter_invalid_integer", "trial_period_days", "Invalid trial_period_days: it must be between 1 and 730."))
	}
	if n.trialDays != nil && n.trialEnd != nil {
		in.refuse(invalid("", "trial_end", "You may only specify one of these parameters: trial_end, trial_period_days."))
	}
	return n
}

func readSubscribing(in *form) subscribing {
	n := readTrial(in)
	n.items, n.method = readItems(in, false), in.word("default_payment_method")
	n.behavior = readPaymentBehavior(in)
	n.cancelAt, n.cancelAtEnd = in.moment("cancel_at"), in.yes("cancel_at_period_end")
	settings := in.sub("payment_settings")
	n.save = settings.choice("save_default_payment_method", "off", "on_subscription")
	settings.texts("payment_method_types")
	in.choice("collection_method", "charge_automatically")
	in.yes("off_session")
	if in.given("trial_from_plan") {
		in.yes("trial_from_plan")
	}
	if len(n.items) == 0 {
		in.refuse(invalid("parameter_missing", "items", "Missing required param: items."))
	}
	return n
}

func readPaymentBehavior(in *form) string {
	behavior := in.choice("payment_behavior", "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
	if behavior == "pending_if_incomplete" {
		in.refuse(invalid("", "payment_behavior", "payment_behavior=pending_if_incomplete is not supported here; use allow_incomplete or error_if_incomplete."))
	}
	if behavior == "" {
		return "allow_incomplete"
	}
	return behavior
}

func (s *Server) createSubscription(c *call) (any, error) {
	owner, n := c.in.need("customer"), readSubscribing(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(owner, "customer")
	if err != nil {
		return nil, err
	}
	sub, err := s.subscribe(row, n)
	if err != nil {
		return nil, err
	}
	return sub.wire(), nil
}

// subscribe makes a subscription with its first invoice, and pays that.
func (s *Server) subscribe(owner *customerRow, n subscribing) (*subscriptionRow, error) {
	sub := s.newSubscription(owner, n)
	items, err := s.makeItems(sub, n.items)
	if err != nil {
		return nil, err
	}
	sub.setItems(items)
	sub.Currency = items[0].Price.Currency
	if err := s.schedule(sub, n); err != nil {
		return nil, err
	}
	if err := s.payable(owner, sub, n); err != nil {
		return nil, err
	}
	if owner.Currency == "" {
		owner.Currency = ref(sub.Currency)
		s.changedTo("customer.updated", owner)
	}
	owner.Subs = append(owner.Subs, sub.ID)
	s.state.Subscriptions.put(sub)
	s.start(owner, sub, n)
	s.plan(sub)
	return sub, nil
}

func (s *Server) newSubscription(owner *customerRow, n subscribing) *subscriptionRow {
	now := s.now(owner.clock())
	sub := &subscriptionRow{subscription: subscription{ID: s.token("sub_"), Object: "subscription", BillingCycleAnchor: now, CollectionMethod: "charge_automatically",
		Created: now, Customer: ref(owner.ID), DefaultPaymentMethod: ref(n.method), Description: ref(n.description), Metadata: metadata{}.merge(n.metadata),
		StartDate: now, Status: statusActive, TestClock: owner.TestClock}}
	sub.TrialSettings.EndBehavior.MissingPaymentMethod = "create_invoice"
	if n.missing != "" {
		sub.TrialSettings.EndBehavior.MissingPaymentMethod = n.missing
	}
	sub.PaymentSettings.SaveDefaultPaymentMethod = "off"
	if n.save != "" {
		sub.PaymentSettings.SaveDefaultPaymentMethod = ref(n.save)
	}
	return sub
}

// makeItems makes new items for a subscription.
func (s *Server) makeItems(sub *subscriptionRow, inputs []itemInput) ([]*subscriptionItem, error) {
	var items []*subscriptionItem
	for _, in := range inputs {
		item, err := s.makeItem(sub, in, items)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (s *Server) makeItem(sub *subscriptionRow, in itemInput, beside []*subscriptionItem) (*subscriptionItem, error) {
	p, err := s.subscribable(in.price, beside)
	if err != nil {
		return nil, err
	}
	if string(sub.Currency) != "" && sub.Currency != p.Currency {
		return nil, invalid("", "items", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.", p.Currency, sub.Currency)
	}
	owner := s.state.Customers.get(string(sub.Customer))
	if owner.Currency != "" && string(owner.Currency) != p.Currency {
		return nil, invalid("", "", "You cannot combine currencies on a single customer. This customer has an active subscription, or had an invoice, in %s.", owner.Currency)
	}
	item := &subscriptionItem{ID: s.token("si_"), Object: "subscription_item", Created: s.now(sub.clock()), Metadata: metadata{}.merge(in.metadata), Quantity: 1,
		Subscription: sub.ID, TaxRates: []string{}}
	if in.quantity != nil {
		item.Quantity = *in.quantity
	}
	item.price(p)
	return item, nil
}

// subscribable is a price that may become an item beside others.
func (s *Server) subscribable(id string, beside []*subscriptionItem) (*price, error) {
	p, err := s.findPrice(id, "items[0][price]")
	if err != nil {
		return nil, err
	}
	switch {
	case !p.Active:
		return nil, invalid("", "items[0][price]", "The price specified is inactive. This field only accepts active prices.")
	case p.Recurring == nil:
		return nil, invalid("", "items[0][price]", "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.")
	}
	for _, other := range beside {
		if other.Price.ID == p.ID {
			return nil, invalid("", "items", "Cannot add multiple subscription items with the same price: `%s`", p.ID)
		}
		if other.Price.Recurring.Interval != p.Recurring.Interval || other.Price.Recurring.IntervalCount != p.Recurring.IntervalCount {
			return nil, invalid("", "items", "Currently, all plans on a subscription must have the same `interval` and `interval_count`.")
		}
		if other.Price.Currency != p.Currency {
			return nil, invalid("", "items", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.", p.Currency, other.Price.Currency)
		}
	}
	return p, nil
}
