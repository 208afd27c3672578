package move

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// halfway begins a move and stops it when the changes are noted and everything is copied.
func (h *house) halfway(t *testing.T, to Target) *run {
	t.Helper()
	r, err := take(t.Context(), h.conn(t), h.input(t, to))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.begin(t.Context()), r.copy(t.Context())); err != nil {
		t.Fatal(err)
	}
	return r
}

// die ends the run's connection as kill -9 does: nothing is said, nothing tidied up.
func (r *run) die() { _ = r.conn.PgConn().Conn().Close() }

func TestChangesThatNoOrderOfRowsCanMakeAreCarriedOver(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	r := h.halfway(t, ToSchema)
	defer r.die()
	// Two rows exchange a unique value, a third takes that of a row that goes, a key changes
	// with the rows that refer to it, and keys are deleted and made again.
	h.as(t, h.acme, `WITH taken AS (UPDATE crm.contacts SET position = NULL WHERE position IN (1, 2) RETURNING id) SELECT 1`)
	h.as(t, h.acme, `UPDATE crm.contacts SET position = 2 WHERE name = 'contact 1'`)
	h.as(t, h.acme, `UPDATE crm.contacts SET position = 1 WHERE name = 'contact 2'`)
	h.as(t, h.acme, `DELETE FROM crm.contacts WHERE position = 3`)
	h.as(t, h.acme, `UPDATE crm.contacts SET position = 3 WHERE position = 4`)
	h.as(t, h.acme, `DELETE FROM crm.marks`)
	h.as(t, h.acme, `INSERT INTO crm.marks SELECT 'mark ' || n, '2025-10-01'::date + n, '{"again": true}' FROM generate_series(1, 5) n`)
	h.as(t, h.acme, `UPDATE crm.marks SET day = day + 400`)
	h.as(t, h.acme, `INSERT INTO crm.folders (name) VALUES ('new')`)
	before := h.rows(t, h.acme, "crm")
	if err := errors.Join(r.compare(t.Context()), r.cutOver(t.Context())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, h.rows(t, h.acme, h.schemaOf(t, h.acme))); diff != "" {
		t.Error(diff)
	}
}

func TestAKilledMoveGoesOnWhereItWas(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	before := h.rows(t, h.acme, "crm")
	conn := h.conn(t)
	for killed := 0; ; killed++ {
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(5+killed*9)*time.Millisecond)
		if conn.IsClosed() {
			conn = h.conn(t)
		}
		_, err := Run(ctx, conn, h.input(t, ToSchema))
		ended := ctx.Err()
		stop()
		if err == nil {
			t.Logf("killed %d times", killed)
			break
		}
		if ended == nil && !strings.Contains(err.Error(), "another nself tenant move") && !strings.Contains(err.Error(), "has moved to schema") {
			t.Fatalf("after %d kills: %v", killed, err)
		}
		if strings.Contains(err.Error(), "has moved to schema") {
			break
		}
		_ = conn.PgConn().Conn().Close()
		conn = h.conn(t)
	}
	if diff := cmp.Diff(before, h.rows(t, h.acme, h.schemaOf(t, h.acme))); diff != "" {
		t.Error(diff)
	}
}

func TestUndoBeforeTheCutOverLeavesNothing(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	before := h.rows(t, h.acme, "crm")
	h.halfway(t, ToSchema).die()
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToRLS)); err == nil {
		t.Error("a move to the other place began beside it")
	}
	m, err := Undo(t.Context(), h.conn(t), h.input(t, ToSchema))
	if err != nil || m.State != Undone {
		t.Fatalf("%+v, %v", m, err)
	}
	left := h.ask(t, `SELECT concat_ws(' ', (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'nself_move%'), (SELECT count(*) FROM pg_class WHERE relname LIKE 'move_gate%'),
		(SELECT count(*) FROM nself.move_changes), (SELECT count(*) FROM tenants.tenant_schemas))`)
	if left != "0 0 0 0" || cmp.Diff(before, h.rows(t, h.acme, "crm")) != "" || h.strategy(t, h.acme) != "rls" {
		t.Errorf("left: %s, strategy %s", left, h.strategy(t, h.acme))
	}
}

func TestAMigrationBetweenCopyAndCutOverIsNoticed(t *testing.T) {
	h := newHouse(t)
	r := h.halfway(t, ToSchema)
	h.exec(t, `ALTER TABLE `+h.schemaOf(t, h.acme)+`.contacts ADD COLUMN phone text; ALTER TABLE crm.contacts ADD COLUMN phone text`)
	if err := errors.Join(r.compare(t.Context()), r.cutOver(t.Context())); err == nil || !strings.Contains(err.Error(), "crm.contacts changed since the move began") {
		t.Errorf("got %v", err)
	}
	r.die()
	if h.strategy(t, h.acme) != "rls" {
		t.Error("it was cut over")
	}
}

func TestRowsThatDifferAreToldByKey(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	r := h.halfway(t, ToSchema)
	defer r.die()
	err := pgx.BeginFunc(t.Context(), h.admin, func(tx pgx.Tx) error {
		return execAll(t.Context(), tx, []string{"SET LOCAL ROLE nself_owner", "SET LOCAL nself.mover = '" + r.move.ID + "'", "UPDATE " + h.schemaOf(t, h.acme) + ".people SET team_id = 1 + team_id % 30 WHERE id IN (4, 7)"})
	})
	if err != nil {
		t.Fatal(err)
	}
	var differ *Mismatch
	if err := r.compare(t.Context()); !errors.As(err, &differ) || differ.Table != "crm.people" || len(differ.Keys) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestEverythingInWhichTheTablesDifferIsToldAtOnce(t *testing.T) {
	h := newHouse(t)
	h.exec(t, `ALTER TABLE crm.contacts ADD COLUMN phone text; ALTER TABLE crm.deals ALTER COLUMN title TYPE varchar(40);
		ALTER TABLE crm.people ALTER COLUMN team_id DROP NOT NULL; CREATE TABLE crm.visits (contact uuid, tenant_id uuid)`)
	h.register(t, 2, `CREATE TABLE extra (id integer PRIMARY KEY); ALTER TABLE marks DROP CONSTRAINT marks_pkey`)
	_, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema))
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"crm.contacts has the column phone", "the column title of crm.deals is of type character varying(40)", "the column team_id of crm.people is nullable", "need a primary key each"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not told in %v", part, err)
		}
	}
	if h.schemaOf(t, h.acme) != "none" {
		t.Error("the schema is left")
	}
}

func TestTwoRunsDoNotCollide(t *testing.T) {
	h := newHouse(t)
	r := h.halfway(t, ToSchema)
	defer r.die()
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err == nil || !strings.Contains(err.Error(), "another nself tenant move works on") {
		t.Errorf("got %v", err)
	}
}

// A writer at REPEATABLE READ whose snapshot is older than the cut-over is refused as well.
func TestAnOldSnapshotDoesNotPassTheGate(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	old, err := h.app.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Rollback(context.WithoutCancel(t.Context())) }()
	if err := enter(t.Context(), old, h.acme); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(t.Context(), `UPDATE crm.contacts SET name = 'late'`); err == nil || !strings.Contains(err.Error(), "are not in crm.contacts") {
		t.Errorf("got %v", err)
	}
}

func TestTruncateIsRefusedWhileATenantMoves(t *testing.T) {
	h := newHouse(t)
	r := h.halfway(t, ToSchema)
	defer r.die()
	if _, err := h.admin.Exec(t.Context(), `TRUNCATE crm.marks`); err == nil || !strings.Contains(err.Error(), "cannot be truncated while a tenant is being moved") {
		t.Errorf("got %v", err)
	}
}

// What triggers of the customer's did when a row was written they do not do again, and they
// change no row that is carried.
func TestTriggersDoNotRunForRowsThatMove(t *testing.T) {
	for _, login := range []string{"postgres", "nself_owner"} {
		t.Run(login, func(t *testing.T) { hearTheMove(t, login) })
	}
}

func hearTheMove(t *testing.T, login string) {
	h := newHouse(t)
	h.login = login
	h.fill(t, h.acme)
	h.exec(t, `CREATE TABLE public.heard (op text);
		CREATE FUNCTION public.hear() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO public.heard VALUES (TG_OP); IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; NEW.name := NEW.name || ''!''; RETURN NEW; END';
		CREATE TRIGGER hear BEFORE INSERT OR UPDATE OR DELETE ON crm.contacts FOR EACH ROW EXECUTE FUNCTION public.hear()`)
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
	h.as(t, h.acme, `UPDATE `+h.schemaOf(t, h.acme)+`.contacts SET name = 'changed there' WHERE position = 5`)
	if _, err := Undo(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
	if heard := h.ask(t, `SELECT count(*)::text FROM public.heard`); heard != "0" {
		t.Errorf("heard %s times", heard)
	}
	if got := h.ask(t, `SELECT name FROM crm.contacts WHERE position = 5`); got != "changed there" {
		t.Errorf("what was written after the cut-over came back as %s", got)
	}
	h.as(t, h.techco, `INSERT INTO crm.contacts (name) VALUES ('heard')`)
	if heard := h.ask(t, `SELECT count(*)::text FROM public.heard`); heard != "1" {
		t.Errorf("after the move the trigger was heard %s times", heard)
	}
}
