package events_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nself/tenancy/internal/pgtest"
)

// reach makes the team have a storage limit of 100 bytes and use so many of them.
func (h house) reach(t *testing.T, team pgtest.Team, bytes string) {
	t.Helper()
	_, err := h.under.Superuser(t).Exec(t.Context(), `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES ($1, 'storage', 100) ON CONFLICT DO NOTHING`, team.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, h.deliverTo("usage", delivery{table: objects, op: "INSERT", new: object(team, bytes)}.String())); got != "done" {
		t.Fatal(got)
	}
}

// totalEvent is the event that Hasura delivers of the team's total of storage.
func (h house) totalEvent(t *testing.T, team pgtest.Team) delivery {
	t.Helper()
	var row string
	err := h.db.QueryRow(t.Context(), `SELECT json_build_object('tenant_id', tenant_id, 'meter', meter, 'period_start', period_start, 'reached', reached)
		FROM billing.usage_totals WHERE tenant_id = $1 AND meter = 'storage'`, team.ID).Scan(&row)
	if err != nil {
		t.Fatal(err)
	}
	return delivery{id: uuid.NewString(), table: "billing.usage_totals", op: "UPDATE", old: row, new: row}
}

// warnings are those that were told of.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) add(meter string, threshold int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, fmt.Sprint(meter, " ", threshold))
}

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list
}

const (
	noticesSQL = `SELECT count(*) FROM billing.quota_notices WHERE tenant_id = $1`
	mailsSQL   = `SELECT count(*) FROM nself.river_job WHERE kind = 'mail'`
)

func TestAThresholdIsWarnedOfOnceHoweverManyEventsTellOfIt(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.reach(t, team, "79")
	if got := outcome(t, h.deliverTo("quota", h.totalEvent(t, team).String())); got != "done" || h.count(t, noticesSQL, team.ID) != 0 || h.count(t, mailsSQL) != 0 {
		t.Errorf("below every threshold: %s, %d notices, %d mails", got, h.count(t, noticesSQL, team.ID), h.count(t, mailsSQL))
	}
	h.reach(t, team, "2")
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			if got := said(h.deliverTo("quota", h.totalEvent(t, team).String())); got != "done" {
				t.Errorf("an event of its own id: %s", got)
			}
		})
	}
	wait.Wait()
	if n, m := h.count(t, noticesSQL, team.ID), h.count(t, mailsSQL); n != 1 || m != 1 {
		t.Errorf("%d notices and %d mails; one owner, one threshold", n, m)
	}
	if diff := cmp.Diff([]string{"storage 80"}, h.warned.all()); diff != "" {
		t.Errorf("told of: %s", diff)
	}
	late := h.totalEvent(t, team)
	h.reach(t, team, "100")
	for _, want := range []string{"done", "repeated"} { // a late event tells what the total is now
		if got := outcome(t, h.deliverTo("quota", late.String())); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n, diff := h.count(t, noticesSQL, team.ID), cmp.Diff([]string{"storage 80", "storage 100"}, h.warned.all()); n != 2 || diff != "" {
		t.Errorf("%d notices after the second threshold; told of: %s", n, diff)
	}
}
