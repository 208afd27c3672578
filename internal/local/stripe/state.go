package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is all that is kept, as the file holds it.
type state struct {
	Serial        int64
	Account       account
	Clocks        table[*testClock]
	Customers     table[*customerRow]
	Methods       table[*methodRow]
	Products      table[*product]
	Prices        table[*price]
	Subscriptions table[*subscriptionRow]
	Invoices      table[*invoiceRow]
	Items         table[*invoiceItem]
	Intents       table[*paymentIntent]
	SetupIntents  table[*setupIntent]
	Charges       table[*chargeRow]
	Refunds       table[*refund]
	Sessions      table[*sessionRow]
	Portals       table[*portal]
	Endpoints     table[*endpointRow]
	Events        table[*eventRow]
	Keys          map[string]*replay // by Idempotency-Key

	agendas map[string]*agenda // by test clock; "" is that of Config.Now
	seen    map[string][]byte  // each object as its last event told it
}

func newState() *state {
	return &state{Keys: map[string]*replay{}, agendas: map[string]*agenda{}, seen: map[string][]byte{}}
}

// load reads the file, where there is one.
func (s *Server) load() error {
	defer func() {
		if s.state.Account.ID == "" {
			s.state.Account = s.newAccount()
		}
	}()
	if s.config.File == "" {
		return nil
	}
	data, err := os.ReadFile(s.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the stripe stand-in: %w", err)
	}
	if err := json.Unmarshal(data, s.state); err != nil {
		return fmt.Errorf("the stripe stand-in: %s holds no state of it (%w); remove the file to begin anew", s.config.File, err)
	}
	s.forget()
	s.relink()
	return nil
}

// relink makes what the file does not hold: shared prices, agendas, what was last told.
func (s *Server) relink() {
	st := s.state
	for _, sub := range st.Subscriptions.all() {
		for _, item := range sub.Items.Data {
			item.price(st.Prices.get(item.Price.ID))
		}
		s.plan(sub)
		s.remember(sub)
	}
	for _, inv := range st.Invoices.all() {
		inv.show()
		s.plan(inv)
		s.remember(inv)
	}
	for _, session := range st.Sessions.all() {
		s.plan(session)
	}
	for _, c := range st.Customers.all() {
		s.remember(c)
	}
	for _, m := range st.Methods.all() {
		s.remember(m)
	}
	for _, p := range st.Products.all() {
		s.remember(p)
	}
	for _, p := range st.Prices.all() {
		s.remember(p)
	}
}

// save writes the file where anything has changed since the last time.
func (s *Server) save() error {
	if s.config.File == "" || !s.changed {
		return nil
	}
	data, err := json.Marshal(s.state)
	if err != nil {
		return fmt.Errorf("the stripe stand-in: %w", err)
	}
	fresh := s.config.File + ".new"
	if err := errors.Join(os.MkdirAll(filepath.Dir(fresh), 0o700), os.WriteFile(fresh, data, 0o600)); err != nil {
		return fmt.Errorf("the stripe stand-in: %w", err)
	}
	if err := os.Rename(fresh, s.config.File); err != nil {
		return fmt.Errorf("the stripe stand-in: %w", err)
	}
	s.changed = false
	return nil
}
