package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// settleSQL: names and values are as the plan writes them, there are no timeouts but those
// of the steps, and the server ends what it was at within a second where the client is gone.
const settleSQL = `
	SELECT set_config('role', 'nself_owner', false), set_config('search_path', 'pg_catalog', false), set_config('hasura.user', '', false),
	       set_config('datestyle', 'ISO', false), set_config('intervalstyle', 'postgres', false), set_config('timezone', 'UTC', false),
	       set_config('bytea_output', 'hex', false), set_config('extra_float_digits', '1', false), set_config('row_security', 'on', false),
	       set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false),
	       set_config('client_connection_check_interval', '1s', false)`

const holdSQL = `SELECT pg_try_advisory_lock(hashtextextended('nself.move:' || @tenant_id, 0))`

const releaseSQL = `SELECT pg_advisory_unlock(hashtextextended('nself.move:' || @tenant_id, 0))`

// take makes the connection the owner's, and the tenant's moves this process's alone.
func take(ctx context.Context, conn *pgx.Conn, in Input) (*run, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, settleSQL); err != nil {
		return nil, fmt.Errorf("become nself_owner, whose the tables are: %w", err)
	}
	who, err := findSubject(ctx, conn, in.Tenant)
	if err != nil {
		return nil, err
	}
	r := &run{conn: conn, in: in, who: who}
	if err := r.hold(ctx); err != nil {
		return nil, err
	}
	if r.may, err = maySilence(ctx, conn); err == nil {
		r.ours, err = isolation.Ours()
	}
	if err != nil {
		r.release(ctx)
	}
	return r, err
}

// hold makes the tenant's moves this process's alone. The server's end of a process that was
// killed is waited for.
func (r *run) hold(ctx context.Context) error {
	for began, told := time.Now(), false; ; told = true {
		held, err := pg.Scalar[bool](ctx, r.conn, holdSQL, pgx.NamedArgs{"tenant_id": r.who.ID.String()})
		switch {
		case err != nil:
			return fmt.Errorf("take the moves of %s in hand: %w", r.who.Slug, err)
		case held:
			return nil
		case time.Since(began) >= r.in.Wait:
			pid, err := worker(ctx, r.conn, r.who)
			return errors.Join(fmt.Errorf("another nself tenant move works on %s (process %d of Postgres); --status tells how far it is", r.who.Slug, pid), err)
		case !told:
			r.tell("another nself tenant move works on %s, or did until just now: waiting for its end", r.who.Slug)
		}
		if err := sleep(ctx, time.Second/4); err != nil {
			return err
		}
	}
}

// release lets others take the tenant's moves in hand. A connection that broke has let go.
func (r *run) release(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	_, _ = r.conn.Exec(ctx, identifySQL, pgx.NamedArgs{"setting": moverSetting, "move_id": ""})
	_, _ = r.conn.Exec(ctx, releaseSQL, pgx.NamedArgs{"tenant_id": r.who.ID.String()})
}

const identifySQL = `SELECT set_config(@setting, @move_id, false)`

// identify has the triggers of the move know this session, until it is released.
func (r *run) identify(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, identifySQL, pgx.NamedArgs{"setting": moverSetting, "move_id": r.move.ID})
	return err
}
