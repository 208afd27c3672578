package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckTellsHowThingsStandAndEndsWithItsAnswer(t *testing.T) {
	for answer, want := range map[string]result{
		`{"data":{"reply":{"meter":"storage","allowed":true,"limit":-1,"used":1000,"held":0,"remaining":null,"enforcement":"hard","reset_date":null}}}`: {exitDone,
			"✓ acme may use 1,000 more of storage\n  Used:  1,000\n  Limit: unlimited\n", ""},
		`{"data":{"reply":{"meter":"api_requests","allowed":false,"limit":"10000","used":9500,"held":100,"remaining":400,"enforcement":"hard","reset_date":"2026-12-01T00:00:00Z"}}}`: {exitRefused,
			"✗ acme may not use 1,000 more of api_requests\n  Used:      9,500\n  Held:      100\n  Limit:     10,000, hard\n  Remaining: 400\n  Resets:    2026-12-01 00:00:00 UTC\n", ""},
	} {
		if diff := cmp.Diff(want, hasuraSaying(t, answer).nself(t, "usage", "check", "acme", "storage", "1000"), cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestAnEventThatIsRefusedIsARefusal(t *testing.T) {
	const answer = `{"data":{"reply":{"accepted":0,"duplicates":0,"refused":[{"index":0,"key":"k","code":"period-closed","reason":"the period is closed"}]}}}`
	hasuraSaying(t, answer).mustRefuse(t, exitRefused, "nothing was recorded: the period is closed (period-closed)", "usage", "record", "acme", "api_requests", "5", "--key", "k")
}

func TestAnEventRecordedBeforeIsSaidToBe(t *testing.T) {
	out := hasuraSaying(t, `{"data":{"reply":{"accepted":0,"duplicates":1,"refused":[]}}}`).mustDo(t, "usage", "record", "acme", "api_requests", "5000", "--key", "k")
	if out != "✓ Recorded before: 5,000 api_requests of acme (key k)\n" {
		t.Errorf("%s", out)
	}
}

func TestDriftIsToldAndEndsWithOne(t *testing.T) {
	const answer = `{"data":{"reply":[{"tenant_id":"7d1e","meter":"api_requests","period_start":"2026-11-01T00:00:00Z","total":1200,"counted":1234,"found_at":"2026-11-23T00:00:00Z"}],
		"tenants":[{"id":"7d1e","slug":"acme"}]}}`
	want := result{exitRefused, "TENANT  METER         PERIOD                   TOTAL  COUNTED  DIFFERENCE\nacme    api_requests  2026-11-01 00:00:00 UTC  1,200  1,234    -34\n",
		"nself: 1 total is not what was counted\n"}
	if diff := cmp.Diff(want, hasuraSaying(t, answer).nself(t, "usage", "reconcile", "--last"), cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none := hasuraSaying(t, `{"data":{"reply":[]}}`)
	if out := none.mustDo(t, "usage", "reconcile", "acme"); out != "✓ every total is what was counted\n" {
		t.Errorf("%s", out)
	}
	if out := none.mustDo(t, "usage", "reconcile", "--last", "--json"); out != "[]\n" {
		t.Errorf("%s", out)
	}
}

func TestEmptyListsOfUsageAreHeadersOrEmptyArrays(t *testing.T) {
	nothing := hasuraSaying(t, `{"data":{"tenants":[{"id":"7d1e","slug":"acme"}],"limits":[],"meters":[],"sources":[],"reply":[]}}`)
	for _, words := range []string{"tenant limit list acme", "usage meter list", "usage source list", "events list"} {
		args := strings.Fields(words)
		if out := nothing.mustDo(t, args...); strings.Count(out, "\n") != 1 || strings.ToUpper(out) != out {
			t.Errorf("%s: %q", words, out)
		}
		if out := nothing.mustDo(t, append(args, "--json")...); out != "[]\n" {
			t.Errorf("%s: %q", words, out)
		}
	}
}

func TestAnEventIsShownWithItsPayloadWhole(t *testing.T) {
	const answer = `{"data":{"reply":[{"id":"e1","source":"hasura","trigger":"storage_usage","handler":null,"reason":"no such tenant\u001b[2J","received_at":"2026-11-23T01:02:03Z",
		"deliveries":11,"payload":{"id":"e1","n":9007199254740993,"x":"\u202e"}}]}}`
	const want = `ID:         e1
Source:     hasura
Trigger:    storage_usage
Received:   2026-11-23 01:02:03 UTC
Deliveries: 11
Reason:     no such tenant\u{1b}[2J
Payload:
{
  "id": "e1",
  "n": 9007199254740993,
  "x": "\u202e"
}
`
	env := hasuraSaying(t, answer)
	if diff := cmp.Diff(want, env.mustDo(t, "events", "show", "e1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	env.mustRefuse(t, exitRefused, `no event "e2" is parked; nself events list shows those that are`, "events", "show", "e2")
}

func TestMoreParkedEventsThanListedAreSaidToBeThere(t *testing.T) {
	const answer = `{"data":{"reply":[{"id":"e1","trigger":"t","reason":"r"},{"id":"e2","trigger":"t","reason":"r"}]}}`
	got := hasuraSaying(t, answer).nself(t, "events", "list", "--limit", "1")
	if got.code != exitDone || strings.Contains(got.out, "e2") || got.err != "nself: there are more: nself events list --limit 1 --after e1\n" {
		t.Errorf("%+v", got)
	}
	if got := hasuraSaying(t, answer).nself(t, "events", "list"); got.err != "" || !strings.Contains(got.out, "e2") {
		t.Errorf("%+v", got)
	}
}
