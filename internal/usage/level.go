package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Users is the meter that mirrors the rows of the members: it is counted again at each of
// their events, and decided where a row is written.
const Users = "users"

// The table that names reservations, and the column it does it in.
const (
	objectsSchema     = "tenants"
	objectsTable      = "storage_objects"
	reservationColumn = "reservation_id"
)

// move is what a change does to a level of a tenant.
type move struct {
	tenant      id.Tenant
	meter       string
	delta       decimal.Decimal
	reservation string // ends with it; empty: none
}

// moves is what a change does to the level: what the row after is more than the row before,
// which may be another tenant's.
func (s meteredSource) moves(c Change, before, after row) ([]move, error) {
	if c.Op == opManual {
		return nil, fault.New(fault.InvalidInput, "the meter %s is what there is of the rows of %s.%s: an event by hand changes none", s.Meter, c.Schema, c.Table)
	}
	var moves []move
	if after != nil {
		m, err := s.move(after)
		if err != nil {
			return nil, err
		}
		if before == nil && c.Schema == objectsSchema && c.Table == objectsTable && after[reservationColumn] != nil {
			if m.reservation, err = after.scalar(reservationColumn); err != nil {
				return nil, err
			}
		}
		moves = append(moves, m)
	}
	if before != nil {
		m, err := s.move(before)
		if err != nil {
			return nil, err
		}
		m.delta = m.delta.Neg()
		if len(moves) > 0 && moves[0].tenant == m.tenant {
			moves[0].delta = moves[0].delta.Add(m.delta)
			return moves, nil
		}
		moves = append(moves, m)
	}
	return moves, nil
}

func (s meteredSource) move(r row) (move, error) {
	tenant, err := r.tenant(s.TenantColumn)
	if err != nil {
		return move{}, err
	}
	amount, err := r.amount(s.AmountColumn)
	return move{tenant: tenant, meter: s.Meter, delta: amount}, err
}

const lockLevelSQL = `
SELECT (billing.lock_total(@tenant_id, @meter, p.starts_at)).used FROM billing.period(@tenant_id, now()) p`

const countUsersSQL = `
SELECT count(*)::numeric FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
WHERE m.tenant_id = @tenant_id`

const changeLevelSQL = `SELECT billing.change_level(@tenant_id, @meter, @delta, @key)`

const keepTenantsAllTenantsSQL = `SELECT id FROM tenants.tenants WHERE id = ANY (@tenants::uuid[]) ORDER BY id FOR KEY SHARE`

const makePeriodsAllTenantsSQL = `
SELECT count(*) FROM (SELECT DISTINCT id FROM unnest(@tenants::uuid[]) AS id ORDER BY id) t CROSS JOIN LATERAL billing.period(t.id, now())`

// makePeriods makes the periods of all tenants before the first of their totals is locked.
// A purge takes periods while it holds the tenant: it ends before, or comes after.
func makePeriods(ctx context.Context, tx pgx.Tx, moves []move) error {
	if len(moves) == 0 {
		return nil
	}
	tenants := make([]id.Tenant, len(moves))
	for i, m := range moves {
		tenants[i] = m.tenant
	}
	for _, sql := range []string{keepTenantsAllTenantsSQL, makePeriodsAllTenantsSQL} {
		if _, err := tx.Exec(ctx, sql, pgx.NamedArgs{"tenants": tenants}); err != nil {
			return fmt.Errorf("make the periods of %v: %w", tenants, err)
		}
	}
	return nil
}

// applyMoves changes the levels in the order in which totals are locked.
func applyMoves(ctx context.Context, tx pgx.Tx, c Change, moves []move) error {
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.tenant.String(), b.tenant.String()), cmp.Compare(a.meter, b.meter))
	})
	for _, m := range moves {
		if err := m.apply(ctx, tx, c.key(m.meter)); err != nil {
			return err
		}
	}
	return nil
}

func (m move) apply(ctx context.Context, tx pgx.Tx, key string) error {
	args := pgx.NamedArgs{"tenant_id": m.tenant, "meter": m.meter, "key": key}
	used, err := pg.Scalar[decimal.Decimal](ctx, tx, lockLevelSQL, args)
	switch {
	case pg.NoRow(err):
		return nil // the tenant is gone, and its totals are
	case err != nil:
		return fmt.Errorf("lock the total of %s: %w", m.meter, err)
	}
	if m.meter == Users {
		present, err := pg.Scalar[decimal.Decimal](ctx, tx, countUsersSQL, args)
		if err != nil {
			return fmt.Errorf("count the users of %s: %w", m.tenant, err)
		}
		m.delta = present.Sub(used)
	}
	if !m.delta.IsZero() {
		args["delta"] = m.delta
		if _, err := tx.Exec(ctx, changeLevelSQL, args); err != nil {
			return fmt.Errorf("change the level %s: %w", m.meter, err)
		}
	}
	return m.endReservation(ctx, tx, args)
}

// Of what was stored beyond what was reserved the rows decide: only up to that it settles.
const endReservationSQL = `
SELECT e.outcome FROM billing.quota_reservations r
CROSS JOIN LATERAL billing.end_reservation(r.tenant_id, r.id, LEAST(@settled, r.amount)) e
WHERE r.tenant_id = @tenant_id AND r.id = @reservation AND r.meter = @meter AND r.state = 'open'`

// endReservation settles what was reserved for the row, where it is open yet. One whose
// time is over is left to those that expire.
func (m move) endReservation(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) error {
	if m.reservation == "" {
		return nil
	}
	reservation, err := id.Parse[id.Reservation](m.reservation)
	if err != nil {
		return fault.New(fault.InvalidInput, "the column %s names no reservation: %v", reservationColumn, err)
	}
	args["reservation"], args["settled"] = reservation, m.delta
	if _, err := tx.Exec(ctx, endReservationSQL, args); err != nil {
		return fmt.Errorf("end the reservation %s: %w", reservation, err)
	}
	return nil
}
