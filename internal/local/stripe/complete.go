package stripe

// completeSession does what a session was made for, with a card. The error is the card's
// refusal; the session is then open as before.
func (s *Server) completeSession(row *sessionRow, card string) error {
	if err := s.chargeable(row, card); err != nil {
		return err
	}
	owner, err := s.buyer(row)
	if err != nil {
		return err
	}
	if row.Mode == "setup" {
		return s.completeSetup(row, owner, card)
	}
	m, err := s.cardFor(card, owner)
	if err != nil {
		return err
	}
	var items []itemInput
	for _, w := range row.Wishes {
		quantity := w.Quantity
		items = append(items, itemInput{price: w.Price, quantity: &quantity})
	}
	sub, err := s.subscribe(owner, subscribing{items: items, trialDays: row.TrialDays, trialEnd: row.TrialEnd, anchor: row.Anchor, missing: row.Missing, method: m.ID,
		behavior: "error_if_incomplete", proration: row.Proration, description: row.About, metadata: row.Meta, paidBy: m})
	if err != nil {
		return err
	}
	row.Subscription, row.Invoice, row.PaymentStatus = ref(sub.ID), sub.LatestInvoice, "paid"
	if sub.Status == statusTrialing {
		row.PaymentStatus = "no_payment_required"
	}
	s.finishSession(row, owner)
	return nil
}

// chargeable refuses a card that will not do before anything is made for it.
func (s *Server) chargeable(row *sessionRow, card string) error {
	if err := s.attachable(card, string(row.Customer)); err != nil {
		return err
	}
	t := cardCalled(card)
	if t == nil || t.does != cardFails || row.AmountTotal == nil || *row.AmountTotal == 0 {
		return nil
	}
	return declined("card_declined", "generic_decline", "Your card was declined.")
}

// buyer is the session's customer, who is made where the session has none.
func (s *Server) buyer(row *sessionRow) (*customerRow, error) {
	if row.Customer != "" {
		return s.findCustomer(string(row.Customer), "customer")
	}
	email := string(row.CustomerEmail)
	if email == "" {
		email = "buyer@example.com"
	}
	owner, err := s.makeCustomer("", customerChange{email: &email})
	if err == nil {
		row.Customer = ref(owner.ID)
	}
	return owner, err
}

func (s *Server) completeSetup(row *sessionRow, owner *customerRow, card string) error {
	m, err := s.cardFor(card, owner)
	if err != nil {
		return err
	}
	i := &setupIntent{ID: s.token("seti_"), Object: "setup_intent", Created: s.now(owner.clock()), Customer: ref(owner.ID), Metadata: metadata{}.merge(row.Meta),
		PaymentMethod: ref(m.ID), Status: succeeded, Usage: "off_session"}
	s.state.SetupIntents.put(i)
	row.SetupIntent, row.PaymentStatus = ref(i.ID), "no_payment_required"
	s.finishSession(row, owner)
	return nil
}

func (s *Server) finishSession(row *sessionRow, owner *customerRow) {
	row.Status, row.URL = "complete", ""
	row.CustomerDetails = &customerDetails{Email: owner.Email, Name: owner.Name, TaxExempt: "none", TaxIDs: []any{}}
	s.tell("checkout.session.completed", row)
}

func (s *Server) retrieveSetupIntent(c *call) (any, error) {
	c.in.text("client_secret")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if i := s.state.SetupIntents.get(c.id); i != nil {
		return i, nil
	}
	return nil, absent("setupintent", c.id, "intent")
}
