package stripe

import (
	"slices"
	"strconv"
)

// invoiceItem is an amount that waits for an invoice; below 0 it is a credit.
type invoiceItem struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"`
	Amount            int64    `json:"amount"`
	Currency          string   `json:"currency"`
	Customer          ref      `json:"customer"`
	Date              int64    `json:"date"`
	Description       ref      `json:"description"`
	Discountable      bool     `json:"discountable"`
	Invoice           ref      `json:"invoice"`
	Livemode          bool     `json:"livemode"`
	Metadata          metadata `json:"metadata"`
	Period            span     `json:"period"`
	Plan              *plan    `json:"plan"`
	Price             *price   `json:"price"`
	Proration         bool     `json:"proration"`
	Quantity          int64    `json:"quantity"`
	Subscription      ref      `json:"subscription"`
	SubscriptionItem  string   `json:"subscription_item,omitempty"`
	TestClock         ref      `json:"test_clock"`
	UnitAmount        int64    `json:"unit_amount"`
	UnitAmountDecimal string   `json:"unit_amount_decimal"`
}

func (i *invoiceItem) ident() string { return i.ID }
func (i *invoiceItem) wire() any     { return i }
func (i *invoiceItem) clock() string { return string(i.TestClock) }

func (s *Server) newItem(owner *customerRow, amount int64, currency string) *invoiceItem {
	now := s.now(owner.clock())
	return &invoiceItem{ID: s.token("ii_"), Object: "invoiceitem", Amount: amount, Currency: currency, Customer: ref(owner.ID), Date: now, Discountable: true,
		Metadata: metadata{}, Period: span{now, now}, Quantity: 1, TestClock: owner.TestClock, UnitAmount: amount, UnitAmountDecimal: strconv.FormatInt(amount, 10)}
}

// keepItem keeps and tells an item, which then waits for an invoice.
func (s *Server) keepItem(owner *customerRow, item *invoiceItem) {
	s.state.Items.put(item)
	owner.Pending = append(owner.Pending, item.ID)
	s.tell("invoiceitem.created", item)
}

func (s *Server) dropItem(owner *customerRow, item *invoiceItem) {
	owner.Pending = slices.DeleteFunc(owner.Pending, func(id string) bool { return id == item.ID })
	s.state.Items.remove(item.ID)
	s.tell("invoiceitem.deleted", item)
}

// taken tells whether an invoice takes a pending item: one of the subscription takes its
// own and those of none, one without a subscription only those of none.
func taken(item *invoiceItem, sub *subscriptionRow) bool {
	return item.Subscription == "" || sub != nil && string(item.Subscription) == sub.ID
}

// takePending puts what waits into an invoice.
func (s *Server) takePending(inv *invoiceRow, owner *customerRow, sub *subscriptionRow) {
	var left []string
	for _, id := range owner.Pending {
		if item := s.state.Items.get(id); taken(item, sub) && item.Currency == inv.Currency {
			s.takeItem(inv, item)
		} else {
			left = append(left, id)
		}
	}
	owner.Pending = left
}

func (s *Server) pendingOf(owner *customerRow, sub *subscriptionRow) bool {
	return slices.ContainsFunc(owner.Pending, func(id string) bool { return taken(s.state.Items.get(id), sub) })
}

// pendingAmount is the sum of what waits and an invoice of the subscription would take.
func (s *Server) pendingAmount(owner *customerRow, sub *subscriptionRow) int64 {
	sum := int64(0)
	for _, id := range owner.Pending {
		if item := s.state.Items.get(id); taken(item, sub) && item.Currency == sub.Currency {
			sum += item.Amount
		}
	}
	return sum
}

// itemMaking is what an item by hand is made from.
type itemMaking struct {
	owner, currency, sub, invoice, price, description string
	amount, unit, quantity                            *int64
	start, end                                        *int64
	discountable                                      *bool
	metadata                                          map[string]string
}

func readItemMaking(in *form) itemMaking {
	period := in.sub("period")
	n := itemMaking{owner: in.need("customer"), sub: in.word("subscription"), invoice: in.word("invoice"), price: in.word("price"), description: in.word("description"),
		amount: in.whole("amount"), unit: in.whole("unit_amount"), quantity: in.whole("quantity"), start: period.whole("start"), end: period.whole("end"),
		discountable: in.yes("discountable"), metadata: in.metadata()}
	if n.price == "" && in.given("currency") {
		n.currency = in.currency()
	}
	if n.amount != nil && n.unit != nil {
		in.refuse(invalid("", "amount", "You may only specify one of these parameters: amount, unit_amount."))
	}
	if n.amount == nil && n.unit == nil && n.price == "" {
		in.refuse(invalid("parameter_missing", "amount", "Missing required param: amount."))
	}
	return n
}

func (s *Server) createItem(c *call) (any, error) {
	n := readItemMaking(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	owner, err := s.findCustomer(n.owner, "customer")
	if err != nil {
		return nil, err
	}
	item, err := s.makeLooseItem(owner, n)
	if err != nil {
		return nil, err
	}
	if e := roundly("amount", item.Amount, item.Currency); e != nil {
		return nil, e
	}
	inv, err := s.draftFor(owner, n.invoice)
	if err != nil {
		return nil, err
	}
	if owner.Currency == "" {
		owner.Currency = ref(item.Currency)
		s.changedTo("customer.updated", owner)
	}
	s.keepItem(owner, item)
	if inv != nil {
		owner.Pending = slices.DeleteFunc(owner.Pending, func(id string) bool { return id == item.ID })
		s.takeItem(inv, item)
		inv.show()
		s.changedTo("invoice.updated", inv)
	}
	return item, nil
}

// draftFor is the draft that an item was made for; nil where it waits for the next.
func (s *Server) draftFor(owner *customerRow, id string) (*invoiceRow, error) {
	if id == "" {
		return nil, nil
	}
	inv := s.state.Invoices.get(id)
	switch {
	case inv == nil || string(inv.Customer) != owner.ID:
		return nil, noSuch("invoice", id, "invoice")
	case inv.Status != draft:
		return nil, invalid("invoice_not_editable", "invoice", "This invoice is no longer editable.")
	}
	return inv, nil
}

func (s *Server) makeLooseItem(owner *customerRow, n itemMaking) (*invoiceItem, error) {
	item := s.newItem(owner, 0, n.currency)
	if n.quantity != nil {
		item.Quantity = *n.quantity
	}
	switch {
	case n.price != "":
		p, err := s.findPrice(n.price, "price")
		if err != nil {
			return nil, err
		}
		if p.Recurring != nil {
			return nil, invalid("", "price", "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.")
		}
		item.Price, item.UnitAmount, item.Currency = p, p.UnitAmount, p.Currency
	case n.unit != nil:
		item.UnitAmount = *n.unit
	default:
		item.UnitAmount, item.Quantity = *n.amount, 1
	}
	if item.Currency == "" {
		item.Currency = string(owner.Currency)
	}
	if item.Currency == "" || owner.Currency != "" && item.Currency != string(owner.Currency) {
		return nil, invalid("", "currency", "You cannot combine currencies on a single customer. This customer pays in %q; you asked for %q.", owner.Currency, item.Currency)
	}
	if sub := s.state.Subscriptions.get(n.sub); n.sub != "" && (sub == nil || string(sub.Customer) != owner.ID) {
		return nil, noSuch("subscription", n.sub, "subscription")
	} else if sub != nil && sub.over() {
		return nil, invalid("", "subscription", "The subscription %s is canceled and takes no more invoice items.", n.sub)
	}
	item.Amount, item.UnitAmountDecimal = item.UnitAmount*item.Quantity, strconv.FormatInt(item.UnitAmount, 10)
	item.Description, item.Subscription, item.Metadata = ref(n.description), ref(n.sub), metadata{}.merge(n.metadata)
	if n.start != nil && n.end != nil {
		item.Period = span{*n.start, *n.end}
	}
	if n.discountable != nil {
		item.Discountable = *n.discountable
	}
	return item, nil
}
