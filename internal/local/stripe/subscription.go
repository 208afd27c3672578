package stripe

// States of a subscription.
const (
	statusIncomplete = "incomplete"
	statusExpired    = "incomplete_expired"
	statusTrialing   = "trialing"
	statusActive     = "active"
	statusPastDue    = "past_due"
	statusUnpaid     = "unpaid"
	statusPaused     = "paused"
	statusCanceled   = "canceled"
)

// Times of a subscription's life, in seconds.
const (
	incompleteFor = 23 * 3600     // how long a first payment may take
	trialNotice   = 3 * 24 * 3600 // how long before its end a trial is told to end
)

// plan is the older view of a price.
type plan struct {
	ID            string   `json:"id"`
	Object        string   `json:"object"`
	Active        bool     `json:"active"`
	Amount        int64    `json:"amount"`
	BillingScheme string   `json:"billing_scheme"`
	Created       int64    `json:"created"`
	Currency      string   `json:"currency"`
	Interval      string   `json:"interval"`
	IntervalCount int64    `json:"interval_count"`
	Livemode      bool     `json:"livemode"`
	Metadata      metadata `json:"metadata"`
	Nickname      ref      `json:"nickname"`
	Product       string   `json:"product"`
	UsageType     string   `json:"usage_type"`
}

func (p *price) plan() *plan {
	if p.Recurring == nil {
		return nil
	}
	return &plan{ID: p.ID, Object: "plan", Active: p.Active, Amount: p.UnitAmount, BillingScheme: p.BillingScheme, Created: p.Created, Currency: p.Currency,
		Interval: p.Recurring.Interval, IntervalCount: p.Recurring.IntervalCount, Metadata: p.Metadata, Nickname: p.Nickname, Product: p.Product,
		UsageType: p.Recurring.UsageType}
}

type subscriptionItem struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"`
	BillingThresholds any      `json:"billing_thresholds"`
	Created           int64    `json:"created"`
	Metadata          metadata `json:"metadata"`
	Plan              *plan    `json:"plan"`
	Price             *price   `json:"price"`
	Quantity          int64    `json:"quantity"`
	Subscription      string   `json:"subscription"`
	TaxRates          []string `json:"tax_rates"`
}

func (i *subscriptionItem) price(p *price) { i.Price, i.Plan = p, p.plan() }

func (i *subscriptionItem) amount() int64 { return i.Price.UnitAmount * i.Quantity }

type cancellationDetails struct {
	Comment  ref `json:"comment"`
	Feedback ref `json:"feedback"`
	Reason   ref `json:"reason"`
}

type pauseCollection struct {
	Behavior  string `json:"behavior"`
	ResumesAt stamp  `json:"resumes_at"`
}

type paymentSettings struct {
	PaymentMethodOptions     any `json:"payment_method_options"`
	PaymentMethodTypes       any `json:"payment_method_types"`
	SaveDefaultPaymentMethod ref `json:"save_default_payment_method"`
}

type endBehavior struct {
	MissingPaymentMethod string `json:"missing_payment_method"`
}

type trialSettings struct {
	EndBehavior endBehavior `json:"end_behavior"`
}

type subscription struct {
	ID                    string                  `json:"id"`
	Object                string                  `json:"object"`
	AutomaticTax          automaticTax            `json:"automatic_tax"`
	BillingCycleAnchor    int64                   `json:"billing_cycle_anchor"`
	BillingThresholds     any                     `json:"billing_thresholds"`
	CancelAt              stamp                   `json:"cancel_at"`
	CancelAtPeriodEnd     bool                    `json:"cancel_at_period_end"`
	CanceledAt            stamp                   `json:"canceled_at"`
	CancellationDetails   cancellationDetails     `json:"cancellation_details"`
	CollectionMethod      string                  `json:"collection_method"`
	Created               int64                   `json:"created"`
	Currency              string                  `json:"currency"`
	CurrentPeriodEnd      int64                   `json:"current_period_end"`
	CurrentPeriodStart    int64                   `json:"current_period_start"`
	Customer              ref                     `json:"customer"`
	DaysUntilDue          any                     `json:"days_until_due"`
	DefaultPaymentMethod  ref                     `json:"default_payment_method"`
	DefaultSource         ref                     `json:"default_source"`
	Description           ref                     `json:"description"`
	Discount              any                     `json:"discount"`
	EndedAt               stamp                   `json:"ended_at"`
	Items                 page[*subscriptionItem] `json:"items"`
	LatestInvoice         ref                     `json:"latest_invoice"`
	Livemode              bool                    `json:"livemode"`
	Metadata              metadata                `json:"metadata"`
	PauseCollection       *pauseCollection        `json:"pause_collection"`
	PaymentSettings       paymentSettings         `json:"payment_settings"`
	PendingSetupIntent    ref                     `json:"pending_setup_intent"`
	PendingUpdate         any                     `json:"pending_update"`
	Plan                  *plan                   `json:"plan"`
	Quantity              *int64                  `json:"quantity"`
	Schedule              ref                     `json:"schedule"`
	StartDate             int64                   `json:"start_date"`
	Status                string                  `json:"status"`
	TestClock             ref                     `json:"test_clock"`
	TrialEnd              stamp                   `json:"trial_end"`
	TrialSettings         trialSettings           `json:"trial_settings"`
	TrialStart            stamp                   `json:"trial_start"`
	PendingItemInterval   any                     `json:"pending_invoice_item_interval"`
	NextPendingItemsDrawn any                     `json:"next_pending_invoice_item_invoice"`
}

// subscriptionRow is a subscription with what the API does not show.
type subscriptionRow struct {
	subscription
	Invoices []string `json:"_invoices,omitempty"` // the oldest first
	Noticed  bool     `json:"_noticed,omitempty"`  // the end of the trial was told
}

func (r *subscriptionRow) ident() string { return r.ID }
func (r *subscriptionRow) clock() string { return string(r.TestClock) }

func (r *subscriptionRow) wire() any {
	if len(r.Items.Data) <= linesShown {
		return &r.subscription
	}
	shown := r.subscription
	shown.Items.Data, shown.Items.HasMore = r.Items.Data[:linesShown], true
	return &shown
}

// over tells whether nothing more can happen to it.
func (r *subscriptionRow) over() bool {
	return r.Status == statusCanceled || r.Status == statusExpired
}

// next is the earliest moment at which something happens to it by itself.
func (r *subscriptionRow) next() int64 {
	if r.over() {
		return 0
	}
	if r.Status == statusIncomplete {
		return r.Created + incompleteFor
	}
	at := int64(0)
	earlier := func(t int64) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	earlier(int64(r.CancelAt))
	if r.PauseCollection != nil {
		earlier(int64(r.PauseCollection.ResumesAt))
	}
	if r.Status != statusPaused {
		earlier(r.CurrentPeriodEnd)
	}
	if r.Status == statusTrialing && !r.Noticed {
		earlier(int64(r.TrialEnd) - trialNotice)
	}
	return at
}

// setItems puts the items in, and the one's plan where there is just one.
func (r *subscriptionRow) setItems(items []*subscriptionItem) {
	r.Items = page[*subscriptionItem]{Object: "list", Data: items, URL: "/v1/subscription_items?subscription=" + r.ID}
	r.Plan, r.Quantity = nil, nil
	if len(items) == 1 {
		quantity := items[0].Quantity
		r.Plan, r.Quantity = items[0].Plan, &quantity
	}
}

// every is the interval of its items, which all have the same.
func (r *subscriptionRow) every() *recurring { return r.Items.Data[0].Price.Recurring }

// amount is what one period costs.
func (r *subscriptionRow) amount() int64 {
	sum := int64(0)
	for _, item := range r.Items.Data {
		sum += item.amount()
	}
	return sum
}

func (s *Server) findSubscription(id string) (*subscriptionRow, error) {
	if row := s.state.Subscriptions.get(id); row != nil {
		return row, nil
	}
	return nil, noSuch("subscription", id, "id")
}

func (s *Server) retrieveSubscription(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	row, err := s.findSubscription(c.id)
	if err != nil {
		return nil, err
	}
	return row.wire(), nil
}

func (s *Server) listSubscriptions(c *call) (any, error) {
	p, owner, price, clock := c.in.paging(), c.in.word("customer"), c.in.word("price"), c.in.text("test_clock")
	status := c.in.choice("status", "all", "ended", statusActive, statusCanceled, statusIncomplete, statusExpired, statusPastDue, statusPaused, statusTrialing, statusUnpaid)
	created, ends := c.in.within("created"), c.in.within("current_period_end")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Subscriptions, p, "/v1/subscriptions", func(row *subscriptionRow) bool {
		if clock != nil && string(row.TestClock) != *clock || clock == nil && owner == "" && row.TestClock != "" {
			return false
		}
		return (owner == "" || string(row.Customer) == owner) && row.listed(status) && row.has(price) && created.holds(row.Created) && ends.holds(row.CurrentPeriodEnd)
	})
}

// listed tells whether a list of a status holds it; "" leaves out the canceled ones.
func (r *subscriptionRow) listed(status string) bool {
	switch status {
	case "all":
		return true
	case "":
		return r.Status != statusCanceled
	case "ended":
		return r.over()
	}
	return r.Status == status
}

func (r *subscriptionRow) has(price string) bool {
	for _, item := range r.Items.Data {
		if item.Price.ID == price {
			return true
		}
	}
	return price == ""
}
