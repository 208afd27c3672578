package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
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

func replyDecision(d quota.Decision) decisionReply {
	reply := decisionReply{
		Meter: d.Meter, Allowed: d.Allowed, Limit: d.Limit, Used: numeric(d.Used), Held: numeric(d.Held),
		Remaining: orNull(d.Remaining), Enforcement: d.Enforcement,
	}
	if !d.ResetDate.IsZero() {
		reply.ResetDate = &d.ResetDate
	}
	return reply
}

// quotas are the actions that decide.
type quotas struct{ Config }

// deciding is an operation that decides, and says what.
type deciding[In, Out any] func(ctx context.Context, tx pgx.Tx, s session.Session, in In) (Out, quota.Decision, error)

// forQuota is forTenant for an operation that decides. A refusal is an error, so that
// nothing of what was refused is kept. The decision is told once it is committed or
// refused, and not where the reply is the one that was kept under an idempotency key.
func forQuota[In, Out any](q quotas, name string, op deciding[In, Out]) Action {
	action := newAction(name, workers, enterTenant, operation[In, Out](nil))
	action.serve = tellLoss(func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
		var made *quota.Decision
		decide := func(ctx context.Context, tx pgx.Tx, s session.Session, in In) (Out, error) {
			out, d, err := op(ctx, tx, s, in)
			if err == nil {
				made, err = &d, refusal(d)
			}
			return out, err
		}
		reply, err := transact(ctx, db, c, inside[In, Out]{enterTenant, decide})
		if made != nil && (err == nil || !made.Allowed) {
			q.Decided(made.Meter, made.Allowed)
		}
		return reply, err
	})
	return action
}

// refusal is the error of a decision that refuses.
func refusal(d quota.Decision) error {
	if refused := d.Refusal(); refused != nil {
		return refused
	}
	return nil
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
	d, err := quota.Check(ctx, tx, in.ask(s))
	return replyDecision(d), err
}

type takeQuotaInput struct {
	checkQuotaInput
	idempotent
}

func (in *takeQuotaInput) validate(s session.Session, problems *fault.Problems) {
	in.checkQuotaInput.validate(s, problems)
	in.checkKey(problems)
}

// take is takeQuota: with an idempotency key the taking and the reply that is kept are one
// transaction; without one the caller's standing is a transaction, and what decides after it
// may do so in memory: who loses the standing in that moment has taken before.
func (q quotas) take() Action {
	action := forQuota(q, "takeQuota", takeQuota)
	whole := action.serve
	action.serve = tellLoss(func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
		in, err := decode[takeQuotaInput](c)
		if err != nil {
			return nil, err
		}
		if in.key() != nil {
			return whole(ctx, db, c)
		}
		requestlog.Tenant(ctx, c.session.Tenant)
		actor := c.session
		err = pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
			actor, err = enterTenant(ctx, tx, c, in)
			return err
		})
		if err != nil {
			return nil, err
		}
		d, err := q.Take(ctx, in.ask(actor))
		if err == nil {
			err = refusal(d)
		}
		return replyDecision(d), err
	})
	return action
}

func takeQuota(ctx context.Context, tx pgx.Tx, s session.Session, in takeQuotaInput) (decisionReply, quota.Decision, error) {
	d, err := quota.Take(ctx, tx, in.ask(s))
	return replyDecision(d), d, err
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

func replyReservation(r quota.Reservation) reservationReply {
	return reservationReply{
		ID: r.ID, TenantID: r.TenantID, Meter: r.Meter, Amount: numeric(r.Amount), State: r.State, Settled: orNull(r.Settled),
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt,
	}
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

func reserveQuota(ctx context.Context, tx pgx.Tx, s session.Session, in reserveQuotaInput) (reservationReply, quota.Decision, error) {
	r, d, err := quota.Reserve(ctx, tx, quota.Ask{Tenant: s.Tenant, Meter: in.Meter, Amount: decimal.Decimal(in.Amount)}, in.ttl)
	return replyReservation(r), d, err
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
	r, err := quota.Settle(ctx, tx, s.Tenant, in.ID, decimal.Decimal(in.Amount))
	return replyReservation(r), err
}

func releaseQuota(ctx context.Context, tx pgx.Tx, s session.Session, in reservationInput) (reservationReply, error) {
	r, err := quota.Release(ctx, tx, s.Tenant, in.ID)
	return replyReservation(r), err
}
