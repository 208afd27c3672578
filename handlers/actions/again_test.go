package actions_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func (h house) do(t *testing.T, sql string) {
	t.Helper()
	if _, err := h.under.Superuser(t).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// onRename puts a step into every transaction that changes a tenant's row.
func (h house) onRename(t *testing.T, step string) {
	t.Helper()
	h.do(t, `CREATE FUNCTION public.step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $step$ BEGIN `+step+` RETURN NULL; END $step$;
		CREATE TRIGGER step AFTER UPDATE ON tenants.tenants FOR EACH ROW EXECUTE FUNCTION public.step()`)
}

func TestATransactionEndedByADeadlockBeginsAnew(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.do(t, `CREATE SEQUENCE public.begun; CREATE TABLE public.gate AS SELECT 1 AS opened`)
	h.onRename(t, `PERFORM nextval('public.begun'); UPDATE public.gate SET opened = 2;`)
	// The action is the one that notices, and so the one that ends.
	h.do(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = %L', current_database(), '3s'); END $$`)
	h.db.Reset()

	watcher := h.under.Superuser(t)
	other, err := watcher.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback(t.Context()) }()
	if _, err := other.Exec(t.Context(), `SET LOCAL deadlock_timeout = '10min'; SET LOCAL lock_timeout = '30s'; UPDATE public.gate SET opened = 3`); err != nil {
		t.Fatal(err)
	}
	answered := make(chan reply, 1)
	go func() {
		answered <- h.call(t, owner(team), "updateTenant", map[string]any{"name": "after the deadlock"})
	}()
	untilSomebodyWaits(t, watcher) // asked outside the other's transaction, which would read once who waits
	if _, err := other.Exec(t.Context(), `UPDATE tenants.tenants SET name = 'the other' WHERE id = $1`, team.ID); err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.status != http.StatusOK || got.body["name"] != "after the deadlock" {
		t.Errorf("%d %v", got.status, got.body)
	}
	if n := h.count(t, `SELECT last_value::int FROM public.begun`); n != 3 {
		t.Errorf("%d changes were begun, want the other's and two of the action", n)
	}
}

func TestATransactionBeginsAnewThreeTimesAtMost(t *testing.T) {
	for begun, status := range map[int]int{4: http.StatusOK, 5: http.StatusServiceUnavailable} {
		h := newHouse(t)
		team := pgtest.NewTeam(t, h.db)
		h.do(t, `CREATE SEQUENCE public.begun`)
		h.onRename(t, `IF nextval('public.begun') < `+strconv.Itoa(begun)+` THEN RAISE SQLSTATE '40001'; END IF;`)
		got := h.call(t, owner(team), "updateTenant", map[string]any{"name": "at last"})
		if n := h.count(t, `SELECT last_value::int FROM public.begun`); got.status != status || n != 4 {
			t.Errorf("%d transactions, %d %v; want 4 and %d", n, got.status, got.body, status)
		}
	}
}
