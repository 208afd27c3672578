package stripeapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/stripe/stripe-go/v76"
)

// Kind is what an error means to those who called.
type Kind string

// The kinds.
const (
	NotFound Kind = "not found" // Stripe has no object of that id, or none could have it
	Declined Kind = "declined"  // a payment did not go through
	Refused  Kind = "refused"   // the call was wrong, or the object does not allow it; nothing was done
	Busy     Kind = "busy"      // there were too many calls, or one is at work on the same: the same key may be used again
	Stored   Kind = "failed"    // 5xx, and the same to this key from now on; whether it was done is to be looked up
	Lost     Kind = "no answer" // or none that was Stripe's: the same key may be used again
	WrongKey Kind = "wrong key" // the secret key is not accepted, or not for this
)

// Error is a call that failed. What it says carries no key and no secret.
type Error struct {
	Kind        Kind
	Status      int    // of HTTP; 0: there was no answer
	Code        string // Stripe's, such as resource_missing
	DeclineCode string // why the bank declined, where it says so
	Param       string // the parameter that is wrong, where Stripe says so
	Message     string // for people
	RequestID   string // Stripe's name of the call; empty: none
	cause       error
}

// Error is one line for logs.
func (e *Error) Error() string {
	words := []string{string(e.Kind)}
	if e.Status != 0 {
		words = append(words, fmt.Sprintf("status %d", e.Status))
	}
	for _, word := range []string{e.Code, e.DeclineCode, e.Param, e.RequestID} {
		if word != "" {
			words = append(words, word)
		}
	}
	return fmt.Sprintf("stripe: %s (%s)", e.Message, strings.Join(words, ", "))
}

// Unwrap is the cause of a lost answer, such as context.Canceled; nil where Stripe answered.
func (e *Error) Unwrap() error { return e.cause }

// Is says whether err is, or wraps, a failed call of the kind.
func Is(err error, kind Kind) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Kind == kind
}

// secrets are what Stripe calls keys and secrets: its own sentences show parts of them.
var secrets = regexp.MustCompile(`\b((sk|rk|pk)_(test|live)|whsec|ek_(test|live))_[A-Za-z0-9_*]+|\b[a-z]+_[A-Za-z0-9]+_secret_[A-Za-z0-9]+`)

func scrub(text string) string { return secrets.ReplaceAllString(text, "[secret]") }

func failed(err error) error {
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return lost(err)
	}
	return &Error{
		Kind:        kindOf(answer),
		Status:      answer.HTTPStatusCode,
		Code:        string(answer.Code),
		DeclineCode: string(answer.DeclineCode),
		Param:       scrub(answer.Param),
		Message:     scrub(answer.Msg),
		RequestID:   answer.RequestID,
	}
}

func kindOf(answer *stripe.Error) Kind {
	switch status := answer.HTTPStatusCode; {
	case status >= http.StatusInternalServerError:
		return Stored
	case status == http.StatusPaymentRequired:
		return Declined
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusConflict, status == http.StatusTooManyRequests:
		return Busy
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return WrongKey
	default:
		return Refused
	}
}

// lost tells of a call without an answer of Stripe's. The library's own sentences quote what
// was read, which may be a secret: they are left out. So is what an address asks for, which
// may be somebody's.
func lost(err error) error {
	var network *url.Error
	if errors.As(err, &network) {
		address, _, _ := strings.Cut(network.URL, "?")
		return &Error{Kind: Lost, Message: scrub(fmt.Sprintf("%s %s: %v", network.Op, address, network.Err)), cause: network.Err}
	}
	return &Error{Kind: Lost, Message: "what came back is no answer of Stripe's"}
}

func refused(format string, args ...any) error {
	return &Error{Kind: Refused, Message: fmt.Sprintf(format, args...)}
}
