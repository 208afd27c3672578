package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
)

type decisionReply struct {
	Meter       string     `json:"meter"`
	Allowed     bool       `json:"allowed"`
	Limit       int64      `json:"limit"`
	Used        numeric    `json:"used"`
	Held        numeric    `json:"held"`
	Remaining   *numeric   `json:"remaining"`
	Enforcement string     `json:"enforcement"`
	ResetDate   *time.Time `json:"resetDate"`
}

func replyDecision(d quota.Decision, err error) (decisionReply, error) {
	reply := decisionReply{
		Meter: d.Meter, Allowed: d.Allowed, Limit: d.Limit, Used: numeric(d.Used), Held: numeric(d.Held),
		Remaining: orNull(d.Remaining), Enforcement: d.Enforcement,
	}
	if !d.ResetDate.IsZero() {
		reply.ResetDate = &d.ResetDate
	}
	return reply, err
}

// refusal is the error of a decision, so that nothing of what was refused is kept.
func refusal(d quota.Decision, err error) error {
	if refused := d.Refusal(); err == nil && refused != nil {
		return refused
	}
	return err
}

type checkQuotaInput struct {
	ownTenant
	Meter  string   `json:"meter"`
	Amount *numeric `json:"amount"`
	Value  *string  `json:"value"`
}

func (in *checkQuotaInput) validate(_ session.Session, problems *fault.Problems) {
	checkAmount("amount", in.Amount.orOne(), problems)
}

func (in checkQuotaInput) ask(s session.Session) quota.Ask {
	return quota.Ask{Tenant: s.Tenant, Meter: in.Meter, Amount: in.Amount.orOne(), Value: value(in.Value)}
}

func checkQuota(ctx context.Context, tx pgx.Tx, s session.Session, in checkQuotaInput) (decisionReply, error) {
	return replyDecision(quota.Check(ctx, tx, in.ask(s)))
}

type takeQuotaInput struct {
	checkQuotaInput
	idempotent
}

func (in *takeQuotaInput) validate(s session.Session, problems *fault.Problems) {
	in.checkQuotaInput.validate(s, problems)
	in.checkKey(problems)
}

func takeQuota(ctx context.Context, tx pgx.Tx, s session.Session, in takeQuotaInput) (decisionReply, error) {
	d, err := quota.Take(ctx, tx, in.ask(s))
	return replyDecision(d, refusal(d, err))
}

type reservationReply struct {
	ID        id.Reservation `json:"id"`
	TenantID  id.Tenant      `json:"tenantId"`
	Meter     string         `json:"meter"`
	Amount    numeric        `json:"amount"`
	State     string         `json:"state"`
	Settled   *numeric       `json:"settled"`
	CreatedAt time.Time      `json:"createdAt"`
	ExpiresAt time.Time      `json:"expiresAt"`
	EndedAt   *time.Time     `json:"endedAt"`
}

func replyReservation(r quota.Reservation, err error) (reservationReply, error) {
	return reservationReply{
		ID: r.ID, TenantID: r.TenantID, Meter: r.Meter, Amount: numeric(r.Amount), State: r.State, Settled: orNull(r.Settled),
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt,
	}, err
}

// How long a reservation holds, in seconds.
const (
	usualHold   = 300
	longestHold = 86_400
)

type reserveQuotaInput struct {
	ownTenant
	Meter      string  `json:"meter"`
	Amount     numeric `json:"amount"`
	TTLSeconds *int    `json:"ttlSeconds"`
	idempotent
	ttl time.Duration
}

func (in *reserveQuotaInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	checkAmount("amount", decimal.Decimal(in.Amount), problems)
	if decimal.Decimal(in.Amount).IsZero() {
		problems.Add("amount", "must be more than 0")
	}
	seconds := usualHold
	if in.TTLSeconds != nil {
		seconds = *in.TTLSeconds
	}
	if seconds < 1 || seconds > longestHold {
		problems.Add("ttlSeconds", "must be 1 to %d; got %d", longestHold, seconds)
	}
	in.ttl = time.Duration(seconds) * time.Second
}

func reserveQuota(ctx context.Context, tx pgx.Tx, s session.Session, in reserveQuotaInput) (reservationReply, error) {
	r, d, err := quota.Reserve(ctx, tx, quota.Ask{Tenant: s.Tenant, Meter: in.Meter, Amount: decimal.Decimal(in.Amount)}, in.ttl)
	return replyReservation(r, refusal(d, err))
}

type reservationInput struct {
	ownTenant
	ID id.Reservation `json:"id"`
}

type settleQuotaInput struct {
	reservationInput
	Amount numeric `json:"amount"`
}

func (in *settleQuotaInput) validate(_ session.Session, problems *fault.Problems) {
	checkAmount("amount", decimal.Decimal(in.Amount), problems)
}

func settleQuota(ctx context.Context, tx pgx.Tx, s session.Session, in settleQuotaInput) (reservationReply, error) {
	return replyReservation(quota.Settle(ctx, tx, s.Tenant, in.ID, decimal.Decimal(in.Amount)))
}

func releaseQuota(ctx context.Context, tx pgx.Tx, s session.Session, in reservationInput) (reservationReply, error) {
	return replyReservation(quota.Release(ctx, tx, s.Tenant, in.ID))
}
