package adoption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// ErrNone says that there is no such adoption.
var ErrNone = errors.New("no adoption of these tables is open")

const serialiseSQL = `SELECT pg_advisory_xact_lock(hashtextextended('nself.adoptions', 0))`

const insertAdoptionSQL = `INSERT INTO nself.adoptions (id, tables, options) VALUES (@id, @tables, @options)`

const insertStepSQL = `INSERT INTO nself.adoption_steps (adoption_id, position, step) VALUES (@id, @position, @step)`

// Begin stores the plan. A table that is in an open adoption already is refused, and so is
// a tenant that takes
// no rows.
func Begin(ctx context.Context, db pg.DB, a Adoption) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, serialiseSQL); err != nil {
			return err
		}
		if _, err := Find(ctx, tx, a.Tables); !errors.Is(err, ErrNone) {
			return errors.Join(errors.New("another run has begun it just now: run the command again to go on with it"), err)
		}
		if err := stillTakes(ctx, tx, a.Options); err != nil {
			return err
		}
		options, err := json.Marshal(a.Options)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertAdoptionSQL, pgx.NamedArgs{"id": a.ID, "tables": texts(a.Tables), "options": options}); err != nil {
			return fmt.Errorf("store the plan: %w", err)
		}
		for _, s := range a.Steps {
			step, err := json.Marshal(s.Step)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, insertStepSQL, pgx.NamedArgs{"id": a.ID, "position": s.Position, "step": step}); err != nil {
				return fmt.Errorf("store step %d: %w", s.Position, err)
			}
		}
		return nil
	})
}

func texts(names []isolation.Name) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = name.String()
	}
	slices.Sort(all)
	return all
}

type adoptionRow struct {
	ID        uuid.UUID
	Tables    []string
	State     State
	StartedAt time.Time
	EndedAt   *time.Time
	Options   json.RawMessage
}

const openAdoptionsSQL = `
	SELECT id, tables, state, started_at, ended_at, options FROM nself.adoptions
	WHERE state IN ('running', 'undoing') AND (cardinality(@tables::text[]) = 0 OR tables && @tables) ORDER BY started_at, id`

// Find is the open adoption of exactly these tables; without any, the one that is open.
// ErrNone where there is none; other tables together with some of these are an error.
func Find(ctx context.Context, db pg.DB, tables []isolation.Name) (Adoption, error) {
	named := texts(tables)
	rows, err := pg.All[adoptionRow](ctx, db, openAdoptionsSQL, pgx.NamedArgs{"tables": named})
	switch {
	case err != nil:
		return Adoption{}, fmt.Errorf("read the adoptions: %w", err)
	case len(rows) == 0:
		return Adoption{}, ErrNone
	case len(rows) > 1, len(named) > 0 && !slices.Equal(rows[0].Tables, named):
		var open []string
		for _, row := range rows {
			open = append(open, strings.Join(row.Tables, " "))
		}
		return Adoption{}, fmt.Errorf("name the tables of one adoption together; open are: %s", strings.Join(open, "; "))
	}
	return load(ctx, db, rows[0])
}

const endedAdoptionSQL = `
	SELECT id, tables, state, started_at, ended_at, options FROM nself.adoptions
	WHERE state = 'done' AND tables = @tables ORDER BY ended_at DESC LIMIT 1`

// Ended is the latest adoption of exactly these tables that was carried out; ErrNone where
// there is none.
func Ended(ctx context.Context, db pg.DB, tables []isolation.Name) (Adoption, error) {
	row, err := pg.One[adoptionRow](ctx, db, endedAdoptionSQL, pgx.NamedArgs{"tables": texts(tables)})
	if pg.NoRow(err) {
		return Adoption{}, ErrNone
	}
	if err != nil {
		return Adoption{}, fmt.Errorf("read the adoptions: %w", err)
	}
	return load(ctx, db, row)
}

// Open lists the adoptions that are open, without their steps.
func Open(ctx context.Context, db pg.DB) ([]Adoption, error) {
	rows, err := pg.All[adoptionRow](ctx, db, openAdoptionsSQL, pgx.NamedArgs{"tables": []string{}})
	if err != nil {
		return nil, fmt.Errorf("read the adoptions: %w", err)
	}
	var all []Adoption
	for _, row := range rows {
		a, err := load(ctx, db, row)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

const adoptionStepsSQL = `SELECT position, step, progress, done_at FROM nself.adoption_steps WHERE adoption_id = @id ORDER BY position`

func load(ctx context.Context, db pg.DB, row adoptionRow) (Adoption, error) {
	a := Adoption{ID: row.ID, State: row.State, StartedAt: row.StartedAt, EndedAt: row.EndedAt, Tables: make([]isolation.Name, len(row.Tables))}
	for i, table := range row.Tables {
		if err := a.Tables[i].UnmarshalText([]byte(table)); err != nil {
			return a, err
		}
	}
	if err := json.Unmarshal(row.Options, &a.Options); err != nil {
		return a, fmt.Errorf("the plan of %s: %w", strings.Join(row.Tables, ", "), err)
	}
	type stepRow struct {
		Position       int
		Step, Progress json.RawMessage
		DoneAt         *time.Time
	}
	steps, err := pg.All[stepRow](ctx, db, adoptionStepsSQL, pgx.NamedArgs{"id": a.ID})
	if err != nil {
		return a, fmt.Errorf("read the steps of %s: %w", strings.Join(row.Tables, ", "), err)
	}
	for _, s := range steps {
		standing := Standing{Position: s.Position, DoneAt: s.DoneAt}
		if err := errors.Join(json.Unmarshal(s.Step, &standing.Step), json.Unmarshal(s.Progress, &standing.Progress)); err != nil {
			return a, fmt.Errorf("step %d of %s: %w", s.Position, strings.Join(row.Tables, ", "), err)
		}
		a.Steps = append(a.Steps, standing)
	}
	return a, nil
}

const noteStepSQL = `
	UPDATE nself.adoption_steps SET progress = @progress, done_at = CASE WHEN @done THEN now() END
	WHERE adoption_id = @id AND position = @position`

// note writes how far a step is, in the transaction of what it did.
func note(ctx context.Context, db pg.DB, of uuid.UUID, s Standing, done bool) error {
	progress, err := json.Marshal(s.Progress)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, noteStepSQL, pgx.NamedArgs{"id": of, "position": s.Position, "progress": progress, "done": done})
	if err != nil {
		return fmt.Errorf("note step %d: %w", s.Position, err)
	}
	return nil
}

const setStateSQL = `
	UPDATE nself.adoptions SET state = @state, ended_at = CASE WHEN @state IN ('done', 'undone') THEN now() END WHERE id = @id`

func setState(ctx context.Context, db pg.DB, of uuid.UUID, state State) error {
	if _, err := db.Exec(ctx, setStateSQL, pgx.NamedArgs{"id": of, "state": state}); err != nil {
		return fmt.Errorf("note that the adoption is %s: %w", state, err)
	}
	return nil
}
