package purchase

import (
	"regexp"
	"time"

	"github.com/nself/tenancy/internal/fault"
)

// Input is one kind of change.
type Input interface {
	kind() string
	// Validate notes what is wrong with the input by itself.
	Validate(problems *fault.Problems)
}

// The kinds of operations, as billing.operations has them.
const (
	kindSubscribe        = "subscribe"
	kindChangePlan       = "change_plan"
	kindSetSeats         = "set_seats"
	kindSetAddon         = "set_addon"
	kindSetPaymentMethod = "set_payment_method"
	kindCancel           = "cancel"
	kindResume           = "resume"
	kindCheckout         = "checkout"
	kindPortal           = "portal"
	kindReportOverage    = "report_overage"
	kindStartClock       = "start_clock"
)

// Subscribe buys a plan.
type Subscribe struct {
	Plan          string `json:"plan"`
	PaymentMethod string `json:"paymentMethod,omitempty"` // empty: the customer's default, or none where a trial begins
}

// ChangePlan moves the subscription to another plan: to a dearer one at once, to a
// cheaper one for the next period, the present one being paid until then.
type ChangePlan struct {
	Plan string `json:"plan"`
}

// SetAddon sets how many of an add-on the subscription has.
type SetAddon struct {
	Addon    string `json:"addon"`
	Quantity int64  `json:"quantity"` // 0 removes it
}

// SetPaymentMethod makes the payment method the one that is charged, and pays with it
// what the subscription owes.
type SetPaymentMethod struct {
	PaymentMethod string `json:"paymentMethod"`
}

// Cancel ends the subscription.
type Cancel struct {
	AtPeriodEnd bool `json:"atPeriodEnd"` // false: now, and what is paid beyond now is credited
}

// Resume takes back a cancellation that is to come, and wakes a paused subscription.
type Resume struct{}

// Checkout opens a page of Stripe's where a plan is bought.
type Checkout struct {
	Plan       string `json:"plan"`
	SuccessURL string `json:"successUrl,omitempty"` // empty, as CancelURL: the tenant's host
	CancelURL  string `json:"cancelUrl,omitempty"`
}

// Portal opens Stripe's page for payment methods and invoices.
type Portal struct {
	ReturnURL string `json:"returnUrl,omitempty"` // empty: the tenant's host
}

// setSeats is begun by the Seats routine.
type setSeats struct{}

// reportOverage is begun by the Overages routine.
type reportOverage struct {
	Meter       string    `json:"meter"`
	PeriodStart time.Time `json:"periodStart"`
}

// startClock is begun by StartClock.
type startClock struct {
	At time.Time `json:"at"`
}

func (Subscribe) kind() string        { return kindSubscribe }
func (ChangePlan) kind() string       { return kindChangePlan }
func (SetAddon) kind() string         { return kindSetAddon }
func (SetPaymentMethod) kind() string { return kindSetPaymentMethod }
func (Cancel) kind() string           { return kindCancel }
func (Resume) kind() string           { return kindResume }
func (Checkout) kind() string         { return kindCheckout }
func (Portal) kind() string           { return kindPortal }
func (setSeats) kind() string         { return kindSetSeats }
func (reportOverage) kind() string    { return kindReportOverage }
func (startClock) kind() string       { return kindStartClock }

var (
	codeForm          = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	paymentMethodForm = regexp.MustCompile(`^[a-zA-Z0-9_]{3,255}$`)
)

// mostAddons is how many of one add-on a subscription has at most: Stripe's own bound is
// far above, and nobody means more.
const mostAddons = 1_000_000

func checkPlan(plan string, problems *fault.Problems) {
	if !codeForm.MatchString(plan) {
		problems.Add("plan", "is %.80q, which is no plan's code; the query plans lists them", plan)
	}
}

func checkPaymentMethod(method string, problems *fault.Problems) {
	if !paymentMethodForm.MatchString(method) {
		problems.Add("paymentMethod", "is %.80q; it must be the id of a payment method of Stripe's, such as pm_1Nabc", method)
	}
}

// Validate implements Input.
func (s Subscribe) Validate(problems *fault.Problems) {
	checkPlan(s.Plan, problems)
	if s.PaymentMethod != "" {
		checkPaymentMethod(s.PaymentMethod, problems)
	}
}

// Validate implements Input.
func (c ChangePlan) Validate(problems *fault.Problems) { checkPlan(c.Plan, problems) }

// Validate implements Input.
func (s SetAddon) Validate(problems *fault.Problems) {
	if !codeForm.MatchString(s.Addon) {
		problems.Add("addon", "is %.80q, which is no add-on's code; the query addons lists them", s.Addon)
	}
	if s.Quantity < 0 || s.Quantity > mostAddons {
		problems.Add("quantity", "is %d; it must be 0 (none) to %d", s.Quantity, mostAddons)
	}
}

// Validate implements Input.
func (s SetPaymentMethod) Validate(problems *fault.Problems) {
	checkPaymentMethod(s.PaymentMethod, problems)
}

// Validate implements Input: nothing can be wrong.
func (Cancel) Validate(*fault.Problems) {}

// Validate implements Input: nothing can be wrong.
func (Resume) Validate(*fault.Problems) {}

// Validate implements Input; where browsers may be sent is for Begin to say.
func (c Checkout) Validate(problems *fault.Problems) {
	checkPlan(c.Plan, problems)
	checkURL("successUrl", c.SuccessURL, problems)
	checkURL("cancelUrl", c.CancelURL, problems)
}

// Validate implements Input; where browsers may be sent is for Begin to say.
func (p Portal) Validate(problems *fault.Problems) { checkURL("returnUrl", p.ReturnURL, problems) }

func (setSeats) Validate(*fault.Problems)      {}
func (reportOverage) Validate(*fault.Problems) {}
func (startClock) Validate(*fault.Problems)    {}
