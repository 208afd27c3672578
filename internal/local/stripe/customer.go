package stripe

type invoiceSettings struct {
	CustomFields         any `json:"custom_fields"`
	DefaultPaymentMethod ref `json:"default_payment_method"`
	Footer               ref `json:"footer"`
	RenderingOptions     any `json:"rendering_options"`
}

type customer struct {
	ID                  string          `json:"id"`
	Object              string          `json:"object"`
	Address             any             `json:"address"`
	Balance             int64           `json:"balance"` // minor units; below 0 is what the customer has in hand
	Created             int64           `json:"created"`
	Currency            ref             `json:"currency"`
	DefaultSource       any             `json:"default_source"`
	Delinquent          bool            `json:"delinquent"`
	Description         ref             `json:"description"`
	Discount            any             `json:"discount"`
	Email               ref             `json:"email"`
	InvoicePrefix       string          `json:"invoice_prefix"`
	InvoiceSettings     invoiceSettings `json:"invoice_settings"`
	Livemode            bool            `json:"livemode"`
	Metadata            metadata        `json:"metadata"`
	Name                ref             `json:"name"`
	NextInvoiceSequence int64           `json:"next_invoice_sequence"`
	Phone               ref             `json:"phone"`
	PreferredLocales    []string        `json:"preferred_locales"`
	Shipping            any             `json:"shipping"`
	TaxExempt           string          `json:"tax_exempt"`
	TestClock           ref             `json:"test_clock"`
}

// customerRow is a customer with what the API does not show.
type customerRow struct {
	customer
	Gone    bool     `json:"_gone,omitempty"`
	Subs    []string `json:"_subs,omitempty"`    // every subscription it ever had
	Pending []string `json:"_pending,omitempty"` // invoice items that no invoice has taken
}

func (c *customerRow) ident() string { return c.ID }
func (c *customerRow) wire() any     { return &c.customer }
func (c *customerRow) clock() string { return string(c.TestClock) }

// customerChange is what may be set on a customer.
type customerChange struct {
	email, name, description, phone, method *string
	balance                                 *int64
	address                                 map[string]any
	locales                                 []string
	taxExempt                               string
	metadata                                map[string]string
}

func readCustomer(in *form) customerChange {
	change := customerChange{email: in.text("email"), name: in.text("name"), description: in.text("description"), phone: in.text("phone"),
		method: in.sub("invoice_settings").text("default_payment_method"), balance: in.whole("balance"), locales: in.texts("preferred_locales"),
		taxExempt: in.choice("tax_exempt", "none", "exempt", "reverse"), metadata: in.metadata()}
	if in.given("address") {
		address := in.sub("address")
		change.address = map[string]any{}
		for _, part := range []string{"city", "country", "line1", "line2", "postal_code", "state"} {
			change.address[part] = ref(address.word(part))
		}
	}
	return change
}

func (s *Server) applyCustomer(row *customerRow, change customerChange) error {
	if change.method != nil && *change.method != "" {
		m := s.state.Methods.get(*change.method)
		if m == nil {
			return noSuch("PaymentMethod", *change.method, "invoice_settings[default_payment_method]")
		}
		if string(m.Customer) != row.ID {
			return invalid("resource_missing", "invoice_settings[default_payment_method]", "The customer does not have a payment method with the ID %s. The payment method must be attached to the customer.", m.ID)
		}
	}
	set(&row.Email, change.email)
	set(&row.Name, change.name)
	set(&row.Description, change.description)
	set(&row.Phone, change.phone)
	set(&row.InvoiceSettings.DefaultPaymentMethod, change.method)
	if change.balance != nil {
		row.Balance = *change.balance
	}
	if change.address != nil {
		row.Address = change.address
	}
	if change.locales != nil {
		row.PreferredLocales = change.locales
	}
	if change.taxExempt != "" {
		row.TaxExempt = change.taxExempt
	}
	row.Metadata = row.Metadata.merge(change.metadata)
	return nil
}

// makeCustomer keeps and tells a new customer.
func (s *Server) makeCustomer(clock ref, change customerChange) (*customerRow, error) {
	row := &customerRow{customer: customer{ID: s.token("cus_"), Object: "customer", InvoicePrefix: s.token("")[:8], NextInvoiceSequence: 1,
		PreferredLocales: []string{}, TaxExempt: "none", TestClock: clock}}
	row.Created = s.now(string(clock))
	if err := s.applyCustomer(row, change); err != nil {
		return nil, err
	}
	s.state.Customers.put(row)
	s.tell("customer.created", row)
	return row, nil
}

// findCustomer refuses a deleted one.
func (s *Server) findCustomer(id, param string) (*customerRow, error) {
	if row := s.state.Customers.get(id); row != nil && !row.Gone {
		return row, nil
	}
	return nil, noSuch("customer", id, param)
}

func (s *Server) createCustomer(c *call) (any, error) {
	change, method, clock := readCustomer(c.in), c.in.word("payment_method"), c.in.word("test_clock")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if clock != "" {
		if s.state.Clocks.get(clock) == nil {
			return nil, noSuch("test_clock", clock, "test_clock")
		}
	}
	if method != "" { // a card is attached first, so that a refused one leaves no customer
		if err := s.attachable(method, ""); err != nil {
			return nil, err
		}
	}
	wanted := change.method
	change.method = nil
	row, err := s.makeCustomer(ref(clock), change)
	if err != nil || method == "" {
		return shownOr(row, err)
	}
	m := s.attachMethod(method, row)
	if wanted != nil {
		row.InvoiceSettings.DefaultPaymentMethod = ref(m.ID)
		s.changedTo("customer.updated", row)
	}
	return row.wire(), nil
}

func shownOr(o object, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return o.wire(), nil
}

func (s *Server) retrieveCustomer(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row := s.state.Customers.get(c.id)
	if row != nil && row.Gone {
		return &gone{ID: row.ID, Object: row.Object, Deleted: true}, nil
	}
	if row == nil {
		return nil, noSuch("customer", c.id, "id")
	}
	return row.wire(), nil
}

func (s *Server) updateCustomer(c *call) (any, error) {
	change := readCustomer(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(c.id, "id")
	if err != nil {
		return nil, err
	}
	if err := s.applyCustomer(row, change); err != nil {
		return nil, err
	}
	s.changedTo("customer.updated", row)
	return row.wire(), nil
}

func (s *Server) deleteCustomer(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(c.id, "id")
	if err != nil {
		return nil, err
	}
	for _, id := range row.Subs {
		if sub := s.state.Subscriptions.get(id); !sub.over() {
			s.end(sub, statusCanceled)
		}
	}
	s.dropCustomer(row)
	s.tell("customer.deleted", row)
	return &gone{ID: row.ID, Object: row.Object, Deleted: true}, nil
}

// dropCustomer takes the cards from a customer and ends its subscriptions, silently.
func (s *Server) dropCustomer(row *customerRow) {
	row.Gone = true
	for _, id := range row.Subs {
		if sub := s.state.Subscriptions.get(id); !sub.over() {
			sub.Status, sub.EndedAt = statusCanceled, stamp(s.now(row.clock()))
			s.remember(sub)
		}
	}
	for _, m := range s.state.Methods.all() {
		if string(m.Customer) == row.ID {
			m.Customer = ""
			s.remember(m)
		}
	}
}
