package purchase

import (
	"errors"
	"fmt"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

// failure is how an operation failed, as it is kept.
type failure struct {
	Code        fault.Code `json:"code"`
	Message     string     `json:"message"`
	DeclineCode string     `json:"declineCode,omitempty"`
}

// fault is what whoever asked hears.
func (f failure) fault() *fault.Fault {
	said := fault.New(f.Code, "%s", f.Message)
	if f.DeclineCode != "" {
		_ = said.With("declineCode", f.DeclineCode)
	}
	return said
}

// keysLive is how long an operation may go on: Stripe forgets idempotency keys after 24
// hours, and from then on a call could be done twice.
const keysLive = 20 * time.Hour

// givenUp is when an operation is ended that found no end by itself: it should have, at
// keysLive.
const givenUp = 22 * time.Hour

// errTooOld ends an operation whose keys cannot be relied on much longer.
var errTooOld = errors.New("the operation is too old to go on")

// failureOf is how an error ends an operation; nil: it does not, the operation goes on
// later. What is of an outage, or of nobody knows what, ends none.
func failureOf(err error) *failure {
	var said *fault.Fault
	var answer *stripeapi.Error
	switch {
	case errors.Is(err, errTooOld):
		return &failure{Code: fault.Unavailable, Message: fmt.Sprintf(
			"it was not finished within %s, after which a call could be done twice; reconcile the billing of the tenant to see what was made, then begin again", keysLive)}
	case errors.As(err, &said):
		if said.Code == fault.Unavailable || said.Code == fault.Internal {
			return nil
		}
		return &failure{Code: said.Code, Message: said.Message}
	case errors.As(err, &answer):
		return refusal(answer)
	}
	return nil
}

// refusal is what Stripe's own refusal ends an operation with; nil: it is none.
func refusal(answer *stripeapi.Error) *failure {
	switch answer.Kind {
	case stripeapi.Declined:
		return &failure{Code: fault.PaymentFailed, Message: "the payment was refused: " + answer.Message, DeclineCode: answer.DeclineCode}
	case stripeapi.Refused, stripeapi.NotFound:
		return &failure{Code: fault.InvalidInput, Message: "Stripe refuses it: " + answer.Message}
	}
	return nil
}

// pending tells that an operation is not finished. Detail retryAfter, in seconds, is there
// where it is only another runner's turn.
func pending(op operation, err error) error {
	said := fault.New(fault.Unavailable, "Stripe, or the database, did not answer; it goes on by itself, operation %s", op.ID)
	if errors.Is(err, errTaken) {
		said = fault.New(fault.Unavailable, "it is at work and goes on by itself, operation %s", op.ID).With("retryAfter", 1)
	}
	return said.With("operationId", op.ID).Because(err)
}
