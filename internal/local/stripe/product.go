package stripe

// product is what prices are for.
type product struct {
	ID                  string   `json:"id"`
	Object              string   `json:"object"`
	Active              bool     `json:"active"`
	Created             int64    `json:"created"`
	DefaultPrice        ref      `json:"default_price"`
	Description         ref      `json:"description"`
	Features            []string `json:"features"`
	Images              []string `json:"images"`
	Livemode            bool     `json:"livemode"`
	Metadata            metadata `json:"metadata"`
	Name                string   `json:"name"`
	PackageDimensions   any      `json:"package_dimensions"`
	Shippable           any      `json:"shippable"`
	StatementDescriptor ref      `json:"statement_descriptor"`
	TaxCode             ref      `json:"tax_code"`
	Type                string   `json:"type"`
	UnitLabel           ref      `json:"unit_label"`
	Updated             int64    `json:"updated"`
	URL                 ref      `json:"url"`
}

func (p *product) ident() string { return p.ID }
func (p *product) wire() any     { return p }
func (p *product) clock() string { return "" }

// productChange is what may be set on a product.
type productChange struct {
	name, description, unitLabel, url, descriptor, defaultPrice *string
	active                                                      *bool
	metadata                                                    map[string]string
}

func readProduct(in *form) productChange {
	return productChange{name: in.text("name"), description: in.text("description"), unitLabel: in.text("unit_label"), url: in.text("url"),
		descriptor: in.text("statement_descriptor"), active: in.yes("active"), metadata: in.metadata()}
}

func (p *product) apply(change productChange) {
	if change.name != nil {
		p.Name = *change.name
	}
	if change.active != nil {
		p.Active = *change.active
	}
	set(&p.Description, change.description)
	set(&p.UnitLabel, change.unitLabel)
	set(&p.URL, change.url)
	set(&p.StatementDescriptor, change.descriptor)
	set(&p.DefaultPrice, change.defaultPrice)
	p.Metadata = p.Metadata.merge(change.metadata)
}

func (s *Server) createProduct(c *call) (any, error) {
	id, change := c.in.word("id"), readProduct(c.in)
	c.in.need("name")
	c.in.choice("type", "service", "good")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if id == "" {
		id = s.token("prod_")
	} else if s.state.Products.get(id) != nil {
		return nil, invalid("resource_already_exists", "id", "Product already exists.")
	}
	now := s.now("")
	p := &product{ID: id, Object: "product", Active: true, Created: now, Updated: now, Features: []string{}, Images: []string{}, Type: "service"}
	p.apply(change)
	s.state.Products.put(p)
	s.tell("product.created", p)
	return p, nil
}

func (s *Server) findProduct(id, param string) (*product, error) {
	if p := s.state.Products.get(id); p != nil {
		return p, nil
	}
	return nil, noSuch("product", id, param)
}

func (s *Server) retrieveProduct(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return s.findProduct(c.id, "id")
}

func (s *Server) updateProduct(c *call) (any, error) {
	change := readProduct(c.in)
	change.defaultPrice = c.in.text("default_price")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	p, err := s.findProduct(c.id, "id")
	if err != nil {
		return nil, err
	}
	if id := change.defaultPrice; id != nil && *id != "" {
		if found := s.state.Prices.get(*id); found == nil || found.Product != p.ID {
			return nil, noSuch("price", *id, "default_price")
		}
	}
	p.apply(change)
	p.Updated = s.now("")
	s.changedTo("product.updated", p)
	return p, nil
}

func (s *Server) deleteProduct(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	p, err := s.findProduct(c.id, "id")
	if err != nil {
		return nil, err
	}
	for _, price := range s.state.Prices.all() {
		if price.Product == p.ID {
			return nil, invalid("", "", "This product cannot be deleted because it has one or more user-created prices.")
		}
	}
	s.state.Products.remove(p.ID)
	s.tell("product.deleted", p)
	return &gone{ID: p.ID, Object: p.Object, Deleted: true}, nil
}

func (s *Server) listProducts(c *call) (any, error) {
	p, active, ids, created := c.in.paging(), c.in.yes("active"), c.in.texts("ids"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Products, p, "/v1/products", func(row *product) bool {
		return (active == nil || row.Active == *active) && either(ids, row.ID) && created.holds(row.Created)
	})
}
