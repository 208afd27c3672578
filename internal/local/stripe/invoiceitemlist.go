package stripe

func (s *Server) findItem(id string) (*invoiceItem, error) {
	if item := s.state.Items.get(id); item != nil {
		return item, nil
	}
	return nil, noSuch("invoiceitem", id, "id")
}

func (s *Server) retrieveItem(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return s.findItem(c.id)
}

func (s *Server) deleteItem(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	item, err := s.findItem(c.id)
	if err != nil {
		return nil, err
	}
	if inv := s.state.Invoices.get(string(item.Invoice)); inv != nil {
		if inv.Status != draft {
			return nil, invalid("invoice_not_editable", "", "This invoice item is part of an invoice that is no longer editable.")
		}
		var left []*invoiceLine
		for _, l := range inv.AllLines {
			if l.InvoiceItem != item.ID {
				left = append(left, l)
			}
		}
		inv.AllLines = left
		inv.show()
		s.changedTo("invoice.updated", inv)
	}
	s.dropItem(s.state.Customers.get(string(item.Customer)), item)
	return &gone{ID: item.ID, Object: item.Object, Deleted: true}, nil
}

func (s *Server) listItems(c *call) (any, error) {
	p, owner, inv, pending, created := c.in.paging(), c.in.word("customer"), c.in.word("invoice"), c.in.yes("pending"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Items, p, "/v1/invoiceitems", func(row *invoiceItem) bool {
		return (owner == "" || string(row.Customer) == owner) && (inv == "" || string(row.Invoice) == inv) &&
			(pending == nil || *pending == (row.Invoice == "")) && created.holds(row.Date)
	})
}
