package stripe

type chargeOutcome struct {
	NetworkStatus string `json:"network_status"`
	Reason        ref    `json:"reason"`
	RiskLevel     string `json:"risk_level"`
	SellerMessage string `json:"seller_message"`
	Type          string `json:"type"`
}

type methodDetails struct {
	Card card   `json:"card"`
	Type string `json:"type"`
}

type charge struct {
	ID                   string         `json:"id"`
	Object               string         `json:"object"`
	Amount               int64          `json:"amount"`
	AmountCaptured       int64          `json:"amount_captured"`
	AmountRefunded       int64          `json:"amount_refunded"`
	BalanceTransaction   ref            `json:"balance_transaction"`
	BillingDetails       billingDetails `json:"billing_details"`
	Captured             bool           `json:"captured"`
	Created              int64          `json:"created"`
	Currency             string         `json:"currency"`
	Customer             ref            `json:"customer"`
	Description          ref            `json:"description"`
	Disputed             bool           `json:"disputed"`
	FailureCode          ref            `json:"failure_code"`
	FailureMessage       ref            `json:"failure_message"`
	Invoice              ref            `json:"invoice"`
	Livemode             bool           `json:"livemode"`
	Metadata             metadata       `json:"metadata"`
	Outcome              chargeOutcome  `json:"outcome"`
	Paid                 bool           `json:"paid"`
	PaymentIntent        ref            `json:"payment_intent"`
	PaymentMethod        ref            `json:"payment_method"`
	PaymentMethodDetails methodDetails  `json:"payment_method_details"`
	ReceiptURL           ref            `json:"receipt_url"`
	Refunded             bool           `json:"refunded"`
	Status               string         `json:"status"`
}

type chargeRow struct {
	charge
	Clock string `json:"_clock,omitempty"`
}

func (c *chargeRow) ident() string { return c.ID }
func (c *chargeRow) wire() any     { return &c.charge }
func (c *chargeRow) clock() string { return c.Clock }

// charge makes one try to take money from a card.
func (s *Server) charge(p *paymentIntent, m *methodRow, clock string) *chargeRow {
	c := &chargeRow{Clock: clock, charge: charge{ID: s.token("ch_"), Object: "charge", Amount: p.Amount, Captured: true, AmountCaptured: p.Amount,
		BillingDetails: m.BillingDetails, Created: s.now(clock), Currency: p.Currency, Customer: p.Customer, Description: p.Description, Invoice: p.Invoice,
		Metadata: metadata{}, Paid: true, PaymentIntent: ref(p.ID), PaymentMethod: ref(m.ID), PaymentMethodDetails: methodDetails{Card: m.Card, Type: "card"},
		Outcome: chargeOutcome{NetworkStatus: "approved_by_network", RiskLevel: "normal", SellerMessage: "Payment complete.", Type: "authorized"}, Status: succeeded}}
	if m.Does == cardFails || m.Does == cardRefused {
		c.Status, c.Paid, c.Captured, c.AmountCaptured = "failed", false, false, 0
		c.FailureCode, c.FailureMessage = "card_declined", "Your card was declined."
		c.Outcome = chargeOutcome{NetworkStatus: "declined_by_network", Reason: "generic_decline", RiskLevel: "normal",
			SellerMessage: "The bank did not return any further details with this decline.", Type: "issuer_declined"}
	} else {
		c.BalanceTransaction = ref(s.token("txn_"))
	}
	s.state.Charges.put(c)
	return c
}

func (s *Server) findCharge(id, param string) (*chargeRow, error) {
	if c := s.state.Charges.get(id); c != nil {
		return c, nil
	}
	return nil, noSuch("charge", id, param)
}

func (s *Server) retrieveCharge(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCharge(c.id, "id")
	if err != nil {
		return nil, err
	}
	return row.wire(), nil
}

func (s *Server) listCharges(c *call) (any, error) {
	p, owner, intent, created := c.in.paging(), c.in.word("customer"), c.in.word("payment_intent"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Charges, p, "/v1/charges", func(row *chargeRow) bool {
		return (owner == "" || string(row.Customer) == owner) && (intent == "" || string(row.PaymentIntent) == intent) && created.holds(row.Created)
	})
}
