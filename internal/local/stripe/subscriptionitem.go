package stripe

func (i *subscriptionItem) ident() string { return i.ID }

// listSubscriptionItems lists the items of a subscription in their order.
func (s *Server) listSubscriptionItems(c *call) (any, error) {
	p, of := c.in.paging(), c.in.need("subscription")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	sub := s.state.Subscriptions.get(of)
	if sub == nil {
		return nil, noSuch("subscription", of, "subscription")
	}
	items := &table[*subscriptionItem]{}
	for i := len(sub.Items.Data) - 1; i >= 0; i-- { // pick shows the last first
		items.put(sub.Items.Data[i])
	}
	return pick(items, p, "/v1/subscription_items", func(*subscriptionItem) bool { return true })
}

func (s *Server) retrieveSubscriptionItem(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	for _, sub := range s.state.Subscriptions.all() {
		if i := indexOf(sub.Items.Data, c.id); i >= 0 {
			return sub.Items.Data[i], nil
		}
	}
	return nil, noSuch("subscription_item", c.id, "id")
}
