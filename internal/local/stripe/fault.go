package stripe

import "time"

// Call is one call of the API, as Config.Fault is told of it.
type Call struct {
	Method string
	Path   string // with /v1 in front, without the query
	Key    string // the Idempotency-Key; "" where none was sent
	N      int    // counts the calls of this server from 1
}

// Fault is what shall go wrong with a call. The zero Fault lets it be.
type Fault struct {
	Kind FaultKind
	Wait time.Duration // real time slept before the call is done, outside the lock
}

// FaultKind is a way for a call to go wrong.
type FaultKind int

// The ways. An error "stored" is what every later call with the same Idempotency-Key gets.
const (
	FaultNone        FaultKind = iota
	FaultRateLimit             // 429 rate_limit: not done, not stored
	FaultLockTimeout           // 409 lock_timeout: not done, not stored
	FaultDecline               // 402 card_declined: not done, stored
	FaultErrorUndone           // 500: not done, stored
	FaultErrorDone             // 500: done all the same, stored
	FaultDropBefore            // the connection ends before anything is done
	FaultDropAfter             // done and stored; the connection ends before the reply
)

// refusal is the error that a fault answers with; nil where it answers with none.
func (k FaultKind) refusal() *apiError {
	switch k {
	case FaultRateLimit:
		return &apiError{status: 429, Type: "invalid_request_error", Code: "rate_limit", early: true,
			Message: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."}
	case FaultLockTimeout:
		return &apiError{status: 409, Type: "invalid_request_error", Code: "lock_timeout", early: true,
			Message: "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request."}
	case FaultDecline:
		return declined("card_declined", "generic_decline", "Your card was declined.")
	case FaultErrorUndone, FaultErrorDone:
		return &apiError{status: 500, Type: "api_error", Message: "An unknown error occurred"}
	default:
		return nil
	}
}
