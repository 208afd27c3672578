package stripe

// portal is a customer's way to its own cards and subscriptions.
type portal struct {
	ID            string `json:"id"`
	Object        string `json:"object"`
	Configuration ref    `json:"configuration"`
	Created       int64  `json:"created"`
	Customer      string `json:"customer"`
	Flow          any    `json:"flow"`
	Livemode      bool   `json:"livemode"`
	Locale        ref    `json:"locale"`
	OnBehalfOf    ref    `json:"on_behalf_of"`
	ReturnURL     ref    `json:"return_url"`
	URL           string `json:"url"`
}

func (p *portal) ident() string { return p.ID }

func (s *Server) createPortal(c *call) (any, error) {
	owner, back, locale := c.in.need("customer"), c.in.word("return_url"), c.in.word("locale")
	c.in.text("configuration")
	if c.in.given("flow_data") {
		c.in.sub("flow_data").choice("type", "payment_method_update")
	}
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findCustomer(owner, "customer")
	if err != nil {
		return nil, err
	}
	p := &portal{ID: s.token("bps_"), Object: "billing_portal.session", Configuration: "bpc_standin", Created: s.now(row.clock()), Customer: row.ID, Locale: ref(locale), ReturnURL: ref(back)}
	p.URL = s.config.URL() + "/pages/portal/" + p.ID
	s.state.Portals.put(p)
	return p, nil
}
