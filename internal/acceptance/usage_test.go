package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	recordIt = `mutation($e: [UsageEventInput!]!) { recordUsage(events: $e) { accepted duplicates refused { index key code reason } } }`
	limitIt  = `mutation($t: String!, $m: String!, $l: bigint!) { setTenantLimit(tenant: $t, meter: $m, limit: $l) { limit } }`
	takeIt   = `mutation($m: String!, $a: numeric) { takeQuota(meter: $m, amount: $a) { allowed used remaining resetDate } }`
	readIt   = `{ tenantUsage { periodStart periodEnd chargeMinor currency meters { meter used held limit remaining percent reached resetDate } } }`
)

// used is how the house stands with a meter, as its owner is told; "" where it is not
// told of the meter.
func used(t *testing.T, h house, meter string) json.Number {
	t.Helper()
	r := h.owner.must(t, readIt, nil)
	var usage struct {
		Meters []struct {
			Meter string
			Used  json.Number
		}
	}
	if err := json.Unmarshal(r.Data["tenantUsage"], &usage); err != nil {
		t.Fatalf("%v: %s", err, r.raw)
	}
	for _, m := range usage.Meters {
		if m.Meter == meter {
			return m.Used
		}
	}
	return ""
}

func wantUsed(t *testing.T, h house, meter, want string) {
	t.Helper()
	if got := used(t, h, meter); got.String() != want {
		t.Errorf("%s: %s are used, want %s", meter, got, want)
	}
}

func TestUsageIsTakenUntilTheLimitAndNoFurther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator().must(t, limitIt, args{"t": h.id, "m": "compute_hours", "l": 10})
	hours := []args{{"meter": "compute_hours", "key": "first", "amount": 7.5}}
	r := h.member.must(t, recordIt, args{"e": hours})
	again := h.admin.must(t, recordIt, args{"e": append(hours, args{"meter": "compute_hours", "key": "first", "amount": 8})})
	if r.at(t, "recordUsage.accepted") != 1.0 || again.at(t, "recordUsage.duplicates") != 1.0 || again.text(t, "recordUsage.refused.0.code") != "key-reused" {
		t.Errorf("recorded %s, then %s", r.raw, again.raw)
	}
	for range 5 {
		if r := h.member.must(t, takeIt, args{"m": "compute_hours", "a": 0.5}); r.at(t, "takeQuota.allowed") != true {
			t.Fatalf("refused within the limit: %s", r.raw)
		}
	}
	e := h.member.refused(t, takeIt, args{"m": "compute_hours", "a": json.Number("0.000000001")})
	if e.code() != "quota-exceeded" || e.Extensions["limit"] != 10.0 || fmt.Sprint(e.Extensions["current"]) != "10" || e.Extensions["resetDate"] == nil {
		t.Errorf("refused with %+v", e)
	}
	if r := h.member.must(t, `{ checkQuota(meter: "compute_hours", amount: 1) { allowed remaining } }`, nil); r.at(t, "checkQuota.allowed") != false || r.at(t, "checkQuota.remaining") != 0.0 {
		t.Errorf("asked beforehand: %s", r.raw)
	}
	h.owner.must(t, recordIt, args{"e": []args{{"meter": "compute_hours", "key": "a fact", "amount": 5}}})
	wantUsed(t, h, "compute_hours", "15")
	if e := h.guest.refused(t, recordIt, args{"e": hours}); e.code() == "quota-exceeded" {
		t.Errorf("a guest: %+v", e)
	}
}

// api_requests are decided in the server's memory, compute_hours in the database.
func TestManyWhoTakeAtOnceGetExactlyTheLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const limit, askers, each = 25, 8, 5
	for _, meter := range []string{"api_requests", "compute_hours"} {
		operator().must(t, limitIt, args{"t": h.id, "m": meter, "l": limit})
		var granted atomic.Int64
		var wait sync.WaitGroup
		for range askers {
			wait.Go(func() {
				for range each {
					r := h.member.ask(t, takeIt, args{"m": meter, "a": 1})
					switch {
					case len(r.Errors) == 0:
						granted.Add(1)
					case r.Errors[0].code() != "quota-exceeded":
						t.Errorf("%s: %s", meter, r.raw)
					}
				}
			})
		}
		wait.Wait()
		if granted.Load() != limit {
			t.Errorf("%s: %d of %d were granted", meter, granted.Load(), limit)
		}
		eventually(t, "what was granted is counted", func() bool { return used(t, h, meter) == "25" })
	}
}

func TestOwnersAreWarnedOfEachThresholdOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.admit(t, "owner")
	operator().must(t, limitIt, args{"t": h.id, "m": "compute_hours", "l": 1000})
	warnings := func(p person) int {
		_, text := send(t, http.MethodGet, "/dev/mailbox?format=json&to="+url.QueryEscape(p.email), nil, nil)
		var mails []struct{ Subject, Text string }
		if err := json.Unmarshal([]byte(text), &mails); err != nil {
			t.Fatalf("%v: %.300s", err, text)
		}
		n := 0
		for _, m := range mails {
			if strings.Contains(m.Subject+m.Text, "Compute") && strings.Contains(m.Text, h.name) {
				n++
			}
		}
		return n
	}
	for n, amount := range []int{799, 1, 100, 99, 1, 200, 1} {
		h.member.must(t, recordIt, args{"e": []args{{"meter": "compute_hours", "key": fmt.Sprint("step ", n), "amount": amount}}})
		switch n {
		case 1:
			eventually(t, "both owners are warned at 80 %", func() bool { return warnings(h.owner) == 1 && warnings(second) == 1 })
		case 4:
			eventually(t, "both owners are warned at 100 %", func() bool { return warnings(h.owner) == 2 && warnings(second) == 2 })
		}
	}
	eventually(t, "every event of the thresholds is handled", func() bool {
		return number(t, connect(t, asHasura), `SELECT count(*) FROM hdb_catalog.event_log
			WHERE trigger_name = 'quota_reached' AND payload -> 'data' -> 'new' ->> 'tenant_id' = $1 AND NOT delivered`, h.id) == 0
	})
	if n := number(t, connect(t, asOwner), `SELECT count(*) FROM billing.quota_notices WHERE tenant_id = $1 AND meter = 'compute_hours'`, h.id); n != 2 {
		t.Errorf("%d notices, want one of 80 %% and one of 100 %%", n)
	}
	for _, p := range []person{h.owner, second} {
		if n := warnings(p); n != 2 {
			t.Errorf("%d mails to an owner, want 2", n)
		}
	}
	if n := warnings(h.admin); n != 0 {
		t.Errorf("%d mails to an admin", n)
	}
}

func TestAmountsArriveWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	big := []args{
		{"meter": "compute_hours", "key": "large", "amount": json.Number("9007199254740993")},
		{"meter": "compute_hours", "key": "small", "amount": json.Number("5.0e-2")},
		{"meter": "compute_hours", "key": "text", "amount": "0.000000001"},
	}
	h.member.must(t, recordIt, args{"e": big})
	wantUsed(t, h, "compute_hours", "9007199254740993.050000001")
}

func TestWrongEventsAreRefusedOneByOneWithAReason(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.member.must(t, recordIt, args{"e": []args{
		{"meter": "compute_hours", "key": "good", "amount": 1},
		{"meter": "compute_hours", "key": "negative", "amount": -1},
		{"meter": "compute_hours", "key": "ahead", "amount": 1, "at": "2999-01-01T00:00:00Z"},
		{"meter": "compute_hours", "key": "past", "amount": 1, "at": "2001-01-01T00:00:00Z"},
		{"meter": "no_such_meter", "key": "unknown", "amount": 1},
		{"meter": "storage", "key": "level", "amount": 1},
		{"meter": "compute_hours", "key": "", "amount": 1},
	}})
	for n, code := range []string{"wrong-amount", "in-the-future", "period-closed", "unknown-meter", "level-meter", "wrong-key"} {
		if got := r.text(t, fmt.Sprintf("recordUsage.refused.%d.code", n)); got != code || r.text(t, fmt.Sprintf("recordUsage.refused.%d.reason", n)) == "" {
			t.Errorf("event %d is refused as %s, want %s: %s", n+1, got, code, r.raw)
		}
	}
	wantUsed(t, h, "compute_hours", "1")
}

// Whoever writes a member's row meets the limit of users.
func TestNoDoorLetsMoreUsersInThanTheLimit(t *testing.T) {
	t.Parallel()
	h, stranger := newHouse(t), newUser(t)
	operator().must(t, limitIt, args{"t": h.id, "m": "users", "l": 4})
	e := h.owner.refused(t, `mutation($u: uuid!) { addMember(userId: $u) { role } }`, args{"u": h.local(t).id})
	if e.code() != "quota-exceeded" || e.Extensions["limit"] != 4.0 {
		t.Errorf("an owner: %+v", e)
	}
	for who, r := range map[string]reply{
		"the operator's action": operator().ask(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u) { role } }`, args{"t": h.id, "u": stranger.id}),
		"the operator's row": operator().ask(t, `mutation($t: uuid!, $u: uuid!) { insert_members_one(object: {tenant_id: $t, user_id: $u, role: "guest"}) { role } }`,
			args{"t": h.id, "u": stranger.id}),
	} {
		if len(r.Errors) == 0 || !strings.Contains(r.raw, "4 users") {
			t.Errorf("%s let a fifth user in, or says nothing of the limit: %s", who, r.raw)
		}
	}
	if _, err := connect(t, asOwner).Exec(t.Context(), `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES ($1, $2, 'guest')`, h.id, stranger.id); err == nil || !strings.Contains(err.Error(), "4 users") {
		t.Errorf("SQL let a fifth user in, or says nothing of the limit: %v", err)
	}
	operator().must(t, limitIt, args{"t": h.id, "m": "users", "l": -1})
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u) { role } }`, args{"t": h.id, "u": stranger.id})
}

// A service of the installation posts for any tenant, a person for his own.
func TestServicesPostTheUsageOfAnyTenantAndPeopleOfTheirOwn(t *testing.T) {
	t.Parallel()
	h, other := newHouse(t), newHouse(t)
	event := func(id, tenant string) args {
		e := args{"specversion": "1.0", "source": "/acceptance", "id": id, "type": "compute_hours", "data": args{"amount": 2}}
		if tenant != "" {
			e["tenant"] = tenant
		}
		return e
	}
	post := func(who caller, events ...args) answer {
		body, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		return who.with("Content-Type", "application/cloudevents-batch+json").callRaw(t, "/usage", string(body))
	}
	if a := post(hasura(), event("1", h.id), event("2", h.slug), event("1", h.id), event("1", other.id)); a.status != http.StatusOK || a.body["accepted"] != 3.0 || a.body["duplicates"] != 1.0 {
		t.Errorf("a service: %d %s", a.status, a.raw)
	}
	if a := post(h.member.caller, event("3", ""), event("4", other.id)); a.status != http.StatusOK || a.body["accepted"] != 1.0 || !strings.Contains(a.raw, "unknown-tenant") {
		t.Errorf("a member: %d %s", a.status, a.raw)
	}
	for who, c := range map[string]caller{"nobody": {}, "a guest": h.guest.caller} {
		if a := post(c, event("5", "")); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", who, a.status, a.raw)
		}
	}
	wantUsed(t, h, "compute_hours", "6")
	wantUsed(t, other, "compute_hours", "2")
}
