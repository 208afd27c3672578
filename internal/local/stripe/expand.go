package stripe

import (
	"bytes"
	"encoding/json"
	"strings"
)

// deepest is how many steps an expansion may have.
const deepest = 4

// expand puts the objects themselves where a reply has their ids.
func (s *Server) expand(v any, paths []string) (any, error) {
	tree, err := generic(v)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		steps := strings.Split(path, ".")
		if len(steps) > deepest+1 {
			return nil, unexpandable(path)
		}
		if tree, err = s.expandIn(tree, steps, path); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

func unexpandable(path string) error {
	return invalid("", "expand", "This property cannot be expanded (%s).", path)
}

func generic(v any) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(snapshot(v)))
	decoder.UseNumber()
	var tree any
	err := decoder.Decode(&tree)
	return tree, err
}

// expandIn returns the tree with what the steps lead to expanded.
func (s *Server) expandIn(tree any, steps []string, path string) (any, error) {
	if len(steps) == 0 || tree == nil {
		return tree, nil
	}
	switch node := tree.(type) {
	case []any:
		for i := range node {
			fresh, err := s.expandIn(node[i], steps, path)
			if err != nil {
				return nil, err
			}
			node[i] = fresh
		}
		return node, nil
	case map[string]any:
		return node, s.expandField(node, steps, path)
	}
	return nil, unexpandable(path)
}

func (s *Server) expandField(node map[string]any, steps []string, path string) error {
	value, there := node[steps[0]]
	fetched := !there
	if fetched {
		if value = s.hidden(node, steps[0]); value == nil {
			return unexpandable(path)
		}
	}
	if id, is := value.(string); is {
		if value = s.lookUp(steps[0], id); value == nil {
			return unexpandable(path)
		}
		fetched = true
	}
	if fetched {
		fresh, err := generic(value)
		if err != nil {
			return err
		}
		value = fresh
	}
	fresh, err := s.expandIn(value, steps[1:], path)
	node[steps[0]] = fresh
	return err
}

// lookUp is the object that a field's id names; nil where the field holds no id.
func (s *Server) lookUp(field, id string) any {
	var row object
	st := s.state
	switch field {
	case "customer":
		if c := st.Customers.get(id); c != nil && c.Gone {
			return &gone{ID: id, Object: c.Object, Deleted: true}
		} else if c != nil {
			row = c
		}
	case "subscription":
		if sub := st.Subscriptions.get(id); sub != nil {
			row = sub
		}
	case "invoice", "latest_invoice":
		if inv := st.Invoices.get(id); inv != nil {
			row = inv
		}
	case "charge", "latest_charge":
		if c := st.Charges.get(id); c != nil {
			row = c
		}
	case "payment_method", "default_payment_method":
		if m := st.Methods.get(id); m != nil {
			row = m
		}
	default:
		return s.lookUpPlain(field, id)
	}
	if row == nil {
		return nil
	}
	return row.wire()
}

func (s *Server) lookUpPlain(field, id string) any {
	switch field {
	case "payment_intent":
		if p := s.state.Intents.get(id); p != nil {
			return p
		}
	case "setup_intent":
		if i := s.state.SetupIntents.get(id); i != nil {
			return i
		}
	case "product":
		if p := s.state.Products.get(id); p != nil {
			return p
		}
	case "default_price", "price":
		if p := s.state.Prices.get(id); p != nil {
			return p
		}
	case "test_clock":
		if t := s.state.Clocks.get(id); t != nil {
			return t
		}
	}
	return nil
}

// hidden is a list that is shown only where it is expanded.
func (s *Server) hidden(node map[string]any, field string) any {
	id, _ := node["id"].(string)
	list := &page[any]{Object: "list", Data: []any{}}
	switch kind, _ := node["object"].(string); {
	case kind == "customer" && field == "subscriptions":
		list.URL = "/v1/customers/" + id + "/subscriptions"
		for _, sub := range s.state.Customers.get(id).Subs {
			if row := s.state.Subscriptions.get(sub); row.Status != statusCanceled {
				list.Data = append(list.Data, row.wire())
			}
		}
	case kind == "charge" && field == "refunds":
		list.URL = "/v1/charges/" + id + "/refunds"
		for _, r := range s.state.Refunds.all() {
			if string(r.Charge) == id {
				list.Data = append(list.Data, r)
			}
		}
	case kind == "checkout.session" && field == "line_items":
		list.URL = "/v1/checkout/sessions/" + id + "/line_items"
		for _, l := range s.sessionLines(s.state.Sessions.get(id)) {
			list.Data = append(list.Data, l)
		}
	default:
		return nil
	}
	return list
}
