// Package fault is the closed list of what can go wrong for a caller. Nouns return
// faults; each door turns them into its own dialect. Any other error is a bug or an
// outage and is answered as "internal" without its text.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code names a fault for programs. Codes are published (docs/errors.md) and never change.
type Code string

// The published codes.
const (
	InvalidInput         Code = "invalid-input"
	InvalidJSON          Code = "invalid-json"
	UnsupportedMedia     Code = "unsupported-media-type"
	PayloadTooLarge      Code = "payload-too-large"
	UnknownAction        Code = "unknown-action"
	BadWebhookSecret     Code = "bad-webhook-secret"
	InvalidSession       Code = "invalid-session"
	Forbidden            Code = "forbidden"
	TenantRequired       Code = "tenant-required"
	TenantNotActive      Code = "tenant-not-active"
	NotAMember           Code = "not-a-member"
	RoleChanged          Code = "role-changed"
	NotFound             Code = "not-found"
	SlugTaken            Code = "slug-taken"
	SlugReserved         Code = "slug-reserved"
	WrongStatus          Code = "wrong-status"
	ConfirmationMismatch Code = "confirmation-mismatch"
	LastOwner            Code = "last-owner"
	AlreadyMember        Code = "already-member"
	AlreadyInvited       Code = "already-invited"
	InvitationEnded      Code = "invitation-ended"
	TransferEnded        Code = "transfer-ended"
	QuotaExceeded        Code = "quota-exceeded"
	ReservationEnded     Code = "reservation-ended"
	SessionEnded         Code = "session-ended"
	InvalidToken         Code = "invalid-token"
	InvalidGrant         Code = "invalid-grant"
	LinkEnded            Code = "link-ended"
	WrongCode            Code = "wrong-code"
	WrongTenant          Code = "wrong-tenant"
	TooManyRequests      Code = "too-many-requests"
	IdempotencyKeyReused Code = "idempotency-key-reused"
	AlreadySubscribed    Code = "already-subscribed"
	NoSubscription       Code = "no-subscription"
	PaymentFailed        Code = "payment-failed"
	OperationInProgress  Code = "operation-in-progress"
	BillingDisabled      Code = "billing-disabled"
	BudgetExceeded       Code = "budget-exceeded"
	TenantMigration      Code = "tenant-migration-failed"
	Unavailable          Code = "unavailable"
	Internal             Code = "internal"
)

// Codes lists every published code with the sentence that explains it to whoever
// programs against it.
var Codes = []struct {
	Code    Code
	Meaning string
}{
	{InvalidInput, "One or more arguments are wrong; `problems` names each with what to do."},
	{InvalidJSON, "The request body is not the JSON this door expects."},
	{UnsupportedMedia, "The request body is not sent as application/json."},
	{PayloadTooLarge, "The request body is larger than the limit."},
	{UnknownAction, "No action has this name."},
	{BadWebhookSecret, "The header X-Webhook-Secret, or Stripe's signature, is missing or wrong."},
	{InvalidSession, "The session variables are malformed, or name no role or user."},
	{Forbidden, "The role may not do this."},
	{TenantRequired, "The session names no tenant, or the operator named none."},
	{TenantNotActive, "The session's tenant is suspended or deleted; `status` says which."},
	{NotAMember, "The caller is no longer a member of the session's tenant."},
	{RoleChanged, "The caller's role changed since the token was minted; mint a new one."},
	{NotFound, "It does not exist, or it is another tenant's."},
	{SlugTaken, "The slug is in use; `suggestion` is a free one."},
	{SlugReserved, "The slug is reserved; `suggestion` is a free one."},
	{WrongStatus, "The tenant's status does not allow it; `status` says what it is."},
	{ConfirmationMismatch, "The confirmation is not the tenant's slug."},
	{LastOwner, "The tenant would be left without an owner."},
	{AlreadyMember, "The user is a member already."},
	{AlreadyInvited, "An invitation to this address is open; resend or revoke it."},
	{InvitationEnded, "The invitation is accepted, revoked or expired."},
	{TransferEnded, "The offer of ownership is accepted, declined, taken back or expired."},
	{QuotaExceeded, "The limit of a meter is reached; `meter`, `limit`, `current` and `remaining` say which and how much, `resetDate` when it begins anew."},
	{ReservationEnded, "The reservation is settled, released or expired; `state` says which."},
	{SessionEnded, "The session has ended: signed out, revoked, or its time is over; sign in again."},
	{InvalidToken, "The token is not one of this server's, is damaged, or its time is over."},
	{InvalidGrant, "What was shown to get a token (a provider's token, a refresh token, an API key) is not good, or no longer."},
	{LinkEnded, "The sign-in link was used, is past its time, or had too many wrong codes; ask for another."},
	{WrongCode, "The code is not the one shown where the sign-in was asked for; `triesLeft` says how many are left."},
	{WrongTenant, "The token is for another tenant than the host's."},
	{TooManyRequests, "Too many of these from or to one address, from one network or tenant; `retryAfter` says in how many seconds to try again."},
	{IdempotencyKeyReused, "The idempotency key was used with another input."},
	{AlreadySubscribed, "The tenant has a subscription already; change its plan, or cancel it."},
	{NoSubscription, "The tenant has no subscription; subscribe first."},
	{PaymentFailed, "The payment was refused; `declineCode` says why, where the bank said so. Another payment method may do."},
	{OperationInProgress, "Another change of the tenant's billing is not finished; `kind` and `operationId` say which. It goes on by itself."},
	{BillingDisabled, "This installation does not charge: BILLING_ENABLED is false."},
	{BudgetExceeded, "The tenant takes more of the database at once than its budget lets it; `budget` says of what (connections, statement_timeout, rows), and `retryAfter`, where waiting helps, in how many seconds to try again."},
	{TenantMigration, "A migration of the tenant's own schema failed, and nothing of it stays; the operator is told which and why."},
	{Unavailable, "The database or Stripe is out of reach, or the request took too long; try again."},
	{Internal, "A bug on this side; the server's log tells it."},
}

// Fault is one thing that went wrong, in words for the caller.
type Fault struct {
	Code    Code
	Message string         // one sentence: what was wrong, with which value, and what to do
	Details map[string]any // nil, or what a program needs beside the code
	cause   error
}

// New makes a fault; format and args make its public message.
func New(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// With adds a detail.
func (f *Fault) With(key string, value any) *Fault {
	if f.Details == nil {
		f.Details = map[string]any{}
	}
	f.Details[key] = value
	return f
}

// Because keeps the hidden cause, for the log only.
func (f *Fault) Because(err error) *Fault {
	f.cause = err
	return f
}

// Error is the public message followed by the hidden cause: for logs, not for callers.
func (f *Fault) Error() string {
	if f.cause != nil {
		return string(f.Code) + ": " + f.Message + ": " + f.cause.Error()
	}
	return string(f.Code) + ": " + f.Message
}

// Unwrap gives the hidden cause.
func (f *Fault) Unwrap() error { return f.cause }

// From finds the fault in err, or makes one: unavailable for a spent deadline,
// internal for anything else. It returns nil for nil.
func From(err error) *Fault {
	var found *Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &found):
		return found
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return New(Unavailable, "the request took too long; try again").Because(err)
	}
	return New(Internal, "something went wrong on our side; try again").Because(err)
}

// Is reports whether err is a fault of this code.
func Is(err error, code Code) bool {
	var found *Fault
	return errors.As(err, &found) && found.Code == code
}

// Problem is one wrong argument.
type Problem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problems collects everything wrong with an input, so that the caller hears all of it
// at once. The zero value is ready to use.
type Problems []Problem

// Add notes a problem of a field. The first problem of a field stands; later ones
// follow from it.
func (p *Problems) Add(field, format string, args ...any) {
	for _, known := range *p {
		if known.Field == field {
			return
		}
	}
	*p = append(*p, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// Fault is nil where there are no problems.
func (p Problems) Fault() error {
	if len(p) == 0 {
		return nil
	}
	sentences := make([]string, len(p))
	for i, problem := range p {
		sentences[i] = problem.Field + " " + problem.Message
	}
	return New(InvalidInput, "%s", strings.Join(sentences, "; ")).With("problems", p)
}
