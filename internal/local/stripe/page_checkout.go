package stripe

import "fmt"

func (s *Server) showCheckout(id string) (*view, error) {
	row, err := s.findSession(id)
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Checkout", Rows: []pageRow{{"Status", row.Status}}}
	for _, l := range s.sessionLines(row) {
		v.Rows = append(v.Rows, pageRow{fmt.Sprintf("%d × %s", l.Quantity, l.Description), money(l.AmountTotal, l.Currency) + " / " + l.Price.Recurring.every()})
	}
	if row.TrialDays != nil {
		v.Rows = append(v.Rows, pageRow{"Trial", fmt.Sprintf("%d days", *row.TrialDays)})
	}
	if row.AmountTotal != nil {
		v.Rows = append(v.Rows, pageRow{"Due today", money(*row.AmountTotal, string(row.Currency))})
	}
	if row.Status != "open" {
		v.Back = row.successURL()
		return v, nil
	}
	v.Buttons = cards("Pay with")
	if row.Mode == "setup" {
		v.Title, v.Buttons = "Save a card", cards("Save")
	}
	if row.CancelURL != "" {
		v.Buttons = append(v.Buttons, button{"cancel", "", "Go back without paying"})
	}
	return v, nil
}

func (s *Server) doCheckout(id, what, _ string) (string, error) {
	row, err := s.findSession(id)
	switch {
	case err != nil:
		return "", err
	case what == "cancel" && row.CancelURL != "":
		return string(row.CancelURL), nil
	case row.Status != "open":
		return "", invalid("", "", "This checkout is %s.", row.Status)
	case cardCalled(what) == nil:
		return "", unknownButton(what)
	}
	if err := s.completeSession(row, what); err != nil {
		return "", err
	}
	return row.successURL(), nil
}
