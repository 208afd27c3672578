package move

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// run is one move in the hands of this process.
type run struct {
	conn *pgx.Conn
	in   Input
	who  subject
	move Move
	sql  statements
	ours isolation.List // the tables of this project, which do not move

	may   bool  // write without triggers
	swept int64 // changes carried over since what is left of them was removed
}

// Run moves a tenant, or goes on with its move where one is open: when it returns without
// an error the tenant lives at the target, and the source is kept until Confirm or Undo.
// conn is a connection of its own as a member of nself_owner; its settings are changed.
func Run(ctx context.Context, conn *pgx.Conn, in Input) (Move, error) {
	r, err := take(ctx, conn, in)
	if err != nil {
		return Move{}, err
	}
	defer r.release(ctx)
	if err := r.begin(ctx); err != nil {
		return r.move, err
	}
	if err := r.copy(ctx); err != nil {
		return r.move, err
	}
	if err := r.compare(ctx); err != nil {
		return r.move, err
	}
	if r.in.Known != nil && r.in.To == ToSchema {
		if err := r.in.Known(ctx); err != nil {
			r.tell("Hasura does not know the tables of %s yet: %v", r.move.Schema, err)
		}
	}
	return r.move, r.cutOver(ctx)
}

// Preview is what Run would do, and does nothing: the schema it needs is made and rolled
// back. Problems tells all that is in the way.
func Preview(ctx context.Context, conn *pgx.Conn, in Input) (Plan, error) {
	r, err := take(ctx, conn, in)
	if err != nil {
		return Plan{}, err
	}
	defer r.release(ctx)
	if _, found, err := r.openMove(ctx); err != nil || found {
		return r.move.plan, err
	}
	var plan Plan
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		if plan, err = r.plan(ctx, tx); err == nil {
			err = errRolledBack
		}
		return err
	})
	if errors.Is(err, errRolledBack) {
		err = nil
	}
	return plan, err
}

var errRolledBack = errors.New("nothing is kept")

// Status is the tenant's open move, else its last one; found is false where it never moved.
func Status(ctx context.Context, db pg.DB, tenant string) (m Move, found bool, err error) {
	who, err := findSubject(ctx, db, tenant)
	if err != nil {
		return m, false, err
	}
	if m, found, err = latest(ctx, db, who); err == nil && found {
		m.Worker, err = worker(ctx, db, who)
	}
	return m, found, err
}

// openMove reads the open move of the tenant into the run.
func (r *run) openMove(ctx context.Context) (Move, bool, error) {
	m, found, err := latest(ctx, r.conn, r.who)
	if err != nil || !found || !m.open() {
		return Move{}, false, err
	}
	m.plan.Silent = m.plan.silent(r.may)
	r.move, r.sql = m, newStatements(m)
	return m, true, r.identify(ctx)
}

// refuseOther tells why an open move cannot be gone on with.
func (r *run) refuseOther() error {
	m := r.move
	switch {
	case m.To != r.in.To:
		return fmt.Errorf("%s is on its way to %s already: --confirm or --undo ends that", m.Slug, m.To)
	case m.Progress.Undoing:
		return fmt.Errorf("the move of %s is being taken back: go on with --undo", m.Slug)
	case m.Progress.Confirming:
		return fmt.Errorf("the move of %s is being confirmed: go on with --confirm", m.Slug)
	case m.State == Cut:
		return fmt.Errorf("%s has moved to %s: end it with --confirm, which removes the source, or --undo", m.Slug, m.To)
	}
	return nil
}

// begin makes the move and has it note the changes at the source, or goes on with one.
func (r *run) begin(ctx context.Context) error {
	_, found, err := r.openMove(ctx)
	if err != nil {
		return err
	}
	if found {
		if err := r.refuseOther(); err != nil {
			return err
		}
		r.tell("going on with the move of %s that began %s", r.who.Slug, r.move.StartedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	} else if err := r.inTx(ctx, "making the move", func(tx pgx.Tx) error { return r.make(ctx, tx) }); err != nil {
		return err
	} else if err := errors.Join(r.identify(ctx), r.count(ctx)); err != nil {
		return err
	}
	if err := r.refresh(ctx, r.conn); err != nil || r.move.Progress.Captured {
		return err
	}
	return r.capture(ctx)
}

// plan reads the catalog, with the schema there is or, where the tenant goes into one, a
// new one.
func (r *run) plan(ctx context.Context, tx pgx.Tx) (Plan, error) {
	switch {
	case r.who.Status == "deleted":
		return Plan{}, fmt.Errorf("%s is deleted: restore it first", r.who.Slug)
	case r.who.Strategy == r.in.To && r.in.To == ToSchema:
		return Plan{}, fmt.Errorf("%s lives in a schema of its own already, %s", r.who.Slug, r.who.Schema)
	case r.who.Strategy == r.in.To:
		return Plan{}, fmt.Errorf("%s lives in the shared tables already", r.who.Slug)
	case r.in.To == ToRLS && r.who.Schema == "":
		return Plan{}, fmt.Errorf("%s has no schema to come from", r.who.Slug)
	}
	schema, made := r.who.Schema, false
	if schema == "" {
		var err error
		if schema, err = pg.Scalar[string](ctx, tx, makeSchemaSQL, pgx.NamedArgs{"tenant_id": r.who.ID, "prefix": r.in.Prefix}); err != nil {
			return Plan{}, fmt.Errorf("make a schema for %s: %w", r.who.Slug, err)
		}
		made = true
	}
	shapes, list, err := r.read(ctx, tx, schema)
	if err != nil {
		return Plan{}, err
	}
	plan, err := match(r.in.To, schema, list, shapes)
	plan.Made, plan.Silent = made, plan.silent(r.may)
	if err != nil || plan.Silent { // then nothing is looked up
		return plan, err
	}
	plan.Notes = append(plan.Notes, plan.unindexed()...)
	return plan, r.bounded(ctx, tx, plan)
}

// read is the list of the customer's tables, and the shapes of all that a move is about.
func (r *run) read(ctx context.Context, db pg.DB, schema string) (map[isolation.Name]*shape, isolation.List, error) {
	list, err := isolation.Registered(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	list = slices.DeleteFunc(list, func(t isolation.Table) bool {
		_, own := r.ours.Find(t.Name)
		return own
	})
	var names []isolation.Name
	for _, t := range list {
		names = append(names, t.Name)
	}
	shapes, err := readShapes(ctx, db, names, schema)
	return shapes, list, err
}

// make writes the move down. What the files of tenant_migrations/ put into a new schema
// makes way for the tenant's own rows.
func (r *run) make(ctx context.Context, tx pgx.Tx) error {
	plan, err := r.plan(ctx, tx)
	if err != nil {
		return err
	}
	m := Move{Tenant: r.who.ID, Slug: r.who.Slug, To: r.in.To, State: Copying, Schema: plan.Schema, plan: plan, Progress: Progress{Tables: map[string]*Copy{}}}
	w := newStatements(m)
	for _, t := range plan.Tables {
		m.Progress.Tables[t.name()] = &Copy{}
	}
	if plan.Made {
		var sides []Side
		for _, t := range plan.Tables {
			sides = append(sides, t.Own)
		}
		if _, err := tx.Exec(ctx, w.clearAll(sides), plainly); err != nil {
			return err
		}
	}
	m.ID, err = pg.Scalar[string](ctx, tx, insertSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "target": string(m.To), "plan": plan, "progress": m.Progress})
	if err != nil {
		return fmt.Errorf("write the move down: %w", err)
	}
	r.move, r.sql = m, newStatements(m)
	return nil
}

// count finds out how much there is to copy. It is no part of making the move, which keeps
// tenant migrations from being registered until it ends.
func (r *run) count(ctx context.Context) error {
	for _, note := range r.move.plan.Notes {
		r.tell("note: %s", note)
	}
	totals := map[string]int64{}
	for _, t := range r.move.plan.Tables {
		var rows int64
		if err := r.conn.QueryRow(ctx, r.sql.count(r.move.plan.source(t)), plainly).Scan(&rows); err != nil {
			return fmt.Errorf("count %s: %w", r.move.plan.source(t).Table, err)
		}
		totals[t.name()] = rows
	}
	return r.promise(ctx, func(p *Progress) {
		for name, rows := range totals {
			p.Tables[name].Total = rows
		}
	})
}

// refresh reads the tables again and refuses to go on where they are not as the plan has
// them: a migration came between.
func (r *run) refresh(ctx context.Context, db pg.DB) error {
	plan := &r.move.plan
	shapes, list, err := r.read(ctx, db, plan.Schema)
	if err != nil {
		return err
	}
	now, err := match(plan.To, plan.Schema, list, shapes)
	if err != nil {
		return fmt.Errorf("the tables changed since the move began; %s: %w", r.wayOut(), err)
	}
	if changed := plan.changed(now); changed != "" {
		return fmt.Errorf("%s changed since the move began, and what was copied may lack it; %s", changed, r.wayOut())
	}
	now.Made, now.Silent = plan.Made, now.silent(r.may)
	r.move.plan = now
	return nil
}

// wayOut is what is left to do where the tables are not as they were.
func (r *run) wayOut() string {
	if r.move.State == Cut {
		return "there is no way back over the change: take it out, or stay with --confirm"
	}
	return "take the move back with --undo and begin again"
}
