package stripe

import (
	"net/url"
	"strings"
	"time"
)

// sessionFor is how long a checkout session is open where nothing else is asked for.
const sessionFor = 24 * time.Hour

type customerDetails struct {
	Address   any    `json:"address"`
	Email     ref    `json:"email"`
	Name      ref    `json:"name"`
	Phone     ref    `json:"phone"`
	TaxExempt string `json:"tax_exempt"`
	TaxIDs    []any  `json:"tax_ids"`
}

type session struct {
	ID                      string           `json:"id"`
	Object                  string           `json:"object"`
	AllowPromotionCodes     any              `json:"allow_promotion_codes"`
	AmountSubtotal          *int64           `json:"amount_subtotal"`
	AmountTotal             *int64           `json:"amount_total"`
	AutomaticTax            automaticTax     `json:"automatic_tax"`
	BillingAddress          any              `json:"billing_address_collection"`
	CancelURL               ref              `json:"cancel_url"`
	ClientReferenceID       ref              `json:"client_reference_id"`
	Created                 int64            `json:"created"`
	Currency                ref              `json:"currency"`
	Customer                ref              `json:"customer"`
	CustomerCreation        ref              `json:"customer_creation"`
	CustomerDetails         *customerDetails `json:"customer_details"`
	CustomerEmail           ref              `json:"customer_email"`
	ExpiresAt               int64            `json:"expires_at"`
	Invoice                 ref              `json:"invoice"`
	Livemode                bool             `json:"livemode"`
	Locale                  ref              `json:"locale"`
	Metadata                metadata         `json:"metadata"`
	Mode                    string           `json:"mode"`
	PaymentIntent           ref              `json:"payment_intent"`
	PaymentMethodCollection ref              `json:"payment_method_collection"`
	PaymentMethodTypes      []string         `json:"payment_method_types"`
	PaymentStatus           string           `json:"payment_status"`
	SetupIntent             ref              `json:"setup_intent"`
	Status                  string           `json:"status"`
	Subscription            ref              `json:"subscription"`
	SuccessURL              ref              `json:"success_url"`
	UIMode                  string           `json:"ui_mode"`
	URL                     ref              `json:"url"`
}

// wish is one of line_items[].
type wish struct {
	Price    string
	Quantity int64
}

// sessionRow is a session with what it will make.
type sessionRow struct {
	session
	Wishes    []wish   `json:"_wishes,omitempty"`
	TrialDays *int64   `json:"_trial_days,omitempty"`
	TrialEnd  *int64   `json:"_trial_end,omitempty"`
	Anchor    *int64   `json:"_anchor,omitempty"`
	Missing   string   `json:"_missing,omitempty"`
	Proration string   `json:"_proration,omitempty"`
	About     string   `json:"_about,omitempty"`
	Meta      metadata `json:"_meta,omitempty"` // of the subscription or setup intent
	Clock     string   `json:"_clock,omitempty"`
}

func (r *sessionRow) ident() string { return r.ID }
func (r *sessionRow) wire() any     { return &r.session }
func (r *sessionRow) clock() string { return r.Clock }

// next is when an open session expires.
func (r *sessionRow) next() int64 {
	if r.Status == "open" {
		return r.ExpiresAt
	}
	return 0
}

func readSession(in *form) *sessionRow {
	in.need("mode")
	row := &sessionRow{session: session{Object: "checkout.session", Mode: in.choice("mode", "subscription", "setup"), SuccessURL: ref(in.need("success_url")),
		CancelURL: ref(in.word("cancel_url")), ClientReferenceID: ref(in.word("client_reference_id")), Customer: ref(in.word("customer")),
		CustomerEmail: ref(in.word("customer_email")), Locale: ref(in.word("locale")), Currency: ref(in.word("currency")), Metadata: metadata{}.merge(in.metadata()),
		PaymentMethodTypes: []string{"card"}, PaymentStatus: "unpaid", Status: "open", UIMode: "hosted"}}
	for _, field := range []ref{row.SuccessURL, row.CancelURL} {
		if u, err := url.Parse(string(field)); field != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			in.refuse(invalid("url_invalid", "success_url", "Not a valid URL"))
		}
	}
	row.PaymentMethodCollection = ref(in.choice("payment_method_collection", "always", "if_required"))
	in.texts("payment_method_types")
	in.choice("ui_mode", "hosted")
	in.choice("customer_creation", "always", "if_required")
	in.choice("billing_address_collection", "auto", "required")
	in.yes("allow_promotion_codes")
	if at := in.whole("expires_at"); at != nil {
		row.ExpiresAt = *at
	}
	if row.Customer != "" && row.CustomerEmail != "" {
		in.refuse(invalid("", "customer_email", "You may only specify one of these parameters: customer, customer_email."))
	}
	if row.Mode == "setup" {
		row.Meta = metadata{}.merge(in.sub("setup_intent_data").metadata())
		return row
	}
	return readWishes(in, row)
}

func readWishes(in *form, row *sessionRow) *sessionRow {
	if row.PaymentMethodCollection == "" {
		row.PaymentMethodCollection = "always"
	}
	for _, f := range in.list("line_items") {
		w := wish{Price: f.need("price"), Quantity: 1}
		if quantity := f.whole("quantity"); quantity != nil {
			w.Quantity = *quantity
		} else {
			f.need("quantity")
		}
		row.Wishes = append(row.Wishes, w)
	}
	if len(row.Wishes) == 0 {
		in.refuse(invalid("parameter_missing", "line_items", "Missing required param: line_items."))
	}
	n := readTrial(in.sub("subscription_data"))
	row.TrialDays, row.TrialEnd, row.Anchor, row.Missing, row.Proration = n.trialDays, n.trialEnd, n.anchor, n.missing, n.proration
	row.About, row.Meta = n.description, metadata{}.merge(n.metadata)
	return row
}

func (s *Server) createSession(c *call) (any, error) {
	row := readSession(c.in)
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if row.Customer != "" {
		owner, err := s.findCustomer(string(row.Customer), "customer")
		if err != nil {
			return nil, err
		}
		row.Clock = owner.clock()
		row.CustomerDetails = &customerDetails{Email: owner.Email, Name: owner.Name, TaxExempt: "none", TaxIDs: []any{}}
	}
	var beside []*subscriptionItem
	sum := int64(0)
	for _, w := range row.Wishes {
		p, err := s.subscribable(w.Price, beside)
		if err != nil {
			return nil, err
		}
		beside = append(beside, &subscriptionItem{Price: p})
		row.Currency = ref(p.Currency)
		sum += p.UnitAmount * w.Quantity
	}
	if row.Mode == "subscription" {
		if row.TrialDays != nil || row.TrialEnd != nil {
			sum = 0
		}
		row.AmountSubtotal, row.AmountTotal = &sum, &sum
	}
	row.ID, row.Created = s.token("cs_test_"), s.now(row.Clock)
	if row.ExpiresAt == 0 {
		row.ExpiresAt = row.Created + int64(sessionFor.Seconds())
	} else if row.ExpiresAt < row.Created+1800 || row.ExpiresAt > row.Created+int64(sessionFor.Seconds()) {
		return nil, invalid("", "expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
	}
	row.URL = ref(s.config.URL() + "/pages/checkout/" + row.ID)
	s.state.Sessions.put(row)
	s.plan(row)
	return row.wire(), nil
}

func (s *Server) findSession(id string) (*sessionRow, error) {
	if row := s.state.Sessions.get(id); row != nil {
		return row, nil
	}
	return nil, absent("checkout.session", id, "session")
}

func (s *Server) retrieveSession(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findSession(c.id)
	if err != nil {
		return nil, err
	}
	return row.wire(), nil
}

func (s *Server) listSessions(c *call) (any, error) {
	p, owner, sub := c.in.paging(), c.in.word("customer"), c.in.word("subscription")
	status, created := c.in.choice("status", "open", "complete", "expired"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Sessions, p, "/v1/checkout/sessions", func(row *sessionRow) bool {
		return (owner == "" || string(row.Customer) == owner) && (sub == "" || string(row.Subscription) == sub) && (status == "" || row.Status == status) && created.holds(row.Created)
	})
}

func (s *Server) expireByHand(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findSession(c.id)
	if err != nil {
		return nil, err
	}
	if row.Status != "open" {
		return nil, invalid("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of %s.", row.Status)
	}
	s.expireSession(row)
	return row.wire(), nil
}

func (s *Server) expireSession(row *sessionRow) {
	row.Status, row.URL = "expired", ""
	s.tell("checkout.session.expired", row)
}

// successURL is where the customer goes from a session that is complete.
func (r *sessionRow) successURL() string {
	return strings.ReplaceAll(string(r.SuccessURL), "{CHECKOUT_SESSION_ID}", r.ID)
}

type sessionLine struct {
	ID             string `json:"id"`
	Object         string `json:"object"`
	AmountSubtotal int64  `json:"amount_subtotal"`
	AmountTotal    int64  `json:"amount_total"`
	Currency       string `json:"currency"`
	Description    string `json:"description"`
	Price          *price `json:"price"`
	Quantity       int64  `json:"quantity"`
}

func (s *Server) sessionLines(row *sessionRow) []sessionLine {
	var lines []sessionLine
	for _, w := range row.Wishes {
		p := s.state.Prices.get(w.Price)
		lines = append(lines, sessionLine{ID: "li_" + row.ID[8:16] + p.ID[6:14], Object: "item", AmountSubtotal: p.UnitAmount * w.Quantity, AmountTotal: p.UnitAmount * w.Quantity,
			Currency: p.Currency, Description: s.named(p), Price: p, Quantity: w.Quantity})
	}
	return lines
}
