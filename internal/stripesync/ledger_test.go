package stripesync_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripesync"
)

// ledger is an event in each state: its id says which.
func (w *world) ledger(t *testing.T) (subscription string) {
	t.Helper()
	origin, sub := w.subscribed(t)
	w.exec(t, `DELETE FROM billing.stripe_events`)
	created := hint("evt_applied", sub.ID)
	created.Type, created.Kind, created.Customer = "customer.subscription.created", stripesync.Subscription, sub.Customer
	other, live := hint("evt_ignored", "price_1"), hint("evt_live", "in_1")
	other.Kind, live.Livemode = "", true
	w.accept(t, created, hint("evt_parked", "in_none"), other, live)
	w.work(t)
	w.accept(t, hint("evt_dead", "in_dead"), hint("evt_waiting", "in_waiting"))
	if err := w.Bury(t.Context(), "in_dead", errors.New("it was so")); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, w, `SELECT count(*)::text FROM billing.customers WHERE tenant_id = $1`, origin.Tenant); got != "1" {
		t.Fatalf("%s customers", got)
	}
	return sub.ID
}

func TestEventsTellWhatBecameOfThem(t *testing.T) {
	w := newWorld(t)
	w.ledger(t)
	states := map[string]string{}
	for _, e := range must[[]stripesync.EventRow](t)(stripesync.Events(t.Context(), w.pool, stripesync.Page{Limit: 10})) {
		states[e.ID] = e.State
		if (e.Reason == nil) != (e.State == "applied" || e.State == "waiting") || e.Payload != nil {
			t.Errorf("%s: reason %v, payload %v", e.ID, e.Reason, e.Payload)
		}
	}
	want := map[string]string{
		"evt_applied": "applied", "evt_parked": "parked", "evt_ignored": "ignored", "evt_live": "parked", "evt_dead": "dead", "evt_waiting": "waiting",
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

func TestEventsAreListedByPageAndFilter(t *testing.T) {
	w := newWorld(t)
	sub := w.ledger(t)
	row := must[stripesync.EventRow](t)(stripesync.EventOf(t.Context(), w.pool, "evt_applied"))
	if row.TenantID.IsZero() || *row.ObjectID != sub || *row.Kind != stripesync.Subscription || *row.Payload != `{}` {
		t.Errorf("the event is %+v", row)
	}
	for name, c := range map[string]struct {
		page stripesync.Page
		want int
	}{
		"a state":             {stripesync.Page{State: "parked", Limit: 10}, 2},
		"a type":              {stripesync.Page{Type: "customer.subscription.created", Limit: 10}, 1},
		"a tenant":            {stripesync.Page{Tenant: row.TenantID, Limit: 10}, 1},
		"the future":          {stripesync.Page{Since: time.Now().Add(time.Hour), Limit: 10}, 0},
		"the past":            {stripesync.Page{Since: time.Now().Add(-time.Hour), Limit: 10}, 6},
		"so many":             {stripesync.Page{Limit: 4}, 4},
		"those after unknown": {stripesync.Page{After: "evt_none", Limit: 10}, 0},
	} {
		if got := must[[]stripesync.EventRow](t)(stripesync.Events(t.Context(), w.pool, c.page)); len(got) != c.want {
			t.Errorf("%s: %d events, want %d", name, len(got), c.want)
		}
	}
	var paged int
	for page := (stripesync.Page{Limit: 4}); ; {
		rows := must[[]stripesync.EventRow](t)(stripesync.Events(t.Context(), w.pool, page))
		if paged += len(rows); len(rows) == 0 {
			break
		}
		page.After = rows[len(rows)-1].ID
	}
	if paged != 6 {
		t.Errorf("the pages hold %d events", paged)
	}
	for _, event := range []string{"evt_none", ""} {
		if _, err := stripesync.EventOf(t.Context(), w.pool, event); !fault.Is(err, fault.NotFound) {
			t.Errorf("event %q: %v", event, err)
		}
	}
}

func TestOnlyOldEventsThatNobodyHasToLookAtArePruned(t *testing.T) {
	w := newWorld(t)
	w.ledger(t)
	if n, err := stripesync.PruneEvents(t.Context(), w.pool); n != 0 || err != nil {
		t.Errorf("new ones: %d, %v", n, err)
	}
	w.exec(t, `UPDATE billing.stripe_events SET received_at = now() - interval '36 days'`)
	if n, err := stripesync.PruneEvents(t.Context(), w.pool); n != 3 || err != nil {
		t.Errorf("pruned %d, %v; want the applied, the ignored and that of another mode", n, err)
	}
	if left := one[int](t, w, `SELECT count(*) FROM billing.stripe_events`); left != 3 {
		t.Errorf("%d are left, want the parked, the dead and the waiting", left)
	}
}

func TestOnlyObjectsThatNothingWasToldOfForLongArePruned(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.accept(t, hint("evt_waiting", "in_waiting"))
	w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = now() - interval '401 days', applied_at = now() - interval '401 days'`)
	w.exec(t, `UPDATE billing.stripe_objects SET applied_at = now() WHERE object_id = $1`, sub.Customer)
	if n, err := stripesync.PruneEvents(t.Context(), w.pool); n != 0 || err != nil {
		t.Errorf("while their events are kept %d are pruned, %v", n, err)
	}
	w.exec(t, `DELETE FROM billing.stripe_events`)
	applied := one[int64](t, w, `SELECT count(*) FROM billing.stripe_objects WHERE state = 'applied'`)
	if n, err := stripesync.PruneEvents(t.Context(), w.pool); n != applied-1 || err != nil {
		t.Errorf("pruned %d of %d, %v; want all but the customer", n, applied, err)
	}
	w.wantState(t, sub.Customer, "applied")
	w.wantState(t, "in_waiting", "waiting")
}

func TestReplayFollowsAgain(t *testing.T) {
	w := newWorld(t)
	sub := w.ledger(t)
	w.setCancel(t, sub, true) // of which no event came
	report, err := w.Replay(t.Context(), []string{"evt_applied", "evt_ignored", "evt_parked"}, time.Time{})
	if diff := cmp.Diff(stripesync.ReplayReport{Replayed: 2, Applied: 1, Parked: 1}, report); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if !one[bool](t, w, cancelsSQL, sub) {
		t.Error("what the subscription is now is not here")
	}
	report, err = w.Replay(t.Context(), nil, time.Now().Add(-time.Hour))
	if diff := cmp.Diff(stripesync.ReplayReport{Replayed: 4, Applied: 1, Parked: 3}, report); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.failing(stripe.FaultErrorUndone)
	report, err = w.Replay(t.Context(), []string{"evt_dead"}, time.Time{})
	if diff := cmp.Diff(stripesync.ReplayReport{Replayed: 1, Waiting: 1}, report); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestReplayOfManySaysWhenceToGoOn(t *testing.T) {
	w := newWorld(t)
	sub := w.ledger(t)
	w.exec(t, `INSERT INTO billing.stripe_events (event_id, type, object_id, number, livemode, api_version, created_at, received_at, payload)
		SELECT 'evt_' || n, 't', $1, 1, false, 'v', now(), now() + n * interval '1 second', '{}' FROM generate_series(1, 2100) n`, sub)
	since := time.Now().Add(time.Millisecond)
	for _, want := range []int{2000, 100} {
		report, err := w.Replay(t.Context(), nil, since)
		if err != nil || report.Replayed != want || report.Applied != want || report.Next.IsZero() != (want == 100) {
			t.Errorf("%+v, %v; want %d", report, err, want)
		}
		since = report.Next
	}
}

func TestReplayTellsWhatItDidWhereTimeIsUp(t *testing.T) {
	w := newWorld(t)
	sub := w.ledger(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	w.delay("subscriptions/"+sub, func() { <-ctx.Done() })
	report, err := w.Replay(ctx, []string{"evt_applied"}, time.Time{})
	if diff := cmp.Diff(stripesync.ReplayReport{Replayed: 1, Waiting: 1}, report); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.work(t)
	w.wantState(t, sub, "applied")
}

func TestReplayRefusesWhatIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.ledger(t)
	before := one[int](t, w, `SELECT sum(hints) FROM billing.stripe_objects`)
	if _, err := w.Replay(t.Context(), []string{"evt_applied", "evt_none"}, time.Time{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown event: %v", err)
	}
	if _, err := w.Replay(t.Context(), nil, time.Time{}); !fault.Is(err, fault.InvalidInput) {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := w.Replay(t.Context(), []string{"evt\x00"}, time.Time{}); fault.From(pg.Explain(err)).Code != fault.InvalidInput {
		t.Errorf("an id that is none: %v", err)
	}
	if after := one[int](t, w, `SELECT sum(hints) FROM billing.stripe_objects`); after != before {
		t.Errorf("%d hints came of it", after-before)
	}
}
