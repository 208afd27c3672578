package inbox_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/pgtest"
)

func named(id string) inbox.Event {
	return inbox.Event{Source: "test", ID: id, Trigger: "t", Handler: "h", Payload: []byte(`{"n": 9007199254740993}`)}
}

func park(t *testing.T, db *pgxpool.Pool, e inbox.Event, reason string) {
	t.Helper()
	if outcome, err := inbox.Park(t.Context(), db, e, reason); outcome != inbox.Parked || err != nil {
		t.Fatalf("park %s: %s, %v", e.ID, outcome, err)
	}
}

// replay replays with an effect that makes a user, then ends as it is told.
func replay(t *testing.T, db *pgxpool.Pool, id string, end error) (inbox.Outcome, string, error) {
	t.Helper()
	return inbox.Replay(t.Context(), db, inbox.Event{Source: "test", ID: id}, func(tx pgx.Tx, e inbox.Event) error {
		if diff := cmp.Diff(named(id), e); diff != "" {
			t.Errorf("the effect was given another event: %s", diff)
		}
		pgtest.User(t, tx)
		return end
	})
}

func users(t *testing.T, db *pgxpool.Pool) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM auth.users`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAReplayHasTheEffectOnceTheCauseIsMended(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	park(t, db, named("1"), "no such meter")
	outage := errors.New("an outage")
	if outcome, _, err := replay(t, db, "1", outage); !errors.Is(err, outage) || outcome != "" || users(t, db) != 0 {
		t.Errorf("an outage: %s, %v, %d users", outcome, err, users(t, db))
	}
	outcome, reason, err := replay(t, db, "1", fault.New(fault.InvalidInput, "still none"))
	if outcome != inbox.Parked || reason != "still none" || err != nil || users(t, db) != 0 {
		t.Errorf("not mended: %s %q, %v, %d users", outcome, reason, err, users(t, db))
	}
	kept, err := inbox.ParkedEvents(t.Context(), db, inbox.Page{Source: "test", Limit: 10})
	want := []inbox.Kept{{Source: "test", ID: "1", Trigger: "t", Handler: "h", Reason: "still none", Deliveries: 1, Payload: named("1").Payload}}
	if diff := cmp.Diff(want, kept, cmpopts.IgnoreFields(inbox.Kept{}, "ReceivedAt")); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, want := range []inbox.Outcome{inbox.Done, inbox.Repeated} {
		if outcome, reason, err := replay(t, db, "1", nil); outcome != want || reason != "" || err != nil || users(t, db) != 1 {
			t.Errorf("mended: %s %q, %v, %d users; want %s and one user", outcome, reason, err, users(t, db), want)
		}
	}
	if kept, err := inbox.ParkedEvents(t.Context(), db, inbox.Page{Source: "test", Limit: 10}); len(kept) != 0 || err != nil {
		t.Errorf("still parked: %v, %v", kept, err)
	}
	if _, _, err := replay(t, db, "unheard", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("an event that never came: %v", err)
	}
}

func TestAReplayBesideARedeliveryHasTheEffectOnce(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	for range 20 {
		park(t, db, named("1"), "not yet")
		before := users(t, db)
		outcomes := make(chan inbox.Outcome, 6)
		var wait sync.WaitGroup
		for n := range cap(outcomes) {
			wait.Go(func() {
				var outcome inbox.Outcome
				var err error
				if n%2 == 0 {
					outcome, _, err = replay(t, db, "1", nil)
				} else {
					outcome, err = inbox.Once(t.Context(), db, named("1"), func(tx pgx.Tx) error { pgtest.User(t, tx); return nil })
				}
				if err != nil {
					t.Error(err)
				}
				outcomes <- outcome
			})
		}
		wait.Wait()
		close(outcomes)
		tally := map[inbox.Outcome]int{}
		for o := range outcomes {
			tally[o]++
		}
		if tally[inbox.Done] != 1 || tally[inbox.Repeated] != 5 || users(t, db) != before+1 {
			t.Fatalf("%v, %d users more", tally, users(t, db)-before)
		}
		if _, err := db.Exec(t.Context(), `DELETE FROM nself.inbox`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnEventWithoutItsPayloadSaysSoOnReplayAndTakesTheNextDeliverys(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	bare := named("1")
	bare.Payload = nil
	park(t, db, bare, "it holds a NUL")
	outcome, reason, err := replay(t, db, "1", nil)
	if outcome != inbox.Parked || !strings.Contains(reason, "nothing is there to replay") || !strings.Contains(reason, "it holds a NUL") || err != nil || users(t, db) != 0 {
		t.Errorf("%s %q, %v, %d users", outcome, reason, err, users(t, db))
	}
	if kept, err := inbox.ParkedEvents(t.Context(), db, inbox.Page{Source: "test", Limit: 10}); err != nil || len(kept) != 1 || kept[0].Reason != "it holds a NUL" || kept[0].Payload != nil {
		t.Errorf("%+v, %v", kept, err)
	}
	park(t, db, named("1"), "of nobody")
	if outcome, _, err := replay(t, db, "1", nil); outcome != inbox.Done || err != nil || users(t, db) != 1 {
		t.Errorf("after a delivery with the payload: %s, %v, %d users", outcome, err, users(t, db))
	}
}

// listed are the ids of a page, in its order.
func listed(t *testing.T, db *pgxpool.Pool, page inbox.Page) string {
	t.Helper()
	page.Source = "test"
	kept, err := inbox.ParkedEvents(t.Context(), db, page)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range kept {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func TestEveryParkedEventIsFoundPageByPageThoseThatCameLastFirst(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	for _, id := range []string{"b", "c", "a", "e", "d"} {
		park(t, db, named(id), "x")
	}
	elsewhere := named("elsewhere")
	elsewhere.Source = "another"
	park(t, db, elsewhere, "x")
	if _, err := db.Exec(t.Context(), `UPDATE nself.inbox SET received_at = (SELECT received_at FROM nself.inbox WHERE event_id = 'e') WHERE event_id = 'a'`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		page inbox.Page
		want string
	}{
		{inbox.Page{Limit: 2}, "d e"}, {inbox.Page{Limit: 2, After: "e"}, "a c"}, {inbox.Page{Limit: 2, After: "c"}, "b"}, {inbox.Page{Limit: 2, After: "b"}, ""},
		{inbox.Page{Limit: 9}, "d e a c b"}, {inbox.Page{Limit: 9, ID: "a"}, "a"}, {inbox.Page{Limit: 9, ID: "elsewhere"}, ""}, {inbox.Page{Limit: 9, After: "never came"}, ""},
	} {
		if got := listed(t, db, c.page); got != c.want {
			t.Errorf("%+v: %q, want %q", c.page, got, c.want)
		}
	}
	if outcome, _, err := replay(t, db, "e", nil); outcome != inbox.Done || err != nil {
		t.Fatal(outcome, err)
	}
	if got := listed(t, db, inbox.Page{Limit: 9, After: "e"}); got != "a c b" {
		t.Errorf("after one that is done meanwhile: %q", got)
	}
}

func TestThePayloadOfAnEventThatIsDoneIsNotKept(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	if outcome, err := inbox.Once(t.Context(), db, named("at once"), func(pgx.Tx) error { return nil }); outcome != inbox.Done || err != nil {
		t.Fatal(outcome, err)
	}
	park(t, db, named("replayed"), "x")
	if outcome, _, err := replay(t, db, "replayed", nil); outcome != inbox.Done || err != nil {
		t.Fatal(outcome, err)
	}
	park(t, db, named("parked"), "x")
	var with string
	err := db.QueryRow(t.Context(), `SELECT string_agg(event_id, ' ') FROM nself.inbox WHERE payload IS NOT NULL`).Scan(&with)
	if err != nil || with != "parked" {
		t.Errorf("a payload is kept of: %s (%v)", with, err)
	}
}

func TestAValueThatPostgresCannotStoreParksTheEventWithItsPayload(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	outcome, err := inbox.Once(t.Context(), db, named("1"), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT 1e200::numeric::bigint`)
		return err
	})
	kept, _ := inbox.ParkedEvents(t.Context(), db, inbox.Page{Source: "test", Limit: 1})
	if outcome != inbox.Parked || err != nil || len(kept) != 1 || kept[0].Payload == nil || !strings.Contains(kept[0].Reason, "out of range") {
		t.Errorf("%s, %v, %+v", outcome, err, kept)
	}
}

func TestPruneForgetsWhatWasDoneLongAgoAndNothingParked(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	rows := map[string]struct{ state, received, settled string }{
		"done long ago":         {"done", "36 days", "36 days"},
		"done before 34 days":   {"done", "34 days", "34 days"},
		"parked long ago":       {"parked", "300 days", "300 days"},
		"replayed not long ago": {"done", "300 days", "1 day"},
	}
	for id, r := range rows {
		_, err := db.Exec(t.Context(), `INSERT INTO nself.inbox (source, event_id, trigger, state, reason, received_at, settled_at)
			VALUES ('test', $1, 't', $2::text, CASE $2::text WHEN 'parked' THEN 'x' END, now() - $3::text::interval, now() - $4::text::interval)`, id, r.state, r.received, r.settled)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{1, 0} {
		if gone, err := inbox.Prune(t.Context(), db); gone != want || err != nil {
			t.Errorf("%d gone, %v; want %d", gone, err, want)
		}
	}
	var left []string
	if err := db.QueryRow(t.Context(), `SELECT array_agg(event_id ORDER BY event_id) FROM nself.inbox`).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"done before 34 days", "parked long ago", "replayed not long ago"}, left); diff != "" {
		t.Error(diff)
	}
}

func TestAJSONNullIsAPayload(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	e := named("1")
	e.Payload = json.RawMessage("null")
	park(t, db, e, "x")
	if kept, err := inbox.ParkedEvents(t.Context(), db, inbox.Page{Source: "test", Limit: 1}); err != nil || string(kept[0].Payload) != "null" {
		t.Errorf("%+v, %v", kept, err)
	}
}
