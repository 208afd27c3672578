package move

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Writers are kept out for what is left alone: changes that do not get fewer are carried
// over until they do, or until a round is as short as a wait may be.
func TestTheCutOverWaitsUntilFewChangesAreLeft(t *testing.T) {
	h := newHouse(t)
	r := h.halfway(t, ToSchema)
	defer r.die()
	add := func(rows int) {
		h.as(t, h.acme, `INSERT INTO crm.folders (name) SELECT 'late' FROM generate_series(1, $1::integer)`, rows)
	}
	var rounds []string
	r.in.MaxWait = 20 * time.Millisecond
	r.in.Progress = func(text string) {
		if !strings.HasSuffix(text, "changes carried over") {
			return
		}
		if rounds = append(rounds, text); len(rounds) == 1 {
			add(2500)
		}
	}
	add(3000)
	if err := r.cutOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3000 changes carried over", "2500 changes carried over"}, rounds); diff != "" {
		t.Error(diff)
	}
}

// What acts as the owner of the tables is refused as everybody is.
func TestNobodyButTheMoveWritesWhereTheTenantDoesNotLive(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	h.exec(t, `CREATE FUNCTION public.write(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; END';
		GRANT CREATE ON SCHEMA public TO nself_owner; ALTER FUNCTION public.write(text) OWNER TO nself_owner;
		GRANT EXECUTE ON FUNCTION public.write(text) TO nself_app`)
	refused := func(table, where string) {
		t.Helper()
		for _, statement := range []string{"UPDATE %s SET name = 'late'%s", "DELETE FROM %s%s"} {
			statement = fmt.Sprintf(statement, table, where)
			if err := h.try(t.Context(), h.acme, `SELECT public.write($1)`, statement); err == nil || !strings.Contains(err.Error(), "are not in "+table) {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	r := h.halfway(t, ToSchema)
	own, where := h.schemaOf(t, h.acme)+".folders", " WHERE tenant_id = '"+h.acme.ID.String()+"'"
	refused(own, "")
	h.as(t, h.acme, `SELECT public.write($1)`, `UPDATE crm.folders SET name = 'noted'`+where)
	if err := errors.Join(r.compare(t.Context()), r.cutOver(t.Context())); err != nil {
		t.Fatal(err)
	}
	r.die()
	refused("crm.folders", where)
	h.as(t, h.acme, `SELECT public.write($1)`, `UPDATE `+own+` SET name = 'noted again'`)
	if _, err := Undo(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
	if got := h.ask(t, `SELECT string_agg(DISTINCT name, ',') FROM crm.folders`); got != "noted again" {
		t.Errorf("the folders are %s", got)
	}
}

func (h *house) delete(t *testing.T) {
	t.Helper()
	h.exec(t, `UPDATE tenants.tenants SET status = 'deleted', suspended_at = NULL, deleted_at = now(), purge_after = now() WHERE id = $1`, h.acme.ID.String())
}

// Until its move is ended a deleted tenant's row stays, for the triggers and the gate of the
// move would stay without it.
func TestAMoveOfADeletedTenantIsEndedFirst(t *testing.T) {
	for name, end := range map[string]func(*house) (Move, error){
		"undo":    func(h *house) (Move, error) { return Undo(t.Context(), h.conn(t), h.input(t, ToSchema)) },
		"confirm": func(h *house) (Move, error) { return Confirm(t.Context(), h.conn(t), h.input(t, ToSchema)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.fill(t, h.acme)
			if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
				t.Fatal(err)
			}
			h.delete(t)
			if _, err := h.admin.Exec(t.Context(), `DELETE FROM nself.moves`); err == nil || !strings.Contains(err.Error(), "is open") {
				t.Errorf("the row of an open move was deleted: %v", err)
			}
			if _, err := end(h); err != nil {
				t.Fatal(err)
			}
			left := h.ask(t, `SELECT concat_ws(' ', (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'nself_move%'),
				(SELECT count(*) FROM pg_class WHERE relname LIKE 'move_gate%'), (SELECT count(*) FROM nself.move_changes))`)
			if left != "0 0 0" {
				t.Errorf("left: %s", left)
			}
			h.exec(t, `DELETE FROM nself.moves`)
		})
	}
}

func TestTimesAreToldAlike(t *testing.T) {
	for exact, want := range map[time.Duration]string{63332455: "63.3ms", 9_876_543: "9.9ms", 1_234_567_890: "1.23s"} {
		if got := (Move{Progress: Progress{LockedUS: exact.Microseconds()}}).Locked().String(); got != want {
			t.Errorf("%v is told as %s, not %s", exact, got, want)
		}
	}
}
