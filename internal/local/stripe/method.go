package stripe

import "strings"

// What a test card does.
const (
	cardGood    = ""
	cardRefused = "refused" // cannot be attached
	cardFails   = "fails"   // attaches, and every charge fails
	cardAsks    = "asks"    // every charge asks for authentication
)

type testCard struct{ name, number, brand, does string }

// testCards are those of Stripe's test mode: pm_card_<name>, tok_<name>, or the number.
var testCards = []testCard{
	{"visa", "4242424242424242", "visa", cardGood},
	{"mastercard", "5555555555554444", "mastercard", cardGood},
	{"amex", "378282246310005", "amex", cardGood},
	{"chargeDeclined", "4000000000000002", "visa", cardRefused},
	{"chargeCustomerFail", "4000000000000341", "visa", cardFails},
	{"authenticationRequired", "4000002760003184", "visa", cardAsks},
}

type card struct {
	Brand        string `json:"brand"`
	Checks       any    `json:"checks"`
	Country      string `json:"country"`
	ExpMonth     int64  `json:"exp_month"`
	ExpYear      int64  `json:"exp_year"`
	Fingerprint  string `json:"fingerprint"`
	Funding      string `json:"funding"`
	Last4        string `json:"last4"`
	ThreeDSecure any    `json:"three_d_secure_usage"`
	Wallet       any    `json:"wallet"`
}

type billingDetails struct {
	Address any `json:"address"`
	Email   ref `json:"email"`
	Name    ref `json:"name"`
	Phone   ref `json:"phone"`
}

type paymentMethod struct {
	ID             string         `json:"id"`
	Object         string         `json:"object"`
	BillingDetails billingDetails `json:"billing_details"`
	Card           card           `json:"card"`
	Created        int64          `json:"created"`
	Customer       ref            `json:"customer"`
	Livemode       bool           `json:"livemode"`
	Metadata       metadata       `json:"metadata"`
	Type           string         `json:"type"`
}

// methodRow is a payment method with what its card does.
type methodRow struct {
	paymentMethod
	Does  string `json:"_does,omitempty"`
	Clock string `json:"_clock,omitempty"`
	Used  bool   `json:"_used,omitempty"` // it was attached: once detached it is of no more use
}

func (m *methodRow) ident() string { return m.ID }
func (m *methodRow) wire() any     { return &m.paymentMethod }
func (m *methodRow) clock() string { return m.Clock }

// cardCalled finds a test card by what it goes by; nil where there is none.
func cardCalled(word string) *testCard {
	for i, c := range testCards {
		if word == "pm_card_"+c.name || word == "tok_"+c.name || word == c.number {
			return &testCards[i]
		}
	}
	return nil
}

func (s *Server) newMethod(c *testCard, clock string) *methodRow {
	row := &methodRow{paymentMethod: paymentMethod{ID: s.token("pm_"), Object: "payment_method", Created: s.now(clock), Metadata: metadata{}, Type: "card",
		Card: card{Brand: c.brand, Country: "US", ExpMonth: 12, ExpYear: 2040, Fingerprint: "fp" + c.number[len(c.number)-8:], Funding: "credit", Last4: c.number[len(c.number)-4:]}},
		Does: c.does, Clock: clock}
	s.state.Methods.put(row)
	s.remember(row)
	return row
}

func (s *Server) createMethod(c *call) (any, error) {
	c.in.need("type")
	c.in.choice("type", "card")
	in := c.in.sub("card")
	word := strings.ReplaceAll(in.word("number"), " ", "")
	if word == "" {
		word = in.need("token")
	}
	month, year := in.whole("exp_month"), in.whole("exp_year")
	in.text("cvc")
	changes := c.in.metadata()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	t := cardCalled(word)
	if t == nil {
		return nil, declined("incorrect_number", "", "Your card number is incorrect.")
	}
	row := s.newMethod(t, "")
	if month != nil && year != nil {
		row.Card.ExpMonth, row.Card.ExpYear = *month, *year
	}
	row.Metadata = row.Metadata.merge(changes)
	return row.wire(), nil
}

// attachable refuses what cannot become a card of the customer.
func (s *Server) attachable(id, owner string) error {
	does := ""
	if t := cardCalled(id); t != nil && strings.HasPrefix(id, "pm_") {
		does = t.does
	} else {
		m := s.state.Methods.get(id)
		switch {
		case m == nil:
			return noSuch("PaymentMethod", id, "payment_method")
		case m.Customer != "" && string(m.Customer) != owner:
			return invalid("payment_method_unexpected_state", "", "The payment method you provided has already been attached to a customer.")
		case m.Customer == "" && m.Used:
			return invalid("", "", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.")
		}
		does = m.Does
	}
	if does == cardRefused {
		return declined("card_declined", "generic_decline", "Your card was declined.")
	}
	return nil
}

// attachMethod makes an attachable payment method one of the customer's.
func (s *Server) attachMethod(id string, owner *customerRow) *methodRow {
	m := s.state.Methods.get(id)
	if m == nil {
		m = s.newMethod(cardCalled(id), owner.clock())
	}
	if string(m.Customer) != owner.ID {
		m.Customer, m.Clock, m.Used = ref(owner.ID), owner.clock(), true
		s.tell("payment_method.attached", m)
	}
	return m
}

func (s *Server) attach(c *call) (any, error) {
	owner := c.in.need("customer")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(owner, "customer")
	if err != nil {
		return nil, err
	}
	if err := s.attachable(c.id, row.ID); err != nil {
		return nil, err
	}
	return s.attachMethod(c.id, row).wire(), nil
}

func (s *Server) findMethod(id string) (*methodRow, error) {
	if m := s.state.Methods.get(id); m != nil {
		return m, nil
	}
	if t := cardCalled(id); t != nil && strings.HasPrefix(id, "pm_") {
		return s.newMethod(t, ""), nil
	}
	return nil, absent("PaymentMethod", id, "payment_method")
}

func (s *Server) retrieveMethod(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	m, err := s.findMethod(c.id)
	if err != nil {
		return nil, err
	}
	return m.wire(), nil
}

func (s *Server) updateMethod(c *call) (any, error) {
	in, changes := c.in.sub("card"), c.in.metadata()
	month, year := in.whole("exp_month"), in.whole("exp_year")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	m, err := s.findMethod(c.id)
	if err != nil {
		return nil, err
	}
	if month != nil {
		m.Card.ExpMonth = *month
	}
	if year != nil {
		m.Card.ExpYear = *year
	}
	m.Metadata = m.Metadata.merge(changes)
	s.changedTo("payment_method.updated", m)
	return m.wire(), nil
}

// detach takes a card from its customer, and from what named it as the default.
func (s *Server) detach(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	m, err := s.findMethod(c.id)
	if err != nil {
		return nil, err
	}
	owner := s.state.Customers.get(string(m.Customer))
	if owner == nil {
		return nil, invalid("", "", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	m.Customer = ""
	s.changedTo("payment_method.detached", m)
	if string(owner.InvoiceSettings.DefaultPaymentMethod) == m.ID {
		owner.InvoiceSettings.DefaultPaymentMethod = ""
		s.changedTo("customer.updated", owner)
	}
	for _, id := range owner.Subs {
		if sub := s.state.Subscriptions.get(id); string(sub.DefaultPaymentMethod) == m.ID {
			sub.DefaultPaymentMethod = ""
			s.changedTo("customer.subscription.updated", sub)
		}
	}
	return m.wire(), nil
}

func (s *Server) listMethods(c *call) (any, error) {
	p, owner := c.in.paging(), c.in.word("customer")
	if c.id != "" {
		owner = c.id
	}
	c.in.choice("type", "card")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if owner != "" {
		if _, err := s.findCustomer(owner, "customer"); err != nil {
			return nil, err
		}
	}
	return pick(&s.state.Methods, p, "/v1/payment_methods", func(row *methodRow) bool {
		return owner != "" && string(row.Customer) == owner
	})
}
