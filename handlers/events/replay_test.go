package events_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nself/tenancy/handlers/events"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pgtest"
)

// replay runs a parked event again, as the action replayEvent does.
func (h house) replay(t *testing.T, id string) string {
	t.Helper()
	outcome, reason, err := events.Replay(events.Config{DB: h.db, Outbox: h.config.Actions.Outbox})(t.Context(), pgtest.Operator, id)
	return strings.TrimSpace(fmt.Sprint(outcome, " ", reason, " ", fault.From(err)))
}

func TestAPoisonEventParksWithItsReasonAndIsReplayedOnceTheCauseIsMended(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	id := uuid.NewString()
	row := fmt.Sprintf(`{"tenant_id":%q,"id":1,"pages":9007199254740993}`, team.ID)
	body := delivery{id: id, table: "public.documents", op: "INSERT", new: row}.String()
	if got := outcome(t, h.deliverTo("usage", body)); got != "parked" {
		t.Fatalf("an event of a table that is no source: %s", got)
	}
	if got := h.replay(t, id); !strings.HasPrefix(got, "parked ") || !strings.Contains(got, "documents") {
		t.Errorf("replayed before the cause is mended: %s", got)
	}
	h.meter(t, "documents", "sum", &pages)
	const mended = "done  <nil>"
	if got := h.replay(t, id); got != mended || h.used(t, team, "documents") != "9007199254740993" {
		t.Errorf("after that: %s, used %s", got, h.used(t, team, "documents"))
	}
	if got := h.replay(t, id); got != "repeated  <nil>" {
		t.Errorf("once more: %s", got)
	}
	if got := outcome(t, h.deliverTo("usage", body)); got != "repeated" || h.used(t, team, "documents") != "9007199254740993" {
		t.Errorf("delivered after the replay: %s, used %s", got, h.used(t, team, "documents"))
	}
	const audited = `SELECT count(*) FROM audit.log WHERE action = 'replay_event' AND actor_role = 'admin' AND target = 'event:' || $1 AND after->>'outcome' = $2`
	if parked, done := h.count(t, audited, id, "parked"), h.count(t, audited, id, "done"); parked != 1 || done != 1 || h.count(t, audited, id, "repeated") != 0 {
		t.Errorf("the audit log tells of %d parked and %d done", parked, done)
	}
	if got := h.replay(t, "never came"); !strings.Contains(got, "not-found") {
		t.Errorf("an event that never came: %s", got)
	}
}

func TestAReplayBesideARedeliveryCountsOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	id := uuid.NewString()
	body := delivery{id: id, table: "public.documents", op: "INSERT", new: fmt.Sprintf(`{"tenant_id":%q,"id":1,"pages":3}`, team.ID)}.String()
	if got := outcome(t, h.deliverTo("usage", body)); got != "parked" {
		t.Fatal(got)
	}
	h.meter(t, "documents", "sum", &pages)
	tally := map[string]int{}
	var lock sync.Mutex
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			var got string
			if n%2 == 0 {
				got = said(h.deliverTo("usage", body))
			} else {
				got, _, _ = strings.Cut(h.replay(t, id), " ")
			}
			lock.Lock()
			tally[got]++
			lock.Unlock()
		})
	}
	wait.Wait()
	if tally["done"] != 1 || tally["repeated"] != 7 || h.used(t, team, "documents") != "3" {
		t.Errorf("%v, used %s", tally, h.used(t, team, "documents"))
	}
}

func TestAnEventWhosePayloadCouldNotBeKeptSaysSoOnReplay(t *testing.T) {
	h := newHouse(t)
	id := uuid.NewString()
	if got := outcome(t, h.deliverTo("usage", delivery{id: id, table: objects, op: "INSERT", new: `{"name":"\u0000"}`}.String())); got != "parked" {
		t.Fatal(got)
	}
	if got := h.replay(t, id); !strings.HasPrefix(got, "parked ") || !strings.Contains(got, "nothing is there to replay") {
		t.Errorf("%s", got)
	}
}

func TestAParkedEventOfAnEarlierVersionSaysThatItsHandlerIsUnknown(t *testing.T) {
	h := newHouse(t)
	_, err := h.db.Exec(t.Context(), `INSERT INTO nself.inbox (source, event_id, trigger, state, reason, payload) VALUES ('hasura', 'old', 't', 'parked', 'x', '{"id":"old"}')`)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.replay(t, "old"); !strings.HasPrefix(got, "parked ") || !strings.Contains(got, `handler ""`) {
		t.Errorf("%s", got)
	}
}

func TestWhatFailsOnOurSideIsTriedAgainAndParkedWithTheLastTry(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	super := h.under.Superuser(t)
	rename := func(from, to string) {
		t.Helper()
		if _, err := super.Exec(t.Context(), `ALTER TABLE billing.`+from+` RENAME TO `+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("meter_sources", "mislaid")
	d := delivery{id: uuid.NewString(), table: objects, op: "INSERT", new: object(team, "10"), retry: 9}
	if w := h.deliverTo("usage", d.String()); w.Code != http.StatusInternalServerError || w.Header().Get("Retry-After") != "" {
		t.Errorf("with a try left: %d %s %v", w.Code, w.Body, w.Header())
	}
	if got := h.count(t, `SELECT count(*) FROM nself.inbox`); got != 0 {
		t.Errorf("%d events are kept while there are tries left", got)
	}
	d.retry = 10
	if got := outcome(t, h.deliverTo("usage", d.String())); got != "parked" {
		t.Errorf("with the last try: %s", got)
	}
	rename("mislaid", "meter_sources")
	if got := h.replay(t, d.id); got != "done  <nil>" || h.used(t, team, "storage") != "10" {
		t.Errorf("replayed: %s, used %s", got, h.used(t, team, "storage"))
	}
}

func TestNothingThatIsRefusedSaysRetryAfter(t *testing.T) {
	h := newHouse(t)
	event := delivery{table: objects, op: "INSERT", new: "{}", retry: 10}.String()
	for name, c := range map[string]struct {
		path, body, secret string
		status             int
	}{
		"no such handler": {"nothing", event, secret, 404},
		"no handler":      {"", event, secret, 404},
		"no JSON":         {"usage", "{", secret, 400},
		"a name twice":    {"usage", `{"id":"a","id":"b"}`, secret, 400},
		"no event":        {"quota", "[]", secret, 400},
		"another secret":  {"usage", event, "x", 403},
		"no secret":       {"usage", event, "", 403},
		"too large":       {"usage", event + strings.Repeat(" ", 2<<20), secret, 413},
	} {
		r := request(c.path, c.body)
		r.Header.Set("X-Webhook-Secret", c.secret)
		if w := h.answer(r); w.Code != c.status || w.Header().Get("Retry-After") != "" || w.Header().Get("RateLimit") != "" {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
	if got := h.count(t, `SELECT count(*) FROM nself.inbox`); got != 0 {
		t.Errorf("%d events are kept", got)
	}
}

func TestCreatedAtAndTheTriesMayBeAnything(t *testing.T) {
	h := newHouse(t)
	for n, text := range []string{`"2026-11-23T00:25:48.223125"`, `"2026-11-23T00:25:48.223125Z"`, `"never"`, "null", "7", "{}"} {
		team := pgtest.NewTeam(t, h.db)
		body := delivery{table: objects, op: "INSERT", new: object(team, "10")}.String()
		body = strings.Replace(body, `"2026-11-23T00:25:48.223125"`, text, 1)
		body = strings.Replace(body, `{"current_retry":0,"max_retries":10}`, text, 1)
		if got := outcome(t, h.deliverTo("usage", body)); got != "done" || h.used(t, team, "storage") != "10" {
			t.Errorf("%d: created_at and delivery_info %s: %s, used %s", n, text, got, h.used(t, team, "storage"))
		}
		var at time.Time
		err := h.db.QueryRow(t.Context(), `SELECT at FROM billing.usage_records WHERE tenant_id = $1`, team.ID).Scan(&at)
		if err != nil || time.Since(at).Abs() > time.Hour {
			t.Errorf("%d: counted at %s, %v", n, at, err)
		}
	}
}
