package stripe

import (
	"fmt"
	"net/http"
)

// apiError is Stripe's error envelope.
type apiError struct {
	status int
	early  bool // found before the call began to work: its Idempotency-Key stays free

	Charge        string         `json:"charge,omitempty"`
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	DocURL        string         `json:"doc_url,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	PaymentIntent *paymentIntent `json:"payment_intent,omitempty"`
	PaymentMethod *paymentMethod `json:"payment_method,omitempty"`
	Type          string         `json:"type"`
}

// Error tells the message and the code.
func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.Code, e.Message) }

// invalid is a request that Stripe would not carry out as it stands.
func invalid(code, param, format string, args ...any) *apiError {
	e := &apiError{status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
	if code != "" {
		e.DocURL = "https://stripe.com/docs/error-codes/" + code
	}
	return e
}

// noSuch is an id that names nothing: 404 in a path (param "id"), 400 in a parameter.
func noSuch(what, id, param string) *apiError {
	e := invalid("resource_missing", param, "No such %s: '%s'", what, id)
	if param == "id" {
		e.status = http.StatusNotFound
	}
	return e
}

// absent is an id in a path that names nothing, where Stripe calls the parameter otherwise.
func absent(what, id, param string) *apiError {
	e := noSuch(what, id, param)
	e.status = http.StatusNotFound
	return e
}

// declined is a card that its bank refused.
func declined(code, decline, message string) *apiError {
	return &apiError{status: http.StatusPaymentRequired, Type: "card_error", Code: code, DeclineCode: decline, Message: message,
		DocURL: "https://stripe.com/docs/error-codes/" + code}
}

func unauthorized(message string) *apiError {
	return &apiError{status: http.StatusUnauthorized, Type: "invalid_request_error", Message: message, early: true}
}
