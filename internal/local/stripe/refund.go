package stripe

// refund is money that went back.
type refund struct {
	ID                 string   `json:"id"`
	Object             string   `json:"object"`
	Amount             int64    `json:"amount"`
	BalanceTransaction ref      `json:"balance_transaction"`
	Charge             ref      `json:"charge"`
	Created            int64    `json:"created"`
	Currency           string   `json:"currency"`
	Metadata           metadata `json:"metadata"`
	PaymentIntent      ref      `json:"payment_intent"`
	Reason             ref      `json:"reason"`
	ReceiptNumber      ref      `json:"receipt_number"`
	Status             string   `json:"status"`
}

func (r *refund) ident() string { return r.ID }

func (s *Server) createRefund(c *call) (any, error) {
	of, intent, amount := c.in.word("charge"), c.in.word("payment_intent"), c.in.whole("amount")
	reason := c.in.choice("reason", "duplicate", "fraudulent", "requested_by_customer")
	changes := c.in.metadata()
	if of == "" && intent == "" {
		c.in.refuse(invalid("", "", "One of the following params should be provided for this request: payment_intent or charge."))
	}
	if amount != nil && *amount <= 0 {
		c.in.refuse(invalid("parameter_invalid_integer", "amount", "Invalid positive integer"))
	}
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if of == "" {
		p := s.state.Intents.get(intent)
		if p == nil {
			return nil, noSuch("payment_intent", intent, "payment_intent")
		}
		of = string(p.LatestCharge)
	}
	row, err := s.findCharge(of, "charge")
	if err != nil {
		return nil, err
	}
	left := row.Amount - row.AmountRefunded
	switch {
	case row.Status != succeeded:
		return nil, invalid("", "", "This charge has not been paid and cannot be refunded: %s.", row.ID)
	case left == 0:
		return nil, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", row.ID)
	case amount != nil && *amount > left:
		return nil, invalid("", "amount", "Refund amount (%d) is greater than unrefunded amount on charge (%d)", *amount, left)
	case amount != nil:
		left = *amount
	}
	r := &refund{ID: s.token("re_"), Object: "refund", Amount: left, BalanceTransaction: ref(s.token("txn_")), Charge: ref(row.ID), Created: s.now(row.Clock),
		Currency: row.Currency, Metadata: metadata{}.merge(changes), PaymentIntent: row.PaymentIntent, Reason: ref(reason), Status: succeeded}
	s.state.Refunds.put(r)
	s.remember(row)
	row.AmountRefunded += left
	row.Refunded = row.AmountRefunded == row.Amount
	s.changedTo("charge.refunded", row)
	return r, nil
}

func (s *Server) retrieveRefund(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if r := s.state.Refunds.get(c.id); r != nil {
		return r, nil
	}
	return nil, noSuch("refund", c.id, "id")
}

func (s *Server) listRefunds(c *call) (any, error) {
	p, of, intent, created := c.in.paging(), c.in.word("charge"), c.in.word("payment_intent"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Refunds, p, "/v1/refunds", func(row *refund) bool {
		return (of == "" || string(row.Charge) == of) && (intent == "" || string(row.PaymentIntent) == intent) && created.holds(row.Created)
	})
}
