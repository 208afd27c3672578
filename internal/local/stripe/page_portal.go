package stripe

import (
	"fmt"
	"time"
)

// date is a moment for people to read.
func date(at int64) string { return time.Unix(at, 0).UTC().Format("2 January 2006 15:04 UTC") }

// visitor is the portal, and the customer whose it is.
func (s *Server) visitor(id string) (*portal, *customerRow, error) {
	p := s.state.Portals.get(id)
	if p == nil {
		return nil, nil, noSuch("billing_portal.session", id, "id")
	}
	owner, err := s.findCustomer(p.Customer, "id")
	return p, owner, err
}

func (s *Server) showPortal(id string) (*view, error) {
	p, owner, err := s.visitor(id)
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Your billing", Back: string(p.ReturnURL), Rows: []pageRow{{"Customer", string(owner.Email)}}}
	if m := s.state.Methods.get(string(owner.InvoiceSettings.DefaultPaymentMethod)); m != nil {
		v.Rows = append(v.Rows, pageRow{"Card", m.Card.Brand + " ending in " + m.Card.Last4})
	}
	for _, sub := range owner.Subs {
		row := s.state.Subscriptions.get(sub)
		name := fmt.Sprintf("%d × %s", row.Items.Data[0].Quantity, s.named(row.Items.Data[0].Price))
		switch {
		case row.over():
			v.Rows = append(v.Rows, pageRow{name, "ended (" + row.Status + ")"})
		case row.CancelAtPeriodEnd:
			v.Rows = append(v.Rows, pageRow{name, row.Status + ", ends on " + date(int64(row.CancelAt))})
			v.Buttons = append(v.Buttons, button{"keep", sub, "Keep " + name})
		default:
			v.Rows = append(v.Rows, pageRow{name, row.Status + ", until " + date(row.CurrentPeriodEnd)})
			v.Buttons = append(v.Buttons, button{"end", sub, "Cancel " + name + " at the end of the period"})
		}
		if inv := s.state.Invoices.get(string(row.LatestInvoice)); inv != nil && inv.Status == open {
			v.Buttons = append(v.Buttons, button{"pay", inv.ID, "Pay invoice " + string(inv.Number)})
		}
	}
	v.Buttons = append(v.Buttons, cards("Change to")...)
	return v, nil
}

func (s *Server) doPortal(id, what, of string) (string, error) {
	_, owner, err := s.visitor(id)
	if err != nil {
		return "", err
	}
	switch what {
	case "pay":
		inv := s.state.Invoices.get(of)
		if inv == nil || string(inv.Customer) != owner.ID {
			return "", noSuch("invoice", of, "of")
		}
		return string(inv.HostedInvoiceURL), nil
	case "end", "keep":
		sub := s.state.Subscriptions.get(of)
		if sub == nil || string(sub.Customer) != owner.ID || sub.over() {
			return "", noSuch("subscription", of, "of")
		}
		ends := what == "end"
		return "", s.update(sub, updating{cancelAtEnd: &ends, proration: prorate, behavior: "allow_incomplete"})
	}
	if cardCalled(what) == nil {
		return "", unknownButton(what)
	}
	m, err := s.cardFor(what, owner)
	if err != nil {
		return "", err
	}
	s.useCard(owner, m)
	return "", nil
}

// useCard makes a card the one that everything is charged to.
func (s *Server) useCard(owner *customerRow, m *methodRow) {
	owner.InvoiceSettings.DefaultPaymentMethod = ref(m.ID)
	s.changedTo("customer.updated", owner)
	for _, id := range owner.Subs {
		if sub := s.state.Subscriptions.get(id); !sub.over() && sub.DefaultPaymentMethod != "" {
			sub.DefaultPaymentMethod = ref(m.ID)
			s.changedTo("customer.subscription.updated", sub)
		}
	}
}
