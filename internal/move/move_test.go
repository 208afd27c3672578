package move

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A superuser's writes may pass triggers and references by, those of the owner may not.
func TestATenantMovesToASchemaAndBack(t *testing.T) {
	for _, login := range []string{"postgres", "nself_owner"} {
		t.Run(login, func(t *testing.T) { moveThereAndBack(t, login) })
	}
}

func moveThereAndBack(t *testing.T, login string) {
	h := newHouse(t)
	h.login = login
	h.fill(t, h.acme)
	h.fill(t, h.techco)
	before, others := h.rows(t, h.acme, "crm"), h.rows(t, h.techco, "crm")

	m, err := Run(t.Context(), h.conn(t), h.input(t, ToSchema))
	if err != nil {
		t.Fatal(err)
	}
	if m.State != Cut || m.Locked() <= 0 || m.CutAt == nil || h.strategy(t, h.acme) != "schema" {
		t.Errorf("after the cut-over: %+v", m)
	}
	schema := h.schemaOf(t, h.acme)
	if diff := cmp.Diff(before, h.rows(t, h.acme, schema)); diff != "" {
		t.Errorf("the copy: %s", diff)
	}
	h.as(t, h.acme, "INSERT INTO "+schema+".deals (title) VALUES ('the identity goes on')")
	h.as(t, h.acme, "INSERT INTO "+schema+".folders (name) VALUES ('the serial goes on')")
	err = h.try(t.Context(), h.acme, `INSERT INTO crm.contacts (name) VALUES ('late')`)
	if err == nil || !strings.Contains(err.Error(), "the rows of tenant "+h.acme.Slug+" are not in crm.contacts") {
		t.Errorf("a writer at the old place: %v", err)
	}
	h.as(t, h.techco, `INSERT INTO crm.contacts (name) VALUES ('another tenant goes on')`)
	h.as(t, h.techco, `DELETE FROM crm.contacts WHERE name = 'another tenant goes on'`)

	if m, err = Confirm(t.Context(), h.conn(t), h.input(t, ToSchema)); err != nil || m.State != Confirmed {
		t.Fatalf("%+v, %v", m, err)
	}
	for table, left := range h.rows(t, h.acme, "crm") {
		if left != "" {
			t.Errorf("rows of crm.%s are left: %s", table, left)
		}
	}
	if left := h.ask(t, `SELECT count(*)::text FROM pg_trigger WHERE tgname LIKE 'nself_move%'`); left != "0" {
		t.Errorf("%s triggers are left", left)
	}

	moved := h.rows(t, h.acme, schema)
	if _, err = Run(t.Context(), h.conn(t), h.input(t, ToRLS)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(moved, h.rows(t, h.acme, "crm")); diff != "" {
		t.Errorf("the copy back: %s", diff)
	}
	h.as(t, h.acme, `INSERT INTO crm.folders (name) VALUES ('the serial goes on')`)
	if _, err = Confirm(t.Context(), h.conn(t), h.input(t, ToRLS)); err != nil {
		t.Fatal(err)
	}
	if got := h.schemaOf(t, h.acme); got != "none" || h.strategy(t, h.acme) != "rls" {
		t.Errorf("schema %s, strategy %s", got, h.strategy(t, h.acme))
	}
	if diff := cmp.Diff(others, h.rows(t, h.techco, "crm")); diff != "" {
		t.Errorf("the other tenant's: %s", diff)
	}
}
