package stripe

// paymentIntent is the wish to take an amount.
type paymentIntent struct {
	ID                 string        `json:"id"`
	Object             string        `json:"object"`
	Amount             int64         `json:"amount"`
	AmountCapturable   int64         `json:"amount_capturable"`
	AmountReceived     int64         `json:"amount_received"`
	CanceledAt         stamp         `json:"canceled_at"`
	CancellationReason ref           `json:"cancellation_reason"`
	CaptureMethod      string        `json:"capture_method"`
	ClientSecret       string        `json:"client_secret"`
	ConfirmationMethod string        `json:"confirmation_method"`
	Created            int64         `json:"created"`
	Currency           string        `json:"currency"`
	Customer           ref           `json:"customer"`
	Description        ref           `json:"description"`
	Invoice            ref           `json:"invoice"`
	LastPaymentError   *paymentError `json:"last_payment_error"`
	LatestCharge       ref           `json:"latest_charge"`
	Livemode           bool          `json:"livemode"`
	Metadata           metadata      `json:"metadata"`
	NextAction         *nextAction   `json:"next_action"`
	PaymentMethod      ref           `json:"payment_method"`
	PaymentMethodTypes []string      `json:"payment_method_types"`
	SetupFutureUsage   ref           `json:"setup_future_usage"`
	Status             string        `json:"status"`
}

type paymentError struct {
	Charge        ref            `json:"charge"`
	Code          string         `json:"code"`
	DeclineCode   ref            `json:"decline_code"`
	DocURL        string         `json:"doc_url"`
	Message       string         `json:"message"`
	PaymentMethod *paymentMethod `json:"payment_method"`
	Type          string         `json:"type"`
}

type nextAction struct {
	Type          string         `json:"type"`
	RedirectToURL redirectAction `json:"redirect_to_url"`
}

type redirectAction struct {
	ReturnURL ref    `json:"return_url"`
	URL       string `json:"url"`
}

// States of a payment intent.
const (
	needsMethod  = "requires_payment_method"
	needsConfirm = "requires_confirmation"
	needsAction  = "requires_action"
	succeeded    = "succeeded"
)

func (p *paymentIntent) ident() string { return p.ID }
func (p *paymentIntent) wire() any     { return p }

// intentObject lets a payment intent be told of on its customer's clock.
type intentObject struct {
	*paymentIntent
	by string
}

func (o intentObject) clock() string { return o.by }

// setupIntent is a card that was put in without a payment.
type setupIntent struct {
	ID            string   `json:"id"`
	Object        string   `json:"object"`
	Created       int64    `json:"created"`
	Customer      ref      `json:"customer"`
	Livemode      bool     `json:"livemode"`
	Metadata      metadata `json:"metadata"`
	PaymentMethod ref      `json:"payment_method"`
	Status        string   `json:"status"`
	Usage         string   `json:"usage"`
}

func (i *setupIntent) ident() string { return i.ID }

// outcome is how a try to take money ended.
type outcome int

const (
	paid outcome = iota
	unpaidNoCard
	unpaidDeclined
	unpaidAsks
)

// newIntent makes the payment intent of an invoice.
func (s *Server) newIntent(inv *invoiceRow) *paymentIntent {
	p := &paymentIntent{ID: s.token("pi_"), Object: "payment_intent", Amount: inv.AmountRemaining, CaptureMethod: "automatic",
		ConfirmationMethod: "automatic", Created: s.now(inv.clock()), Currency: inv.Currency, Customer: inv.Customer, Invoice: ref(inv.ID),
		Metadata: metadata{}, PaymentMethodTypes: []string{"card"}, Status: needsMethod, Description: "Subscription update"}
	p.ClientSecret = p.ID + "_secret_" + s.token("")
	if inv.BillingReason == reasonCreate {
		p.Description, p.SetupFutureUsage = "Subscription creation", "off_session"
	}
	s.state.Intents.put(p)
	s.tell("payment_intent.created", intentObject{p, inv.clock()})
	return p
}

// take tries to take the amount of an intent from a card; confirmed tells that the
// customer has authenticated it.
func (s *Server) take(p *paymentIntent, m *methodRow, confirmed bool) outcome {
	owner := s.state.Customers.get(string(p.Customer))
	told := intentObject{p, owner.clock()}
	p.PaymentMethod, p.NextAction, p.LastPaymentError = ref(m.ID), nil, nil
	if m.Does == cardAsks && !confirmed {
		p.Status = needsAction
		p.NextAction = &nextAction{Type: "redirect_to_url", RedirectToURL: redirectAction{URL: s.config.URL() + "/pages/intents/" + p.ID}}
		s.tell("payment_intent.requires_action", told)
		return unpaidAsks
	}
	c := s.charge(p, m, owner.clock())
	p.LatestCharge = ref(c.ID)
	if c.Status == "failed" {
		p.Status, p.PaymentMethod = needsMethod, ""
		p.LastPaymentError = &paymentError{Charge: ref(c.ID), Code: string(c.FailureCode), DeclineCode: "generic_decline", Message: string(c.FailureMessage),
			DocURL: "https://stripe.com/docs/error-codes/card-declined", PaymentMethod: &m.paymentMethod, Type: "card_error"}
		s.tell("charge.failed", c)
		s.tell("payment_intent.payment_failed", told)
		return unpaidDeclined
	}
	p.Status, p.AmountReceived = succeeded, p.Amount
	s.tell("charge.succeeded", c)
	s.tell("payment_intent.succeeded", told)
	return paid
}

func (s *Server) retrieveIntent(c *call) (any, error) {
	c.in.text("client_secret")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return s.findIntent(c.id)
}

func (s *Server) findIntent(id string) (*paymentIntent, error) {
	if p := s.state.Intents.get(id); p != nil {
		return p, nil
	}
	return nil, absent("payment_intent", id, "intent")
}

func (s *Server) listIntents(c *call) (any, error) {
	p, owner, created := c.in.paging(), c.in.word("customer"), c.in.within("created")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Intents, p, "/v1/payment_intents", func(row *paymentIntent) bool {
		return (owner == "" || string(row.Customer) == owner) && created.holds(row.Created)
	})
}

// confirmIntent tries to pay an invoice's intent, with the card named or the one it has.
func (s *Server) confirmIntent(c *call) (any, error) {
	method := c.in.word("payment_method")
	c.in.text("return_url")
	c.in.yes("off_session")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	p, err := s.findIntent(c.id)
	if err != nil {
		return nil, err
	}
	if p.Status == succeeded || p.Status == statusCanceled {
		return nil, invalid("payment_intent_unexpected_state", "", "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.")
	}
	if method == "" {
		method = string(p.PaymentMethod)
	}
	if method == "" {
		return nil, invalid("payment_intent_unexpected_state", "", "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.")
	}
	m, err := s.cardFor(method, s.state.Customers.get(string(p.Customer)))
	if err != nil {
		return nil, err
	}
	return p, s.settle(s.state.Invoices.get(string(p.Invoice)), m, false)
}

// cardFor is a card to pay with: one of the customer's, or a new one that becomes so.
func (s *Server) cardFor(id string, owner *customerRow) (*methodRow, error) {
	if m := s.state.Methods.get(id); m != nil && string(m.Customer) == owner.ID {
		return m, nil
	}
	if err := s.attachable(id, owner.ID); err != nil {
		return nil, err
	}
	return s.attachMethod(id, owner), nil
}
