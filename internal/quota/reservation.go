package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// How long a reservation can last.
const (
	ShortestReservation = time.Second
	LongestReservation  = 24 * time.Hour
)

// Reservation is an amount that is kept for its holder until it is settled, released, or
// its time is over.
type Reservation struct {
	ID        id.Reservation   `db:"id"`
	TenantID  id.Tenant        `db:"tenant_id"`
	Meter     string           `db:"meter"`
	Amount    decimal.Decimal  `db:"amount"`
	State     string           `db:"state"`   // open, settled, released or expired
	Settled   *decimal.Decimal `db:"settled"` // what was used in the end; nil unless settled
	CreatedAt time.Time        `db:"created_at"`
	ExpiresAt time.Time        `db:"expires_at"`
	EndedAt   *time.Time       `db:"ended_at"` // nil: open
}

const reservationSQL = `
SELECT id, tenant_id, meter, amount,
	CASE WHEN state = 'open' AND expires_at <= now() THEN 'expired' ELSE state END AS state,
	settled, created_at, expires_at, ended_at
FROM billing.quota_reservations WHERE tenant_id = @tenant_id AND id = @id`

func readReservation(ctx context.Context, db pg.DB, tenant id.Tenant, reservation id.Reservation) (Reservation, error) {
	found, err := pg.One[Reservation](ctx, db, reservationSQL, pgx.NamedArgs{"tenant_id": tenant, "id": reservation})
	if pg.NoRow(err) {
		return Reservation{}, fault.New(fault.NotFound, "there is no reservation %s in this tenant", reservation)
	}
	if err != nil {
		return Reservation{}, fmt.Errorf("read the reservation %s of tenant %s: %w", reservation, tenant, pg.Explain(err))
	}
	return found, nil
}

// reserved is what billing.reserve answers.
type reserved struct {
	figures
	ID id.Reservation `db:"id"` // zero: refused
}

const reserveSQL = `
SELECT id, used, held, "limit", enforcement, ends_at
FROM billing.reserve(@tenant_id, @meter, @amount::text::numeric, make_interval(secs => @seconds))`

// Reserve keeps an amount aside for ttl, within the limit. The reservation is zero where
// the decision refuses. It works on meters whose amounts add up (sum, count) and on
// levels, but for users, whose rows decide. Errors are those of Take.
func Reserve(ctx context.Context, db pg.DB, ask Ask, ttl time.Duration) (Reservation, Decision, error) {
	meter, err := readMeter(ctx, db, ask.Meter)
	if err != nil {
		return Reservation{}, Decision{}, err
	}
	if err := ask.reserves(meter, ttl); err != nil {
		return Reservation{}, Decision{}, err
	}
	var made Reservation
	var decided Decision
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		answer, err := pg.One[reserved](ctx, tx, reserveSQL, pgx.NamedArgs{
			"tenant_id": ask.Tenant, "meter": ask.Meter, "amount": ask.Amount.String(), "seconds": ttl.Seconds(),
		})
		if pg.NoRow(err) {
			return absent(ctx, tx, ask.Tenant, ask.Meter)
		}
		if err != nil {
			return fmt.Errorf("reserve %s of %s for tenant %s: %w", ask.Amount, ask.Meter, ask.Tenant, pg.Explain(err))
		}
		decided = answer.decide(meter, !answer.ID.IsZero())
		if decided.Allowed {
			made, err = readReservation(ctx, tx, ask.Tenant, answer.ID)
		}
		return err
	})
	if err != nil {
		return Reservation{}, Decision{}, pg.Explain(err)
	}
	return made, decided, nil
}

// reserves tells what is wrong with reserving an ask of this meter.
func (a *Ask) reserves(meter usage.Meter, ttl time.Duration) error {
	if meter.Aggregation == usage.Max || meter.Aggregation == usage.Unique || meter.Code == usage.Users {
		return unfit(meter, "of it nothing can be reserved")
	}
	if err := a.fit(meter); err != nil {
		return err
	}
	var problems fault.Problems
	if !a.Amount.IsPositive() {
		problems.Add("amount", "must be above 0")
	}
	if ttl < ShortestReservation || ttl > LongestReservation {
		problems.Add("ttlSeconds", "must be from %d to %d; got %d", int(ShortestReservation.Seconds()), int(LongestReservation.Seconds()), int64(ttl.Seconds()))
	}
	return problems.Fault()
}

// ended is what billing.end_reservation answers.
type ended struct {
	figures
	Outcome string `db:"outcome"`
}

const endReservationSQL = `
SELECT outcome, used, held, "limit", enforcement, ends_at
FROM billing.end_reservation(@tenant_id, @id, @amount::text::numeric)`

// Settle ends a reservation with what was used. What is above the reserved amount is
// taken where it is within the limit; where it is not, the fault is quota-exceeded and
// the reservation stays open. Of a level only the hold ends: its rows count. Settling
// again with the same amount changes nothing; one that has ended otherwise is the fault
// reservation-ended.
func Settle(ctx context.Context, db pg.DB, tenant id.Tenant, reservation id.Reservation, amount decimal.Decimal) (Reservation, error) {
	var problems fault.Problems
	if wrong := usage.CheckAmount(&amount); wrong != "" {
		problems.Add("amount", "%s", wrong)
		return Reservation{}, problems.Fault()
	}
	return end(ctx, db, tenant, reservation, &amount)
}

// Release ends a reservation of which nothing was used. Releasing again changes nothing;
// one that has ended otherwise is the fault reservation-ended.
func Release(ctx context.Context, db pg.DB, tenant id.Tenant, reservation id.Reservation) (Reservation, error) {
	return end(ctx, db, tenant, reservation, nil)
}

func end(ctx context.Context, db pg.DB, tenant id.Tenant, reservation id.Reservation, amount *decimal.Decimal) (Reservation, error) {
	var done Reservation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		kept, err := readReservation(ctx, tx, tenant, reservation)
		if err != nil {
			return err
		}
		meter, err := readMeter(ctx, tx, kept.Meter)
		if err != nil {
			return err
		}
		args := pgx.NamedArgs{"tenant_id": tenant, "id": reservation, "amount": nil}
		if amount != nil {
			if err := (&Ask{Amount: *amount}).fit(meter); err != nil {
				return err
			}
			args["amount"] = amount.String()
		}
		answer, err := pg.One[ended](ctx, tx, endReservationSQL, args)
		if err != nil {
			return fmt.Errorf("end the reservation %s of tenant %s: %w", reservation, tenant, err)
		}
		switch answer.Outcome {
		case "done":
			done, err = readReservation(ctx, tx, tenant, reservation)
			return err
		case "exceeded":
			return answer.decide(meter, false).Refusal()
		}
		return fault.New(fault.ReservationEnded, "the reservation %s is %s", reservation, answer.Outcome).With("state", answer.Outcome)
	})
	if err != nil {
		return Reservation{}, pg.Explain(err)
	}
	return done, nil
}
