package move

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loud puts triggers of a customer's on shared tables; one refers to itself, two are a circle.
func (h *house) loud(t *testing.T) {
	t.Helper()
	h.exec(t, `CREATE FUNCTION crm.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	for _, table := range []string{"contacts", "folders", "teams"} {
		h.exec(t, `CREATE TRIGGER note BEFORE UPDATE ON crm.`+table+` FOR EACH ROW EXECUTE FUNCTION crm.note()`)
	}
}

// inSchema has acme live in a schema of its own, with the rows of fill in it.
func (h *house) inSchema(t *testing.T) {
	t.Helper()
	h.fill(t, h.acme)
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
	if _, err := Confirm(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil {
		t.Fatal(err)
	}
}

// A transaction of another tenant that goes on all the while: nothing of the copy, or of
// removing it, waits for it, so nothing would keep others waiting.
func TestOtherTenantsDoNotWaitForRowsThatMove(t *testing.T) {
	h := newHouse(t)
	h.inSchema(t)
	h.loud(t)
	before := h.rows(t, h.acme, h.schemaOf(t, h.acme))
	r, err := take(t.Context(), h.conn(t), h.input(t, ToRLS))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := h.app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback(context.WithoutCancel(t.Context())) }()
	if err := enter(t.Context(), other, h.techco); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"contacts (name) VALUES ('other')", "folders (name) VALUES ('other')", "teams (id) VALUES (1)"} {
		if _, err := other.Exec(t.Context(), `INSERT INTO crm.`+table); err != nil {
			t.Fatal(err)
		}
	}
	r.in.Progress = func(text string) {
		if strings.Contains(text, "waits for others") {
			t.Errorf("the move waited: %s", text)
		}
	}
	if err := errors.Join(r.copy(t.Context()), r.compare(t.Context()), r.cutOver(t.Context())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, h.rows(t, h.acme, "crm")); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(r.switchBack(t.Context()), r.clear(t.Context(), r.move.plan.target)); err != nil {
		t.Fatal(err)
	}
	r.die()
	if left := strings.Join([]string{h.rows(t, h.acme, "crm")["folders"], h.rows(t, h.acme, "crm")["teams"]}, ""); left != "" {
		t.Errorf("left in the shared tables: %s", left)
	}
}

// References that one side alone has are looked up though the login need not.
func TestReferencesOfTheTargetAloneAreHeld(t *testing.T) {
	h := newHouse(t)
	h.exec(t, `ALTER TABLE crm.deals DROP CONSTRAINT deals_contact_id_fkey`)
	for _, name := range strings.Fields(h.ask(t, `SELECT coalesce(string_agg(conname, ' '), '') FROM pg_constraint WHERE conrelid = 'crm.deals'::regclass AND confrelid = 'crm.contacts'::regclass`)) {
		h.exec(t, `ALTER TABLE crm.deals DROP CONSTRAINT `+name)
	}
	h.loud(t)
	h.as(t, h.acme, `INSERT INTO crm.deals (contact_id, title) VALUES (gen_random_uuid(), 'of nobody')`)
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err == nil || !strings.Contains(err.Error(), "violates foreign key constraint") {
		t.Errorf("got %v", err)
	}
}

// Who may not write without triggers does not keep others waiting for a long statement.
func TestALongStatementOverLoudTablesIsRefused(t *testing.T) {
	h := newHouse(t)
	h.loud(t)
	h.as(t, h.acme, `INSERT INTO crm.folders (name) SELECT 'folder' FROM generate_series(1, 10001)`)
	h.login = "nself_owner"
	_, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema))
	var problems Problems
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), "crm.folders: more than 10000 rows refer to one another and have triggers") {
		t.Errorf("got %v", err)
	}
}

func TestTablesAreOneGroupOnlyWhereEachRefersToTheOther(t *testing.T) {
	table := func(oid uint32, refers ...uint32) Table {
		s := &shape{OID: oid}
		for _, to := range refers {
			s.References = append(s.References, reference{To: to})
		}
		return Table{Shared: Side{Shape: s}, Own: Side{Shape: &shape{OID: oid + 1000}}}
	}
	p := Plan{Tables: []Table{table(1, 2), table(2, 1, 5), table(3, 2), table(4, 3), table(5)}}
	p.order()
	if diff := cmp.Diff([][]int{{4}, {0, 1}, {2}, {3}}, p.Groups); diff != "" {
		t.Error(diff)
	}
}

// Neither a setting of the writer's nor that of the move opens the old place.
func TestAWriterCannotSayThatHeMayPass(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	h.exec(t, `CREATE FUNCTION public.write() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE crm.folders SET name = $$late$$';
		ALTER FUNCTION public.write() OWNER TO nself_owner; GRANT EXECUTE ON FUNCTION public.write() TO nself_app`)
	m, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, write := range []string{
		`WITH s AS MATERIALIZED (SELECT set_config('nself.` + m.gate() + `', '1', true)) INSERT INTO crm.contacts (name) SELECT 'late' FROM s`,
		`SELECT public.write() FROM set_config('nself.mover', '` + m.ID + `', true)`,
	} {
		if err := h.try(t.Context(), h.acme, write); err == nil || !strings.Contains(err.Error(), "are not in crm.") {
			t.Errorf("%s: %v", write, err)
		}
	}
}

func TestAKeyThatHoldsJSONIsRefused(t *testing.T) {
	h := houseOf(t, `CREATE SCHEMA crm; GRANT ALL ON SCHEMA crm TO nself_owner; CREATE TABLE crm.odd (key jsonb PRIMARY KEY)`, `CREATE TABLE odd (key jsonb PRIMARY KEY)`, []string{"odd"})
	if _, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema)); err == nil || !strings.Contains(err.Error(), "a null of JSON cannot be told from none") {
		t.Errorf("got %v", err)
	}
}

func TestWhoWorksOnAMoveIsTold(t *testing.T) {
	h := newHouse(t)
	r := h.halfway(t, ToSchema)
	defer r.die()
	m, _, err := Status(t.Context(), h.admin, h.acme.Slug)
	if err != nil || m.Worker != int(r.conn.PgConn().PID()) {
		t.Errorf("worker %d, %v; the connection is %d", m.Worker, err, r.conn.PgConn().PID())
	}
}

// Where Hasura is to know of the schema, it does before the tenant lives there.
func TestHasuraKnowsTheTablesBeforeTheCutOver(t *testing.T) {
	h := newHouse(t)
	in, lived := h.input(t, ToSchema), ""
	in.Known = func(context.Context) error { lived = h.strategy(t, h.acme); return errors.New("Hasura is away") }
	if _, err := Run(t.Context(), h.conn(t), in); err != nil || lived != "rls" || h.strategy(t, h.acme) != "schema" {
		t.Errorf("asked while the strategy was %q, then %s: %v", lived, h.strategy(t, h.acme), err)
	}
}
