package usage_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/member"
)

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func TestAServiceTellsOfAnyTenantByIDOrSlugAndEachEventCountsOnce(t *testing.T) {
	w := newWorld(t)
	batch := "[" + strings.Join([]string{
		event(map[string]any{"id": "1", "tenant": w.team.Slug, "data": raw(`{"amount":5}`)}),
		event(map[string]any{"id": "2", "tenant": w.team.ID.String(), "data": nil}),
		event(map[string]any{"id": "2", "tenant": w.other.Slug, "data": raw("null"), "comment": "an extension nobody reads"}),
		event(map[string]any{"id": "2", "tenant": w.team.Slug}),
		event(map[string]any{"id": "2", "tenant": w.team.Slug, "source": "/another", "data": raw(`{"amount":"9007199254740993"}`)}),
		event(map[string]any{"id": "1", "tenant": w.team.Slug, "data": raw(`{"amount":6}`)}),
		event(map[string]any{"id": "3", "tenant": "nobody-here"}),
		event(map[string]any{"id": "4"}),
	}, ",") + "]"
	want := answer{Accepted: 4, Duplicates: 1, Refused: []refused{
		{Index: 5, ID: "1", Code: "key-reused"}, {Index: 6, ID: "3", Code: "unknown-tenant"}, {Index: 7, ID: "4", Code: "unknown-tenant"},
	}}
	got := answered(t, w.serve(batch, many))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(refused{}, "Reason")); diff != "" {
		t.Error(diff)
	}
	want = answer{Duplicates: 5, Refused: want.Refused}
	if diff := cmp.Diff(want, answered(t, w.serve(batch, many)), cmpopts.IgnoreFields(refused{}, "Reason")); diff != "" {
		t.Errorf("sent again: %s", diff)
	}
	if a, b := w.used(t, w.team, "api_requests"), w.used(t, w.other, "api_requests"); a != "9007199254740999" || b != "1" {
		t.Errorf("used %s and %s", a, b)
	}
	if strings.Contains(w.logs.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestOneEventMayComeInStructuredOrBinaryMode(t *testing.T) {
	w := newWorld(t)
	w.exec(t, `INSERT INTO billing.meters (code, name, aggregation) VALUES ('visitors', 'Visitors', 'unique')`)
	structured := event(map[string]any{"id": "1", "tenant": w.team.Slug, "data": raw(`{"amount":2}`)})
	if got := answered(t, w.serve(structured, one+"; charset=UTF-8")); got.Accepted != 1 {
		t.Errorf("structured: %+v", got)
	}
	binary := func(body, media, id string, more ...string) answer {
		t.Helper()
		headers := append([]string{"ce-specversion", "1.0", "ce-id", id, "ce-source", "/gateway", "ce-type", "api_requests", "ce-tenant", w.team.Slug}, more...)
		return answered(t, w.serve(body, media, headers...))
	}
	if got := binary(`{"amount":3}`, "application/json", "2"); got.Accepted != 1 {
		t.Errorf("binary: %+v", got)
	}
	if got := binary("", "", "3"); got.Accepted != 1 {
		t.Errorf("binary without data: %+v", got)
	}
	if got := binary(`{"amount":3}`, "application/json", "%31"); got.Accepted != 0 || len(got.Refused) != 1 || got.Refused[0].Code != "key-reused" {
		t.Errorf("ce-id %%31 is not the id 1: %+v", got)
	}
	for _, id := range []string{"%", "%00", "%ff", "%0a", "a%0Ab"} {
		if got := binary("", "", id); len(got.Refused) != 1 || got.Refused[0].Code != "invalid-event" {
			t.Errorf("ce-id %s: %+v", id, got)
		}
	}
	for quoted, same := range map[string]bool{`"3"`: true, `"\3"`: true, `"%33"`: true, `%33`: true, `%2533`: false, `3"`: false, `"3 "`: false} {
		if got := binary("", "", quoted); (got.Duplicates == 1) != same || got.Accepted+got.Duplicates != 1 {
			t.Errorf("ce-id %s: %+v", quoted, got)
		}
	}
	for _, broken := range []string{`"3`, `"3"4"`, `"3\`, `"`} {
		if got := binary("", "", broken); len(got.Refused) != 1 || got.Refused[0].Code != "invalid-event" {
			t.Errorf("ce-id %s: %+v", broken, got)
		}
	}
	if got := binary("", "", "4", "ce-id", "5"); len(got.Refused) != 1 || got.Refused[0].Code != "invalid-event" {
		t.Errorf("ce-id twice: %+v", got)
	}
	if got := w.used(t, w.team, "api_requests"); got != "9" {
		t.Errorf("used %s", got)
	}
	for n, value := range []string{"ada", "bob", "ada"} {
		body := event(map[string]any{"id": fmt.Sprint("v", n), "type": "visitors", "tenant": w.team.Slug, "data": map[string]any{"value": value}})
		if got := answered(t, w.serve(body, one)); got.Accepted != 1 {
			t.Errorf("%s: %+v", value, got)
		}
	}
	if got := w.used(t, w.team, "visitors"); got != "2" {
		t.Errorf("%s visitors", got)
	}
}

func TestATenantsOwnSenderIsHeardForThatTenantAlone(t *testing.T) {
	w := newWorld(t)
	bearers := map[string]string{
		"an owner": w.token(t, w.team.Owner, w.team.ID), "an admin": w.token(t, w.team.Admin, w.team.ID),
		"a member": w.token(t, w.team.Member, w.team.ID), "a key": w.key(t, w.team, member.Plain).Plain,
	}
	for name, bearer := range bearers {
		batch := "[" + strings.Join([]string{
			event(map[string]any{"tenant": strings.ToUpper(w.team.ID.String())}), event(map[string]any{"tenant": w.team.Slug}), event(map[string]any{"tenant": w.team.ID.String()}), event(nil),
			event(map[string]any{"tenant": w.other.Slug}), event(map[string]any{"tenant": w.other.ID.String()}),
			event(map[string]any{"tenant": "nobody-here"}), event(map[string]any{"tenant": "00000000-0000-4000-8000-000000000001"}),
		}, ",") + "]"
		got := answered(t, w.bear(bearer, batch))
		if got.Accepted != 4 || len(got.Refused) != 4 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for n, foreign := range []string{w.other.Slug, w.other.ID.String(), "nobody-here", "00000000-0000-4000-8000-000000000001"} {
			if r := got.Refused[n]; r.Code != "unknown-tenant" || r.Reason != fmt.Sprintf("there is no tenant %q", foreign) {
				t.Errorf("%s, for %s: a tenant that exists is answered otherwise than one that does not: %+v", name, foreign, r)
			}
		}
	}
	if a, b := w.used(t, w.team, "api_requests"), w.used(t, w.other, "api_requests"); a != "16" || b != "" {
		t.Errorf("used %s and, of the other tenant, %q", a, b)
	}
}

func TestATimeIsKeptAndOneThatIsAbsurdIsRefused(t *testing.T) {
	w := newWorld(t)
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
	for said, code := range map[string]string{
		at.Format(time.RFC3339Nano): "", at.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano): "",
		"9999-12-31T23:59:59Z": "in-the-future", time.Now().Add(2 * time.Hour).Format(time.RFC3339): "in-the-future",
		"0001-01-01T00:00:00Z": "period-closed", "0000-01-01T00:00:00Z": "period-closed", "1970-01-01T00:00:00Z": "period-closed",
		"0001-01-01T01:00:00+01:00": "period-closed",
		"2026-11-23":                "invalid-event", "2026-11-23T00:25:48": "invalid-event", "now": "invalid-event", "1764000000": "invalid-event",
		strings.ToLower(at.Format(time.RFC3339Nano)): "", "2016-12-31T23:59:60Z": "period-closed", "2017-01-01T00:59:60.5+01:00": "period-closed",
		"2026-11-23T9:00:00Z": "invalid-event", "2026-11-23T09:00:00,5Z": "invalid-event", "2026-11-23T09:00:61Z": "invalid-event", "2026-11-23T09:00:00+24:00": "invalid-event",
		"2026-13-01T00:00:00Z": "invalid-event", "10000-01-01T00:00:00Z": "invalid-event", "infinity": "invalid-event", "-infinity": "invalid-event",
	} {
		got := answered(t, w.serve(event(map[string]any{"time": said, "tenant": w.team.Slug}), one))
		if code == "" && got.Accepted != 1 || code != "" && (len(got.Refused) != 1 || got.Refused[0].Code != code) {
			t.Errorf("%s: %+v, want %q", said, got, code)
		}
	}
	var times []time.Time
	check(t, w.super.QueryRow(t.Context(), `SELECT array_agg(at) FROM billing.usage_records`).Scan(&times))
	if len(times) != 3 || slices.ContainsFunc(times, func(t time.Time) bool { return !t.Equal(at) }) {
		t.Errorf("recorded at %v, not %v", times, at)
	}
}

func TestABatchMayBeEmptyOrOfTenThousandEvents(t *testing.T) {
	w := newWorld(t)
	if got := answered(t, w.serve("[]", many)); got.Accepted != 0 || len(got.Refused) != 0 {
		t.Errorf("%+v", got)
	}
	if got := answered(t, w.bear(w.token(t, w.team.Member, w.team.ID), " [ ] ")); got.Accepted != 0 {
		t.Errorf("%+v", got)
	}
	events := make([]string, 10_000)
	for n := range events {
		events[n] = event(map[string]any{"tenant": w.team.Slug})
	}
	whole := "[" + strings.Join(events, ",") + "]"
	if len(whole) < 1<<20 {
		t.Fatalf("%d bytes are no more than other doors take", len(whole))
	}
	if got := answered(t, w.serve(whole, many)); got.Accepted != 10_000 {
		t.Errorf("%d accepted, %d refused", got.Accepted, len(got.Refused))
	}
	if got := w.used(t, w.team, "api_requests"); got != "10000" {
		t.Errorf("used %s", got)
	}
	more := w.serve("["+strings.Join(append(events, event(nil)), ",")+"]", many)
	if more.Code != http.StatusBadRequest || !strings.Contains(more.Body.String(), "more than 10000 events") || w.used(t, w.team, "api_requests") != "10000" {
		t.Errorf("10,001 events: %d %.200s", more.Code, more.Body)
	}
}

func TestDataMayComeInBase64(t *testing.T) {
	w := newWorld(t)
	encoded := base64.StdEncoding.EncodeToString([]byte(` {"amount": 5} `))
	for n, change := range []map[string]any{
		{"data_base64": encoded}, {"data_base64": encoded, "datacontenttype": "application/json; charset=utf-8"}, {"data_base64": encoded, "data": raw("null")},
		{"data_base64": raw("null"), "data": raw(`{"amount":5}`)}, {"data_base64": encoded, "datacontenttype": "application/usage+json"},
	} {
		change["tenant"] = w.team.Slug
		if got := answered(t, w.serve(event(change), one)); got.Accepted != 1 {
			t.Errorf("%d: %+v", n, got)
		}
	}
	if got := w.used(t, w.team, "api_requests"); got != "25" {
		t.Errorf("used %s", got)
	}
}

func TestAnEmptyAuthorizationBesideTheSecretIsNone(t *testing.T) {
	w := newWorld(t)
	if got := answered(t, w.serve(event(map[string]any{"tenant": w.team.Slug}), one, "Authorization", " ")); got.Accepted != 1 {
		t.Errorf("%+v", got)
	}
}
