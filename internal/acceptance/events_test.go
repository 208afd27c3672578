package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// eventually polls until the condition holds; it fails only where it never does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func runningSessions(t *testing.T, h house) int {
	t.Helper()
	return number(t, connect(t, asOwner), `SELECT count(*) FROM auth.sessions WHERE tenant_id = $1 AND ended_at IS NULL`, h.id)
}

// statusEvents lists the ids and payloads that Hasura's trigger logged for a house.
func statusEvents(t *testing.T, h house) map[string]string {
	t.Helper()
	rows, err := connect(t, asHasura).Query(t.Context(), `SELECT id, payload::text FROM hdb_catalog.event_log
		WHERE trigger_name = 'tenant_status' AND payload -> 'data' -> 'new' ->> 'id' = $1`, h.id)
	if err != nil {
		t.Fatal(err)
	}
	events := map[string]string{}
	var id, payload string
	if _, err := pgx.ForEachRow(rows, []any{&id, &payload}, func() error { events[id] = payload; return nil }); err != nil {
		t.Fatal(err)
	}
	return events
}

func delivered(t *testing.T, event string) int {
	t.Helper()
	return number(t, connect(t, asOwner), `SELECT count(*) FROM nself.inbox WHERE event_id = $1`, event)
}

func TestStatusEventGoesTheWholeWayExactlyOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if runningSessions(t, h) == 0 {
		t.Fatal("the house has no session that could end")
	}
	operator().must(t, suspendIt, h.ref())
	eventually(t, "the sessions of a suspended tenant end", func() bool { return runningSessions(t, h) == 0 })
	events := statusEvents(t, h)
	if len(events) != 1 {
		t.Fatalf("one suspension logged %d events", len(events))
	}
	for id, payload := range events {
		eventually(t, "the event is in the inbox", func() bool { return delivered(t, id) == 1 })
		before := fingerprint(t, h)
		redeliver(t, id, payload, 20)
		for table, rows := range fingerprint(t, h) {
			if rows != before[table] {
				t.Errorf("delivered again, the event changed %s:\n%s\n→\n%s", table, before[table], rows)
			}
		}
	}
	ended := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action LIKE '%session%'`, h.id)
	if ended != 1 {
		t.Errorf("%d audit rows tell that the sessions ended, want 1", ended)
	}
}

// redeliver posts the same event many times at once, as Hasura may.
func redeliver(t *testing.T, id, payload string, times int) {
	t.Helper()
	body := fmt.Sprintf(`{"id": %q, "table": {"schema": "tenants", "name": "tenants"}, "trigger": {"name": "tenant_status"},
		"event": %s, "delivery_info": {"current_retry": 1, "max_retries": 10}, "created_at": "2026-11-23T00:25:48.223125"}`, id, payload)
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			if a := hasura().callRaw(t, "/events/tenant", body); a.status != http.StatusOK {
				t.Errorf("a copy was answered %d: %s", a.status, a.raw)
			}
		})
	}
	wg.Wait()
}

// The copies race each other and Hasura's own delivery for the first place.
func TestEventDeliveredManyTimesAtOnceHasOneEffect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := connect(t, asOwner).Exec(t.Context(), `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, h.id); err != nil {
		t.Fatal(err)
	}
	for id, payload := range statusEvents(t, h) {
		redeliver(t, id, payload, 20)
		if n := delivered(t, id); n != 1 {
			t.Errorf("the inbox holds the event %d times", n)
		}
	}
	if n := runningSessions(t, h); n != 0 {
		t.Errorf("%d sessions still run", n)
	}
	ended := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action LIKE '%session%'`, h.id)
	if ended != 1 {
		t.Errorf("%d audit rows tell that the sessions ended, want 1", ended)
	}
}

// Events come late and out of order: one of a suspension that is over must
// not end the sessions that began after it.
func TestLateEventOfAPastSuspensionEndsNothingNew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator().must(t, suspendIt, h.ref())
	eventually(t, "the sessions end", func() bool { return runningSessions(t, h) == 0 })
	events := statusEvents(t, h)
	operator().must(t, activateIt, h.ref())
	h.owner.signIn(t, h.id)
	for id, payload := range events {
		redeliver(t, id+"-late", payload, 2)
	}
	if n := runningSessions(t, h); n != 1 {
		t.Errorf("%d sessions run after a late event, want the new one", n)
	}
}

func TestEventDoorAsksForTheSecret(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	row := args{"id": h.id, "status": "suspended", "suspended_at": "2026-11-23T00:00:00+00:00", "updated_at": "2026-11-23T00:00:00+00:00"}
	for name, who := range map[string]caller{
		"none": {}, "wrong": {"X-Webhook-Secret": "x"}, "empty": {"X-Webhook-Secret": ""}, "a prefix": {"X-Webhook-Secret": local.Get("NSELF_WEBHOOK_SECRET")[:10]},
		"the admin secret": operator(), "twice": {"X-Webhook-Secret": local.Get("NSELF_WEBHOOK_SECRET") + "," + local.Get("NSELF_WEBHOOK_SECRET")},
	} {
		if a := who.deliver(t, tenantEvent(unique("forged"), "UPDATE", row)); a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	if runningSessions(t, h) == 0 {
		t.Error("a forged event ended the sessions")
	}
}

// A retry cannot help an event that is wrong for good, so it is put aside with
// a reason and acknowledged.
func TestEventThatCanNeverSucceedIsParkedAndAcknowledged(t *testing.T) {
	t.Parallel()
	for _, row := range []any{
		nil, 1, "x", true, []any{}, args{}, args{"id": nil}, args{"id": 5}, args{"id": "x"}, args{"id": nobody, "status": "suspended"},
		args{"id": nobody, "status": "suspended", "suspended_at": "yesterday"}, args{"id": nobody, "status": args{}}, []any{[]any{[]any{}}},
		args{"text": "a\x00b"}, "\x00", strings.Repeat("x", 100_000), args{"id": strings.Repeat("9", 5000)}, 1e300,
	} {
		for _, op := range []string{"MANUAL", "UPDATE", "INSERT", "DELETE", "nonsense"} {
			id := unique("odd")
			if a := hasura().deliver(t, tenantEvent(id, op, row)); a.status != http.StatusOK {
				t.Errorf("%s with %.60q: %d %s", op, fmt.Sprint(row), a.status, a.raw)
			} else if n := number(t, connect(t, asOwner), `SELECT count(*) FROM nself.inbox WHERE event_id = $1`, id); n != 1 {
				t.Errorf("%s with %.60q left %d rows in the inbox", op, fmt.Sprint(row), n)
			}
		}
	}
}

func TestManualInvocationWithAnyJSONIsDelivered(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`{}`, `[]`, `"text"`, `5`, `null`, `{"id": "x"}`} {
		status, raw := operator().post(t, "/v1/metadata",
			`{"type": "pg_invoke_event_trigger", "args": {"source": "default", "name": "tenant_status", "payload": `+payload+`}}`)
		var id string
		if _, after, found := strings.Cut(raw, `"event_id":"`); found {
			id, _, _ = strings.Cut(after, `"`)
		}
		if status != http.StatusOK || id == "" {
			t.Errorf("%s: %d %s", payload, status, raw)
			continue
		}
		eventually(t, "the manual event "+payload+" is in the inbox", func() bool { return delivered(t, id) == 1 })
	}
}

func TestRequestThatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `x`, `[]`, `1`, `"x"`, `null`, `{}`, `{"id": 1}`, `{"id": ""}`, `{"id": "x"`, "\xff\xfe", `{"id": "` + strings.Repeat("x", 3<<20) + `"}`} {
		if a := hasura().callRaw(t, "/events/tenant", body); a.status < 400 || a.status > 499 || a.body["message"] == nil {
			t.Errorf("%.40q: %d %s", body, a.status, a.raw)
		}
	}
	if a := hasura().callRaw(t, "/events/nothing", `{}`); a.status != http.StatusNotFound {
		t.Errorf("an unknown event handler: %d", a.status)
	}
}
