package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestUsageIsRecordedLimitedAndShown(t *testing.T) {
	proveInTurn(t, []rule{
		{"what is recorded counts once, until it is reversed", whatIsRecordedCountsOnce},
		{"a limit holds in place of the plan's until it is removed", aLimitHoldsInPlaceOfThePlans},
		{"a cycle moves the end of the running period", aCycleMovesTheEndOfThePeriod},
		{"a meter of one's own is defined, changed and removed", aMeterIsDefinedAndRemoved},
		{"an owner sees the usage and changes nothing of it", anOwnerSeesTheUsage},
		{"a row of a table is counted once its trigger is there", aRowOfATableIsCounted},
		{"a budget is set, shown and kept", aBudgetIsSetShownAndKept},
		{"shards are planned, and refused without a Citus", shardsArePlannedAndRefusedWithoutACitus},
		{"parked events are listed, shown and replayed", parkedEventsAreReplayed},
		{"a total that was meddled with is told", aTotalThatWasMeddledWithIsTold},
		{"a plan is bought, changed and cancelled", aPlanIsBoughtChangedAndCancelled},
		{"only owners see what is bought", onlyOwnersSeeWhatIsBought},
		{"an owner pays for a tenant out of service", anOwnerPaysForATenantOutOfService},
		{"what Stripe told is listed and replayed", whatStripeToldIsListedAndReplayed},
		{"months are simulated", monthsAreSimulated},
	})
}

// used is what techco used of a meter, as the command shows it.
func (i installation) used(t *testing.T, meter string) string {
	t.Helper()
	var report usageReport
	if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "usage", "techco", "--json")), &report); err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Meters {
		if s.Meter == meter {
			return s.Used.String()
		}
	}
	t.Fatalf("no %s in %+v", meter, report.Meters)
	return ""
}

// counts waits until so much of a meter is counted: a table is followed by events.
func (i installation) counts(t *testing.T, meter, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); i.used(t, meter) != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s of %s were counted, not %s", i.used(t, meter), meter, want)
		}
	}
}

func whatIsRecordedCountsOnce(t *testing.T, i installation) {
	t.Helper()
	i.mustDo(t, "usage", "meter", "define", "build_hours")
	play(t, i.environment, []line{
		{"usage|record|techco|build_hours|1.25|--key|run-1", 0, "✓ Recorded: 1.25 build_hours of techco (key run-1)\n"},
		{"usage|record|techco|build_hours|1.25|--key|run-1", 0, "✓ Recorded before: 1.25 build_hours of techco (key run-1)\n"},
		{"usage|record|techco|build_hours|3|--key|run-1", 1, "(key-reused)"},
		{"usage|record|techco|build_hours|0.000000001|--key|run-2", 0, "✓ Recorded: 0.000000001 build_hours of techco (key run-2)\n"},
		{"usage|record|techco|steps|1|--key|run-3", 1, "(unknown-meter)"},
		{"usage|record|techco|storage|1|--key|run-3", 1, "(level-meter)"},
		{"usage|record|techco|build_hours|1|--key|run-3|--at|2020-01-01", 1, "(period-closed)"},
		{"usage|record|nowhere|build_hours|1|--key|run-3", 1, "nowhere"},
	})
	if used := i.used(t, "build_hours"); used != "1.250000001" {
		t.Errorf("%s hours", used)
	}
	play(t, i.environment, []line{
		{"usage|reverse|techco|build_hours|run-1", 2, "reversing run-1 of techco needs --yes"},
		{"usage|reverse|techco|build_hours|run-0|--yes", 1, "run-0"},
	})
	out := i.mustDo(t, "usage", "reverse", "techco", "build_hours", "run-1", "--yes")
	if plain(out) != "✓ Reversed: 1.25 build_hours of techco (key run-1)\n  Period began: <time>\n" {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "run-1", "usage", "reverse", "techco", "build_hours", "run-1", "--yes")
	told := i.posts(t, "/usage", "application/cloudevents+json", `{"specversion":"1.0","id":"run-4","source":"gateway","type":"build_hours","tenant":"techco","data":{"amount":2}}`)
	if !strings.Contains(told, `"accepted":1`) {
		t.Errorf("%s", told)
	}
	play(t, i.environment, []line{
		{"usage|reverse|techco|build_hours|run-4|--yes", 1, "run-4"},
		{"usage|reverse|techco|build_hours|run-4|--source|gateway|--yes", 0, "✓ Reversed: 2 build_hours of techco (key run-4 of gateway)\n  Period began: <time>\n"},
	})
	if used := i.used(t, "build_hours"); used != "0.000000001" {
		t.Errorf("%s hours after the reversal", used)
	}
}

func aLimitHoldsInPlaceOfThePlans(t *testing.T, i installation) {
	t.Helper()
	i.counts(t, "users", "4")
	play(t, i.environment, []line{
		{"tenant|limit|list|techco", 0, "METER  LIMIT  ENFORCEMENT  EXPIRES  SET  REASON\n"},
		{"tenant|limit|set|techco|api_requests|250000|--reason|a launch", 0, "✓ Limit set: api_requests of techco, 250,000, hard, until it is removed\n"},
		{"tenant|limit|set|techco|storage|10GiB|--soft|--expires|720h", 0, "✓ Limit set: storage of techco, 10.0 GiB, soft, until <time>\n"},
		{"tenant|limit|set|techco|users|unlimited", 0, "✓ Limit set: users of techco, unlimited, hard, until it is removed\n"},
		{"tenant|limit|set|techco|steps|7", 1, "steps"},
		{"tenant|limit|set|nowhere|users|7", 1, "nowhere"},
		{"tenant|limit|list|nowhere", 1, `there is no tenant "nowhere" here`},
	})
	listed := strings.Join(strings.Fields(plain(i.mustDo(t, "tenant", "limit", "list", "techco"))), " ")
	if listed != "METER LIMIT ENFORCEMENT EXPIRES SET REASON api_requests 250,000 hard - <time> a launch storage 10.0 GiB soft <time> <time> - users unlimited hard - <time> -" {
		t.Errorf("%s", listed)
	}
	var limits []agreedLimit
	if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "limit", "list", "techco", "--json")), &limits); err != nil || len(limits) != 3 || limits[1].Limit != 10<<30 || limits[1].ExpiresAt == nil || limits[2].Limit != unlimited {
		t.Errorf("%v, %+v", err, limits)
	}
	shown := i.mustDo(t, "tenant", "usage", "techco")
	for _, row := range []string{" / 250,000 (", " / 10.0 GiB (0.0 %), soft\n", "Active users       4 / unlimited\n", "Estimated charge   $0.00\n"} {
		if !strings.Contains(shown, row) {
			t.Errorf("no %q in\n%s", row, shown)
		}
	}
	if got := i.nself(t, "usage", "check", "techco", "api_requests", "249000"); got.code != exitDone || !strings.HasPrefix(got.out, "✓ techco may use 249,000 more of api_requests\n") {
		t.Errorf("%+v", got)
	}
	if got := i.nself(t, "usage", "check", "techco", "api_requests", "250001"); got.code != exitRefused || got.err != "" || !strings.HasPrefix(got.out, "✗ techco may not use 250,001 more of api_requests\n") {
		t.Errorf("%+v", got)
	}
	play(t, i.environment, []line{
		{"tenant|limit|remove|techco|api_requests", 2, "needs --yes where there is no terminal"},
		{"tenant|limit|remove|techco|api_requests|--yes", 0, "✓ Limit removed: api_requests of techco (was 250,000)\n"},
		{"tenant|limit|remove|techco|api_requests|--yes", 1, "api_requests"},
		{"tenant|limit|remove|techco|storage|--yes", 0, "✓ Limit removed: storage of techco (was 10.0 GiB)\n"},
		{"tenant|limit|remove|techco|users|-y", 0, "✓ Limit removed: users of techco (was unlimited)\n"},
	})
	if shown := i.mustDo(t, "tenant", "usage", "techco"); !strings.Contains(shown, " / 10,000 (") || !strings.Contains(shown, "Active users       4 / 5 (80.0 %)\n") {
		t.Errorf("%s", shown)
	}
}

func aCycleMovesTheEndOfThePeriod(t *testing.T, i installation) {
	t.Helper()
	anchor := time.Now().UTC().AddDate(0, 0, -3).Truncate(time.Hour)
	out := i.mustDo(t, "tenant", "cycle", "set", "techco", anchor.Format(time.RFC3339))
	if plain(out) != "✓ Billing cycle set: techco\n  Running period: <time> to <time>\n" {
		t.Errorf("%s", out)
	}
	var running usagePeriod
	if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "cycle", "set", "techco", anchor.Format(time.RFC3339), "--json")), &running); err != nil || running.EndsAt.UTC().Hour() != anchor.Hour() || !running.EndsAt.After(time.Now()) {
		t.Errorf("%v: %+v", err, running)
	}
	if used := i.used(t, "build_hours"); used != "0.000000001" {
		t.Errorf("%s hours after the cycle was set", used)
	}
	i.mustRefuse(t, exitUsage, "billing cycle of techco needs --yes", "tenant", "cycle", "remove", "techco")
	i.mustRefuse(t, exitRefused, "nowhere", "tenant", "cycle", "remove", "nowhere", "--yes")
	if out := i.mustDo(t, "tenant", "cycle", "remove", "techco", "--yes"); plain(out) != "✓ Billing cycle removed: techco\n  Running period: <time> to <time>\n" {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "billing cycle", "tenant", "cycle", "remove", "techco", "--yes")
	if out := i.mustDo(t, "tenant", "usage", "techco"); !strings.HasPrefix(out, "Month              "+time.Now().UTC().Format("January 2006")+"\n") {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "nself: ", "tenant", "usage", "techco", "--at", "2020-01-01")
}

func aMeterIsDefinedAndRemoved(t *testing.T, i installation) {
	t.Helper()
	play(t, i.environment, []line{
		{"usage|meter|define|tokens|--name|Tokens|--aggregation|sum|--deciding|leased|--lease-size|5000|--on-outage|allow", 0,
			"✓ Meter defined: tokens\n  Name:          Tokens\n  Aggregation:   sum\n  Deciding:      leased by 5,000\n  On Outage:     allow\n  Default Limit: unlimited\n"},
		{"usage|meter|define|tokens|--default-limit|1000000", 0,
			"✓ Meter defined: tokens\n  Name:          Tokens\n  Aggregation:   sum\n  Deciding:      leased by 5,000\n  On Outage:     allow\n  Default Limit: 1,000,000\n"},
		{"usage|meter|define|steps|--aggregation|average", 1, "aggregation"},
		{"usage|meter|define|Steps", 1, "code"},
		{"usage|meter|remove|users|--yes", 1, "users"},
		{"usage|meter|remove|steps|--yes", 1, "steps"},
	})
	listed := i.mustDo(t, "usage", "meter", "list")
	for _, row := range []string{
		"CODE           NAME          UNIT      AGGREGATION  DECIDING         ON OUTAGE  DEFAULT LIMIT\n",
		"\ntokens         Tokens        -         sum          leased by 5,000  allow      1,000,000\n",
	} {
		if !strings.Contains(listed, row) {
			t.Errorf("no %q in\n%s", row, listed)
		}
	}
	i.mustDo(t, "usage", "meter", "remove", "tokens", "--yes")
	if strings.Contains(i.mustDo(t, "usage", "meter", "list", "--json"), `"tokens"`) {
		t.Error("a meter that was removed is listed")
	}
}

func anOwnerSeesTheUsage(t *testing.T, i installation) {
	t.Helper()
	i.mustDo(t, "tenant", "limit", "set", "acme", "users", "60", "--reason", "between us")
	env := i.asks()
	as := func(words string) []string {
		return append(strings.Split(words, "|"), "--token", i.settings.Get("ACME_OWNER_TOKEN"))
	}
	for words, part := range map[string]string{
		"tenant|usage|acme": "Active users", "tenant|limit|list|acme": "users  60     hard", "usage|meter|list": "api_requests",
		"usage|check|acme|users": "✓ acme may use 1 more of users", "usage|record|acme|compute_hours|1|--key|mine": "✓ Recorded",
	} {
		if out := env.mustDo(t, as(words)...); !strings.Contains(out, part) || strings.Contains(out, "between us") {
			t.Errorf("%s: %s", words, out)
		}
	}
	for who, words := range map[string]string{
		"recordUsage": "guest usage|record|acme|compute_hours|1|--key|mine", "tenantUsage": "member tenant|usage|acme", "tenantLimits": "member tenant|limit|list|acme",
		"setTenantLimit": "member tenant|limit|set|acme|users|1000", "parkedEvents": "guest events|list",
	} {
		role, words, _ := strings.Cut(words, " ")
		token := strings.TrimSpace(i.nself(t, "token", "mint", role+"@acme.example", "--tenant", "acme").out)
		env.mustRefuse(t, exitRefused, "the role of this token may not use ", append(strings.Split(words, "|"), "--token", token)...)
		if got := env.nself(t, append(strings.Split(words, "|"), "--token", token)...); !strings.Contains(got.err, who) {
			t.Errorf("a %s and %s: %s", role, words, got.err)
		}
	}
	for _, words := range []string{
		"tenant|usage|techco", "tenant|limit|list|techco", "usage|check|techco|users", "usage|record|techco|compute_hours|1|--key|theirs",
		"tenant|limit|set|acme|users|1000", "tenant|limit|remove|acme|users|--yes", "tenant|cycle|set|acme|2026-11-15", "usage|reverse|acme|compute_hours|mine|--yes",
		"usage|meter|define|files", "usage|source|list", "usage|reconcile|acme", "usage|reconcile|--last", "events|list", "events|show|x",
	} {
		env.mustRefuse(t, exitRefused, "nself: ", as(words)...)
	}
	if got := env.nself(t, as("events|replay|x")...); got.code != exitRefused {
		t.Errorf("%+v", got)
	}
	i.mustDo(t, "tenant", "limit", "remove", "acme", "users", "--yes")
}
