package actions

import (
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
)

// changeInput is what every change may name: the tenant, and a key to say it once.
type changeInput struct {
	ownTenant
	idempotent
}

// check lets the change judge itself, and the key.
func (c changeInput) check(in purchase.Input, problems *fault.Problems) {
	in.Validate(problems)
	c.checkKey(problems)
}

type subscribeInput struct {
	changeInput
	Plan          string  `json:"plan"`
	PaymentMethod *string `json:"paymentMethod"`
}

func (in subscribeInput) asks() purchase.Input {
	return purchase.Subscribe{Plan: in.Plan, PaymentMethod: value(in.PaymentMethod)}
}

func (in *subscribeInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type changePlanInput struct {
	changeInput
	Plan string `json:"plan"`
}

func (in changePlanInput) asks() purchase.Input { return purchase.ChangePlan{Plan: in.Plan} }

func (in *changePlanInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type setAddonInput struct {
	changeInput
	Addon    string `json:"addon"`
	Quantity int    `json:"quantity"`
}

func (in setAddonInput) asks() purchase.Input {
	return purchase.SetAddon{Addon: in.Addon, Quantity: int64(in.Quantity)}
}

func (in *setAddonInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type setPaymentMethodInput struct {
	changeInput
	PaymentMethod string `json:"paymentMethod"`
}

func (in setPaymentMethodInput) asks() purchase.Input {
	return purchase.SetPaymentMethod{PaymentMethod: in.PaymentMethod}
}

func (in *setPaymentMethodInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type cancelInput struct {
	changeInput
	AtPeriodEnd *bool `json:"atPeriodEnd"`
}

func (in cancelInput) asks() purchase.Input {
	return purchase.Cancel{AtPeriodEnd: in.AtPeriodEnd == nil || *in.AtPeriodEnd}
}

func (in *cancelInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type resumeInput struct{ changeInput }

func (in resumeInput) asks() purchase.Input { return purchase.Resume{} }

func (in *resumeInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type checkoutInput struct {
	changeInput
	Plan       string  `json:"plan"`
	SuccessURL *string `json:"successUrl"`
	CancelURL  *string `json:"cancelUrl"`
}

func (in checkoutInput) asks() purchase.Input {
	return purchase.Checkout{Plan: in.Plan, SuccessURL: value(in.SuccessURL), CancelURL: value(in.CancelURL)}
}

func (in *checkoutInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}

type portalInput struct {
	changeInput
	ReturnURL *string `json:"returnUrl"`
}

func (in portalInput) asks() purchase.Input { return purchase.Portal{ReturnURL: value(in.ReturnURL)} }

func (in *portalInput) validate(_ session.Session, problems *fault.Problems) {
	in.check(in.asks(), problems)
}
