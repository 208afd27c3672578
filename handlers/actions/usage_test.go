package actions_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// event is one of compute_hours.
func event(key string, amount any) map[string]any {
	return map[string]any{"meter": "compute_hours", "key": key, "amount": amount}
}

// free puts a team on the plan with the smallest limits, which its four members fit.
func (h house) free(t testing.TB) pgtest.Team {
	t.Helper()
	team := pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "free"})
	return team
}

// used is what a tenant has used of a meter in all periods.
func (h house) used(t testing.TB, team pgtest.Team, meter string) (n string) {
	t.Helper()
	err := h.under.Superuser(t).QueryRow(t.Context(),
		`SELECT trim_scale(coalesce(sum(used), 0))::text FROM billing.usage_totals WHERE tenant_id = $1 AND meter = $2`, team.ID, meter).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^" ;]*`)
	waits = regexp.MustCompile(`"retryAfter":[1-9]\d*`)
)

// golden compares a reply, its ids and times left out, with what is wanted.
func golden(t testing.TB, what string, got reply, want string) {
	t.Helper()
	text := waits.ReplaceAllString(times.ReplaceAllString(uuids.ReplaceAllString(got.raw, "<id>"), "<time>"), `"retryAfter":<seconds>`)
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func TestEventsAreCountedOnceAndThoseThatAreWrongAreToldOneByOne(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	ahead, before := time.Now().Add(3*time.Hour), time.Now().AddDate(-1, 0, 0)
	input := map[string]any{"events": []any{
		event("a", 1.5), event("b", nil), event("a", 1.5), event("a", 2), event("", 1), event("c", -1), event("d", "NaN"),
		map[string]any{"meter": "nothing", "key": "e"}, map[string]any{"meter": "users", "key": "f"},
		map[string]any{"meter": "compute_hours", "key": "g", "at": ahead}, map[string]any{"meter": "compute_hours", "key": "h", "at": before},
		map[string]any{"meter": "compute_hours", "key": "i\x00"}, map[string]any{"meter": "compute_hours", "key": strings.Repeat("k", 256)},
		map[string]any{"meter": "api_requests", "key": "l", "amount": 0.5}, map[string]any{"meter": "api_requests", "key": "m"},
	}}
	got := h.must(t, team.As(member.Plain), "recordUsage", input)
	var codes []string
	for _, refused := range got["refused"].([]any) {
		one := refused.(map[string]any)
		codes = append(codes, fmt.Sprintf("%v %v", one["index"], one["code"]))
		if one["reason"] == "" || one["key"] == nil {
			t.Errorf("refused without a word: %v", one)
		}
	}
	want := []string{
		"3 key-reused", "4 wrong-key", "5 wrong-amount", "6 wrong-amount", "7 unknown-meter", "8 level-meter", "9 in-the-future",
		"10 period-closed", "11 wrong-key", "12 wrong-key", "13 wrong-amount",
	}
	if diff := cmp.Diff(want, codes); diff != "" || got["accepted"] != 3.0 || got["duplicates"] != 1.0 {
		t.Errorf("%v accepted, %v duplicates; refused:\n%s", got["accepted"], got["duplicates"], diff)
	}
	again := h.must(t, owner(team), "recordUsage", input)
	if again["accepted"] != 0.0 || again["duplicates"] != 4.0 {
		t.Errorf("the same again: %v", again)
	}
	if hours, requests := h.used(t, team, "compute_hours"), h.used(t, team, "api_requests"); hours != "2.5" || requests != "1" {
		t.Errorf("used %s hours and %s requests", hours, requests)
	}
}

func TestTheReplyOfRecordUsage(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	body := `{"action":{"name":"recordUsage"},"request_query":null,"session_variables":{"x-hasura-role":"tenant_member","x-hasura-user-id":"` +
		team.Member.String() + `","x-hasura-tenant-id":"` + team.ID.String() + `"},"input":{"events":[
		{"meter":"compute_hours","key":"a","amount":5.0e-2,"at":"` + time.Now().Add(-time.Second).Format(time.RFC3339) + `"},
		{"meter":"compute_hours","key":"a","amount":"-1","value":null},{"meter":"compute_hours","key":"b"}]}}`
	got := h.send(t, "recordUsage", []byte(body), headers(secret, "application/json"))
	golden(t, "recorded", got, `{"accepted":2,"duplicates":0,"refused":[{"index":1,"key":"a","code":"wrong-amount","reason":"the amount is below 0"}]}`)
	golden(t, "nothing wrong", h.call(t, owner(team), "recordUsage", map[string]any{"events": []any{event("c", 1)}}), `{"accepted":1,"duplicates":0,"refused":[]}`)
}

func TestEveryWrongInputOfUsageIsToldAtOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for action, c := range map[string]struct {
		input map[string]any
		want  []string
	}{
		"recordUsage": {map[string]any{"events": []any{7, nil, []any{}, map[string]any{"key": 1, "at": "today", "value": 2, "surprise": 1}, event("good", 1)}, "surprise": 1},
			[]string{`"surprise"`, "events[0]", "events[1]", "events[2]", `events[3]."surprise"`, "events[3].at", "events[3].key", "events[3].meter", "events[3].value"}},
		"takeQuota":       {map[string]any{"amount": "x", "value": 1, "idempotencyKey": "", "surprise": 1}, []string{`"surprise"`, "amount", "idempotencyKey", "meter", "value"}},
		"checkQuota":      {map[string]any{"amount": -1, "meter": nil}, []string{"amount", "meter"}},
		"reserveQuota":    {map[string]any{"ttlSeconds": 86401, "idempotencyKey": strings.Repeat("k", 256), "meter": 1}, []string{"amount", "idempotencyKey", "meter", "ttlSeconds"}},
		"settleQuota":     {map[string]any{"id": "x", "amount": -1}, []string{"amount", "id"}},
		"releaseQuota":    {map[string]any{"id": 1}, []string{"id"}},
		"tenantUsage":     {map[string]any{"at": "noon", "month": 1}, []string{`"month"`, "at"}},
		"reverseUsage":    {nil, []string{"key", "meter", "tenant"}},
		"setTenantLimit":  {map[string]any{"tenant": "t", "limit": -2, "enforcement": "firm", "expiresAt": "2020-01-01T00:00:00Z", "reason": strings.Repeat("x", 501)}, []string{"enforcement", "expiresAt", "limit", "meter", "reason"}},
		"setBillingCycle": {map[string]any{"tenant": team.Slug, "anchorAt": 15}, []string{"anchorAt"}},
		"defineMeter": {map[string]any{"code": "A B", "aggregation": "avg", "deciding": "loosely", "leaseSize": 0, "onOutage": "panic", "defaultLimit": -2},
			[]string{"aggregation", "code", "deciding", "defaultLimit", "leaseSize", "onOutage"}},
		"addMeterSource":    {map[string]any{"table": "documents", "meter": 1}, []string{"meter", "table"}},
		"removeMeterSource": {map[string]any{"table": ".x"}, []string{"meter", "table"}},
		"parkedEvents":      {map[string]any{"limit": 1001}, []string{"limit"}},
		"replayEvent":       {map[string]any{"id": nil}, []string{"id"}},
	} {
		actor := pgtest.Operator
		actor.Tenant = team.ID
		got := h.refused(t, "invalid-input", actor, action, c.input)
		var fields []string
		for _, p := range got.body["extensions"].(map[string]any)["problems"].([]any) {
			fields = append(fields, p.(map[string]any)["field"].(string))
		}
		slices.Sort(fields)
		if diff := cmp.Diff(c.want, fields); diff != "" {
			t.Errorf("%s:\n%s", action, diff)
		}
	}
}

func TestAListOfTenThousandEventsIsTakenAndOneMoreIsNot(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	many := make([]any, 10_001)
	for i := range many {
		many[i] = map[string]any{"meter": "compute_hours", "key": fmt.Sprintf("a-key-of-some-length-%06d", i), "amount": 0.5, "at": time.Now().UTC()}
	}
	for _, wrong := range [][]any{{}, many} {
		h.refused(t, "invalid-input", owner(team), "recordUsage", map[string]any{"events": wrong})
	}
	for _, want := range []string{"accepted", "duplicates"} {
		if got := h.must(t, owner(team), "recordUsage", map[string]any{"events": many[:10_000]}); got[want] != 10_000.0 {
			t.Errorf("%s: %v", want, got)
		}
	}
	if used := h.used(t, team, "compute_hours"); used != "5000" {
		t.Errorf("used %s", used)
	}
	for i := range many {
		many[i] = 1
	}
	got := h.refused(t, "invalid-input", owner(team), "recordUsage", map[string]any{"events": many[:10_000]})
	if problems := got.body["extensions"].(map[string]any)["problems"].([]any); len(problems) != 20 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestTenantUsageReportsEachMeterOfAPeriod(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	h.must(t, owner(team), "recordUsage", map[string]any{"events": []any{event("a", 9)}})
	h.must(t, pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "storage", "limit": -1, "enforcement": "soft"})
	got := h.call(t, team.As(member.Admin), "tenantUsage", nil)
	golden(t, "report", got, `{"tenantId":"<id>","slug":"`+team.Slug+`","plan":"free","periodStart":"<time>","periodEnd":"<time>","closedAt":null,"meters":[`+
		`{"meter":"api_requests","name":"API requests","unit":"requests","aggregation":"count","used":0,"held":0,"limit":10000,"enforcement":"hard","source":"plan","remaining":10000,"percent":0,"reached":0,"resetDate":"<time>"},`+
		`{"meter":"storage","name":"Storage","unit":"bytes","aggregation":"level","used":0,"held":0,"limit":-1,"enforcement":"soft","source":"tenant","remaining":null,"percent":null,"reached":0,"resetDate":null},`+
		`{"meter":"compute_hours","name":"Compute","unit":"hours","aggregation":"sum","used":9,"held":0,"limit":10,"enforcement":"hard","source":"plan","remaining":1,"percent":90,"reached":80,"resetDate":"<time>"},`+
		`{"meter":"users","name":"Users","unit":"users","aggregation":"level","used":4,"held":0,"limit":5,"enforcement":"hard","source":"plan","remaining":1,"percent":80,"reached":80,"resetDate":null}],`+
		`"chargeMinor":0,"currency":"usd"}`)
	h.refused(t, "not-found", owner(team), "tenantUsage", map[string]any{"at": "2001-01-01T00:00:00Z"})
	h.must(t, pgtest.Operator, "tenantUsage", map[string]any{"tenant": team.Slug, "at": time.Now()})
}

func TestAnEventIsReversedOnceByTheOperator(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "recordUsage", map[string]any{"events": []any{event("a", 2.5), event("b", 1)}})
	one := map[string]any{"tenant": team.Slug, "meter": "compute_hours", "key": "own|a"}
	golden(t, "reversed", h.call(t, pgtest.Operator, "reverseUsage", one), `{"meter":"compute_hours","key":"own|a","amount":2.5,"periodStart":"<time>"}`)
	if got := h.call(t, pgtest.Operator, "reverseUsage", one); got.status == 200 || got.status >= 500 {
		t.Errorf("again: %d %v", got.status, got.body)
	}
	h.refused(t, "not-found", pgtest.Operator, "reverseUsage", map[string]any{"tenant": team.Slug, "meter": "compute_hours", "key": "nobody's"})
	if used := h.used(t, team, "compute_hours"); used != "1" {
		t.Errorf("used %s", used)
	}
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'reverse_usage'`, team.ID); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

// What is written for a tenant's own figures is read by nobody else.
func TestUsageOfAnotherTenantAnswersLikeNone(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	theirs := h.must(t, owner(other), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": 1})["id"]
	message := func(actor session.Session, action string, input map[string]any, hide any) string {
		got := h.refused(t, "not-found", actor, action, input)
		return strings.ReplaceAll(fmt.Sprint(got.body["message"]), fmt.Sprint(hide), "X")
	}
	for action, input := range map[string]map[string]any{
		"recordUsage": {"events": []any{event("a", 1)}}, "checkQuota": {"meter": "users"}, "takeQuota": {"meter": "compute_hours"}, "tenantUsage": {},
		"reserveQuota": {"meter": "storage", "amount": 1}, "settleQuota": {"id": theirs, "amount": 1}, "releaseQuota": {"id": theirs},
	} {
		input["tenant"] = other.Slug
		found := message(owner(team), action, input, other.Slug)
		input["tenant"] = "no-such-tenant"
		if none := message(owner(team), action, input, "no-such-tenant"); none != found {
			t.Errorf("%s tells another tenant (%q) from none (%q)", action, found, none)
		}
	}
	for action, input := range map[string]map[string]any{"settleQuota": {"amount": 1}, "releaseQuota": {}} {
		input["id"] = theirs
		found := message(owner(team), action, input, theirs)
		input["id"] = team.Owner
		if none := message(owner(team), action, input, team.Owner); none != found {
			t.Errorf("%s tells another tenant's reservation (%q) from none (%q)", action, found, none)
		}
	}
	if n := h.count(t, `SELECT count(*) FROM billing.quota_reservations WHERE id = $1 AND state = 'open'`, theirs); n != 1 {
		t.Error("the reservation of the other tenant ended")
	}
}
