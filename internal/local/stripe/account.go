package stripe

type businessProfile struct {
	Name string `json:"name"`
	URL  ref    `json:"url"`
}

// account is whose keys these are.
type account struct {
	ID              string          `json:"id"`
	Object          string          `json:"object"`
	BusinessProfile businessProfile `json:"business_profile"`
	ChargesEnabled  bool            `json:"charges_enabled"`
	Country         string          `json:"country"`
	Created         int64           `json:"created"`
	DefaultCurrency string          `json:"default_currency"`
	DetailsSubmit   bool            `json:"details_submitted"`
	Email           string          `json:"email"`
	Metadata        metadata        `json:"metadata"`
	PayoutsEnabled  bool            `json:"payouts_enabled"`
	Type            string          `json:"type"`
}

func (s *Server) newAccount() account {
	return account{ID: s.token("acct_"), Object: "account", BusinessProfile: businessProfile{Name: "A local stand-in"}, ChargesEnabled: true, Country: "US",
		Created: s.config.Now().Unix(), DefaultCurrency: "usd", DetailsSubmit: true, Email: "account@example.com", Metadata: metadata{}, PayoutsEnabled: true, Type: "standard"}
}

func (s *Server) retrieveAccount(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if c.id != "" && c.id != s.state.Account.ID {
		return nil, noSuch("account", c.id, "id")
	}
	return s.state.Account, nil
}

// named is a price's product by name.
func (s *Server) named(p *price) string {
	if found := s.state.Products.get(p.Product); found != nil {
		return found.Name
	}
	return p.Product
}
