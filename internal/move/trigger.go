package move

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// place is where a tenant lives while its move is open: the value of the move's gate.
type place string

const (
	atSource place = "1"
	atTarget place = "2"
)

// gate is the name of the sequence that tells where the tenant lives, and of the lock that
// writers share and the cut-over has alone.
func (m Move) gate() string { return "move_gate_" + strings.ReplaceAll(m.ID, "-", "") }

// triggers are those of a move on each of its tables: they wait for a cut-over, note what
// changes where the tenant lives, and refuse its writers where it does not. They stay as
// they are over the cut-over, which therefore needs no lock of the tables.
func (m Move) triggers() []string {
	prefix := "nself_move_" + strings.ReplaceAll(m.ID, "-", "")
	return []string{prefix + "_await", prefix + "_gone", prefix + "_put", prefix + "_stop_gone", prefix + "_stop_put", prefix + "_truncate"}
}

// moverSetting is the setting by which the session of a move, and what references cascade
// in it, is told from other writers that act as the owner: functions, events, migrations.
// Whoever has not set the role himself, as nobody can in a function, is not believed it.
const moverSetting = "nself.mover"

// watch makes the triggers of a side. They run whatever the session_replication_role of a
// writer. Nobody but the move itself writes where the tenant does not live.
func (w statements) watch(t Table, s, other Side, here place) []string {
	gate, names := literal(w.move.gate()), w.move.triggers()
	await := fmt.Sprintf("nself.await_move(%s, %s)", literal(w.move.Tenant.String()), gate)
	note := "nself.note_moved_change(" + joined([]string{literal(w.move.Tenant.String()), gate, literal(string(here)), literal(w.move.ID), literal(t.name()), joined(literals(t.keyNames()))}) + ")"
	stop := "nself.refuse_moved_write(" + joined([]string{gate, literal(string(here)), literal(fmt.Sprintf("the rows of tenant %s are not in %s", w.move.Slug, s.Table)),
		literal("Write to " + other.Table.String() + ": that is where the tenant lives.")}) + ")"
	const made = "CREATE OR REPLACE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s"
	// What the move writes it writes where nothing is noted.
	row := func(alias string) string {
		return fmt.Sprintf("ROW WHEN (%s AND NOT (current_user = 'nself_owner' AND current_setting('role') = 'nself_owner' AND coalesce(current_setting('%s', true), '') = %s))",
			w.rows(s, alias), moverSetting, literal(w.move.ID))
	}
	all := []string{
		fmt.Sprintf(made, names[0], "BEFORE INSERT OR UPDATE OR DELETE", s.sql(), "STATEMENT", await),
		fmt.Sprintf(made, names[1], "AFTER DELETE", s.sql(), row("OLD"), note),
		fmt.Sprintf(made, names[2], "AFTER INSERT OR UPDATE", s.sql(), row("NEW"), note),
		fmt.Sprintf(made, names[3], "AFTER DELETE", s.sql(), row("OLD"), stop),
		fmt.Sprintf(made, names[4], "AFTER INSERT OR UPDATE", s.sql(), row("NEW"), stop),
		fmt.Sprintf(made, names[5], "BEFORE TRUNCATE", s.sql(), "STATEMENT", "nself.refuse_moved_truncate()"),
	}
	for _, name := range names {
		all = append(all, fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", s.sql(), name))
	}
	return all
}

func literals(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = literal(text)
	}
	return out
}

func (w statements) drop(s Side) []string {
	var out []string
	for _, name := range w.move.triggers() {
		out = append(out, fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", name, s.sql()))
	}
	return out
}

const watchingSQL = `
	SELECT count(*) FROM pg_catalog.pg_trigger t
	WHERE t.tgname = ANY (@names) AND t.tgrelid = ANY (@tables::oid[]) AND t.tgenabled = 'A'`

// watched makes sure that the triggers of a move stand on all tables: without them changes
// would be lost.
func (m Move) watched(ctx context.Context, db pg.DB, sides []Side) error {
	var oids []uint32
	for _, s := range sides {
		oids = append(oids, s.Shape.OID)
	}
	names := m.triggers()
	standing, err := pg.Scalar[int](ctx, db, watchingSQL, pgx.NamedArgs{"names": names, "tables": oids})
	if err == nil && standing != len(sides)*len(names) {
		err = fmt.Errorf("a trigger of the move was dropped or stopped by somebody, so changes may be lost: take the move back with --undo and begin again")
	}
	return err
}

// quieten keeps the customer's own triggers from running for rows that a move carries: what
// they do was done when the rows were written. Nobody else's writes miss them, for the
// tables are locked until the transaction ends.
func quieten(ctx context.Context, tx pgx.Tx, sides []Side, in Input) (loud func() error, err error) {
	var off, on, tables []string
	for _, s := range sides {
		for _, t := range s.Shape.Triggers {
			if t.Replica {
				continue
			}
			enable := "ENABLE"
			if t.Always {
				enable = "ENABLE ALWAYS"
			}
			off = append(off, fmt.Sprintf("ALTER TABLE %s DISABLE TRIGGER %s", s.sql(), isolation.Quote(t.Name)))
			on = append(on, fmt.Sprintf("ALTER TABLE %s %s TRIGGER %s", s.sql(), enable, isolation.Quote(t.Name)))
		}
		if len(s.Shape.Triggers) > 0 {
			tables = append(tables, s.sql())
		}
	}
	if len(tables) == 0 {
		return func() error { return nil }, nil
	}
	if err := lock(ctx, tx, tables, in.MaxWait); err != nil {
		return nil, err
	}
	return func() error { return execAll(ctx, tx, append([]string{"SET CONSTRAINTS ALL IMMEDIATE"}, on...)) }, execAll(ctx, tx, off)
}

func execAll(ctx context.Context, db pg.DB, all []string) error {
	for _, one := range all {
		if _, err := db.Exec(ctx, one, plainly); err != nil {
			return err
		}
	}
	return nil
}
