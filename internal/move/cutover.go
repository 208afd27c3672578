package move

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/session"
)

// operator is who moves tenants, in the audit log.
var operator = session.Session{Role: session.Operator, RequestID: "nself tenant move"}

// cutOver has the tenant live at the target: in one transaction, writers kept out, the last
// changes are carried over, sequences go on where they were, and the gate is moved: from
// then on the source refuses the tenant's writers and the target notes its changes, so that
// the way back loses nothing.
func (r *run) cutOver(ctx context.Context) error {
	locked, err := r.switchOver(ctx, "the cut-over", false, func(tx pgx.Tx, m *Move) error {
		m.State = Cut
		return m.flip(ctx, tx, m.To)
	})
	if err != nil {
		return err
	}
	r.move.Progress.LockedUS = locked.Microseconds()
	if err := r.move.save(ctx, r.conn); err != nil {
		return fmt.Errorf("%s has moved; how long writers were kept out (%v) could not be kept: %w", r.move.Slug, rounded(locked), err)
	}
	m, _, err := r.openMove(ctx)
	if err == nil {
		r.tell("%s lives in %s now; writers were kept out for %v", m.Slug, m.place(), rounded(locked))
	}
	return err
}

// place is where the tenant lives after the cut-over, in words.
func (m Move) place() string {
	if m.To == ToSchema {
		return "the schema " + m.Schema
	}
	return "the shared tables"
}

// switchOver carries the last changes over and does the rest of work in the same
// transaction, in which no writer of the tenant writes the tables of either side. It
// returns how long they were kept out.
func (r *run) switchOver(ctx context.Context, what string, back bool, work func(tx pgx.Tx, m *Move) error) (time.Duration, error) {
	var next Move
	var shut time.Time
	err := r.again(ctx, what, func() error {
		if err := r.catchUp(ctx, back); err != nil {
			return err
		}
		return pgx.BeginTxFunc(ctx, r.conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
			if err := r.beforehand(ctx, tx); err != nil {
				return err
			}
			next = r.move.copied()
			if shut, err = r.shut(ctx, tx); err != nil {
				return err
			}
			return r.lastChanges(ctx, tx, back, func() error { return work(tx, &next) }, &next)
		})
	})
	if err == nil {
		r.move = next
	}
	return time.Since(shut), err
}

const holdTenantSQL = `SELECT FROM tenants.tenants WHERE id = @tenant_id FOR NO KEY UPDATE`

// beforehand is what of the cut-over can be done while writers go on: nobody changes the
// columns of the tables, or the tenant, from here to the end of the transaction.
func (r *run) beforehand(ctx context.Context, tx pgx.Tx) error {
	if err := lockMode(ctx, tx, r.everything(), r.in.MaxWait, "ACCESS SHARE"); err != nil {
		return err
	}
	if err := r.refresh(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, holdTenantSQL, pgx.NamedArgs{"tenant_id": r.move.Tenant})
	return err
}

const shutSQL = `SELECT pg_advisory_xact_lock(hashtextextended('nself.' || @gate, 0))`

// shut waits until the transactions have ended that wrote a row of the tenant, and keeps
// others from writing until this one ends. It waits as long as a lock may. What follows in
// the transaction sees all that was written, since it is at READ COMMITTED.
func (r *run) shut(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	_, err := tx.Exec(ctx, shutSQL, pgx.NamedArgs{"gate": r.move.gate()})
	return time.Now(), err
}

// lastChanges is what happens while writers wait.
func (r *run) lastChanges(ctx context.Context, tx pgx.Tx, back bool, work func() error, next *Move) error {
	pairs := r.pairs(back)
	if err := r.move.watched(ctx, tx, append(r.sides(r.move.plan.source), r.sides(r.move.plan.target)...)); err != nil {
		return err
	}
	if _, err := r.drain(ctx, tx, pairs); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := r.goOn(ctx, tx, p); err != nil {
			return err
		}
	}
	if err := work(); err != nil {
		return err
	}
	if err := next.save(ctx, tx); err != nil {
		return err
	}
	action, lives := "cut_over_move", atTarget
	if back {
		action, lives = "undo_move", atSource
	}
	if err := execAll(ctx, tx, []string{fmt.Sprintf("ALTER SEQUENCE nself.%s RESTART WITH %s", next.gate(), lives)}); err != nil {
		return fmt.Errorf("move the gate: %w", err)
	}
	return audit.Append(ctx, tx, operator, audit.Entry{Tenant: next.Tenant, Action: action, Target: "move:" + next.ID,
		Before: map[string]any{"strategy": next.strategy(!back)}, After: map[string]any{"strategy": next.strategy(back), "schema_name": next.Schema}})
}

// strategy is the tenant's at the source or, after the cut-over, at the target.
func (m Move) strategy(source bool) Target {
	if source {
		return m.To.other()
	}
	return m.To
}

// goOn lets the sequences of the side that is written go on where the other's are. One that
// is further stays: others use it too.
func (r *run) goOn(ctx context.Context, tx pgx.Tx, p pair) error {
	for _, name := range p.table.Columns {
		from, to := p.from.Shape.Sequences[name], p.to.Shape.Sequences[name]
		if from == "" || to == "" {
			continue
		}
		var behind bool
		var increment int64
		if err := tx.QueryRow(ctx, behindSequence(from, to), plainly, to).Scan(&behind, &increment); err != nil {
			return fmt.Errorf("read the sequences of %s: %w", p.table.name(), err)
		}
		if !behind {
			continue
		}
		// Altering it, to what it is, keeps others from drawing numbers meanwhile.
		if err := execAll(ctx, tx, []string{fmt.Sprintf("ALTER SEQUENCE %s INCREMENT BY %d", to, increment), setSequence(from, to)}); err != nil {
			return fmt.Errorf("set %s on: %w", to, err)
		}
	}
	return nil
}

const further = "CASE WHEN i.seqincrement > 0 THEN f.last_value > t.last_value ELSE f.last_value < t.last_value END OR f.last_value = t.last_value AND f.is_called AND NOT t.is_called"

func behindSequence(from, to string) string {
	return fmt.Sprintf("/* nself move: sequence */ SELECT %s, i.seqincrement FROM %s f, %s t, pg_catalog.pg_sequence i WHERE i.seqrelid = $1::text::regclass", further, from, to)
}

func setSequence(from, to string) string {
	return fmt.Sprintf("/* nself move: sequence */ SELECT setval(%s::regclass, f.last_value, f.is_called) FROM %s f, %s t, pg_catalog.pg_sequence i WHERE i.seqrelid = %[1]s::regclass AND (%[4]s)",
		literal(to), from, to, further)
}
