package adoption

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// Runner carries an adoption out, or takes it back.
type Runner struct {
	conn   *pgx.Conn
	pace   Pace
	say    func(string)
	hasura func(context.Context, isolation.Protection) error
	of     Adoption
}

// Pace is how hard the work may press on those who write meanwhile.
type Pace struct {
	MaxWait time.Duration // the longest that a writer waits for a step; at most MostWait
	Batch   int           // rows of one transaction at most
	Pause   time.Duration // between two batches
}

// The bounds of MaxWait. Above the most Postgres would take two who wait for each other for
// a deadlock, and end the writer.
const (
	LeastWait = 10 * time.Millisecond
	MostWait  = 900 * time.Millisecond
)

// Validate reports everything wrong with the pace.
func (p Pace) Validate() error {
	var faults []error
	if p.MaxWait < LeastWait || p.MaxWait > MostWait {
		faults = append(faults, fmt.Errorf("the longest wait is %s; it is between %s and %s", p.MaxWait, LeastWait, MostWait))
	}
	if p.Batch < 1 {
		faults = append(faults, fmt.Errorf("a batch of %d rows: it has at least one", p.Batch))
	}
	if p.Pause < 0 {
		faults = append(faults, fmt.Errorf("a pause of %s: it is not negative", p.Pause))
	}
	return errors.Join(faults...)
}

// Config is what a Runner works with.
type Config struct {
	Conn *pgx.Conn // for the run alone, not through a pooler; its settings change
	Pace Pace
	// Progress is told, in a line each, what is done and what is waited for.
	Progress func(line string)
	// Hasura gives Hasura the permissions; nil leaves it alone.
	Hasura func(context.Context, isolation.Protection) error
}

// New makes a Runner.
func New(c Config) (*Runner, error) {
	if err := c.Pace.Validate(); err != nil {
		return nil, err
	}
	return &Runner{conn: c.Conn, pace: c.Pace, say: c.Progress, hasura: c.Hasura}, nil
}

// settleSessionSQL: no timeout but those of the steps; where the client is gone the server
// ends what it was at within a second; and every name is as the plan writes it.
const settleSessionSQL = `
	SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false),
	       set_config('client_connection_check_interval', '1s', false), set_config('search_path', 'pg_catalog', false)`

const holdAdoptionSQL = `SELECT pg_try_advisory_lock(hashtextextended('nself.adoption:' || @id::text, 0))`

const letAdoptionGoSQL = `SELECT pg_advisory_unlock(hashtextextended('nself.adoption:' || @id::text, 0))`

// patience is how long another run is waited for: the server's end of one that was killed
// notices within a second or two.
const patience = 15 * time.Second

// hold keeps other runs away from the adoption until the function it returns is called, and
// reads how far it is.
func (r *Runner) hold(ctx context.Context, of uuid.UUID) (release func(), err error) {
	if _, err := r.conn.Exec(ctx, settleSessionSQL); err != nil {
		return nil, err
	}
	for began, told := time.Now(), false; ; told = true {
		held, err := pg.Scalar[bool](ctx, r.conn, holdAdoptionSQL, pgx.NamedArgs{"id": of})
		switch {
		case err != nil:
			return nil, err
		case held:
			return func() { _, _ = r.conn.Exec(context.WithoutCancel(ctx), letAdoptionGoSQL, pgx.NamedArgs{"id": of}) }, nil // ends with the connection anyhow
		case time.Since(began) > patience:
			return nil, errors.New("another run is at work on this adoption: let it end, or stop it and run this again")
		}
		if !told {
			r.say("another run is at work on this adoption, or was until just now: waiting for its end")
		}
		if err := sleep(ctx, time.Second/4); err != nil {
			return nil, err
		}
	}
}

// Run carries out the steps that are not done; with prepare, those before the switch.
func (r *Runner) Run(ctx context.Context, of Adoption, prepare bool) (Adoption, error) {
	release, err := r.hold(ctx, of.ID)
	if err != nil {
		return of, err
	}
	defer release()
	if r.of, err = reload(ctx, r.conn, of.ID); err != nil {
		return of, err
	}
	if r.of.State == Undoing {
		return r.of, errors.New("this adoption is being undone: run it with --undo until that has ended")
	}
	if !r.of.Switched() {
		if err := stillTakes(ctx, r.conn, r.of.Options); err != nil {
			return r.of, err
		}
	}
	for i := range r.of.Steps {
		s := &r.of.Steps[i]
		if s.DoneAt != nil {
			continue
		}
		if s.Kind == Switch && prepare {
			return r.of, nil
		}
		if err := r.step(ctx, s); err != nil {
			return r.of, fmt.Errorf("step %d of %d (%s, %s): %w", s.Position, len(r.of.Steps), s.What, s.Table, err)
		}
		now := time.Now()
		s.DoneAt = &now
	}
	r.of.State = Done
	return r.of, setState(ctx, r.conn, r.of.ID, Done)
}

const adoptionByIDSQL = `SELECT id, tables, state, started_at, ended_at, options FROM nself.adoptions WHERE id = @id`

func reload(ctx context.Context, db pg.DB, of uuid.UUID) (Adoption, error) {
	row, err := pg.One[adoptionRow](ctx, db, adoptionByIDSQL, pgx.NamedArgs{"id": of})
	if err != nil {
		return Adoption{}, fmt.Errorf("read the adoption: %w", err)
	}
	return load(ctx, db, row)
}

// step carries one out.
func (r *Runner) step(ctx context.Context, s *Standing) error {
	began := time.Now()
	var err error
	switch s.Kind {
	case Change, Switch:
		err = r.change(ctx, s, s.Do, true)
	case Fill:
		return r.fill(ctx, s)
	case Scan:
		r.tell(s, "reads about %d rows", s.Rows)
		err = r.scan(ctx, s)
	case Build:
		r.tell(s, "reads about %d rows", s.Rows)
		err = r.build(ctx, s)
	case Track:
		return r.track(ctx, s)
	}
	if err == nil {
		r.done(s, began)
	}
	return err
}

func (r *Runner) done(s *Standing, began time.Time) {
	if s.Progress.HeldMS > 0 {
		r.tell(s, "done; the locks were held for %.1f ms", s.Progress.HeldMS)
		return
	}
	r.tell(s, "done in %s", time.Since(began).Round(time.Millisecond))
}

// tell says a line about a step.
func (r *Runner) tell(s *Standing, format string, args ...any) {
	r.say(fmt.Sprintf("%d/%d %s: %s: %s", s.Position, len(r.of.Steps), s.Table, s.What, fmt.Sprintf(format, args...)))
}

func (r *Runner) track(ctx context.Context, s *Standing) error {
	if r.hasura == nil {
		r.tell(s, "left alone, as HASURA_GRAPHQL_ENDPOINT is not set; nself tenant protect --apply gives them later")
		return note(ctx, r.conn, r.of.ID, *s, true)
	}
	if err := r.hasura(ctx, r.of.Options.Protection); err != nil {
		return fmt.Errorf("the wall stands in the database, and Hasura does not have it; run the same command again: %w", err)
	}
	r.tell(s, "done")
	return note(ctx, r.conn, r.of.ID, *s, true)
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, how time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(how):
		return nil
	}
}
