package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const usedByAcme = `{"data":{"reply":{"tenant_id":"7d1e","plan":"starter","period_start":"2026-10-31T23:00:00+00:00","period_end":"2026-11-30T23:00:00Z","closed_at":null,
 "charge_minor":2900,"currency":"usd","meters":[
 {"meter":"documents","name":"Dokumente 名","unit":"pages","aggregation":"sum","used":1234.5,"held":0,"limit":1000,"enforcement":"soft","source":"tenant","remaining":0,"percent":123.45,"reached":100},
 {"meter":"users","name":"Users","unit":"users","aggregation":"level","used":3,"held":0,"limit":5,"enforcement":"hard","source":"plan","remaining":2,"percent":60,"reached":0},
 {"meter":"api_requests","name":"API requests","unit":"requests","aggregation":"count","used":1234,"held":200,"limit":"10000","enforcement":"hard","source":"plan","remaining":8566,"percent":12.3,"reached":0,"reset_date":"2026-11-30T23:00:00Z"},
 {"meter":"compute_hours","name":"Compute","unit":"hours","aggregation":"sum","used":0.05,"held":0,"limit":-1,"enforcement":"hard","source":"plan","remaining":null,"percent":null,"reached":0},
 {"meter":"visits","name":"Visits","unit":"","aggregation":"unique","used":9007199254740993,"held":0,"limit":-1,"enforcement":"soft","source":"default","remaining":null,"percent":null,"reached":0},
 {"meter":"storage","name":"Storage","unit":"bytes","aggregation":"level","used":536870912,"held":1073741824,"limit":10737418240,"enforcement":"hard","source":"plan","remaining":9126805504,"percent":5,"reached":0}
 ]}}}`

func TestTenantUsageShowsEachMeterAgainstItsLimit(t *testing.T) {
	const want = `Month                  November 2026
Ends                   2026-11-30 23:00:00 UTC
Plan                   starter
API requests           1,234 / 10,000 (12.3 %), 200 held
Storage                0.5 / 10.0 GiB (5.0 %), 1.0 GiB held
Compute hours          0.05 / unlimited
Active users           3 / 5 (60.0 %)
Dokumente 名 (pages)   1,234.5 / 1,000 (123.5 %), soft
Visits                 9,007,199,254,740,993 / unlimited
Estimated charge       $29.00
`
	if diff := cmp.Diff(want, hasuraSaying(t, usedByAcme).mustDo(t, "tenant", "usage", "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTenantUsageAsJSONHasWholeNumbers(t *testing.T) {
	out := hasuraSaying(t, usedByAcme).mustDo(t, "tenant", "usage", "acme", "--json")
	for _, part := range []string{`"used": 9007199254740993`, `"used": 0.05`, `"limit": 10000`, `"percent": null`, `"charge_minor": 2900`, `"period_end": "2026-11-30T23:00:00Z"`} {
		if !strings.Contains(out, part) {
			t.Errorf("no %s in\n%s", part, out)
		}
	}
	var report usageReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Meters) != 6 || report.Meters[0].Meter != "api_requests" {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestUnlimitedStorageKeepsItsUnit(t *testing.T) {
	const told = `{"data":{"reply":{"plan":"enterprise","period_start":"2026-11-15T00:00:00Z","period_end":"2026-12-15T00:00:00Z","closed_at":"2026-12-18T00:00:00Z","charge_minor":5000,"currency":"jpy",
		"meters":[{"meter":"storage","name":"Storage","unit":"bytes","used":1610612736,"held":0,"limit":-1,"enforcement":"hard"}]}}}`
	const want = `Month              2026-11-15 to 2026-12-15
Closed             2026-12-18 00:00:00 UTC
Plan               enterprise
Storage            1.5 GiB / unlimited
Estimated charge   ¥5,000
`
	if diff := cmp.Diff(want, hasuraSaying(t, told).mustDo(t, "tenant", "usage", "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACalendarMonthIsNamedInWhicheverTimeZone(t *testing.T) {
	for period, want := range map[string]string{
		"2026-11-01T00:00:00Z 2026-12-01T00:00:00Z": "November 2026",
		"2026-12-01T00:00:00Z 2027-01-01T00:00:00Z": "December 2026",
		"2026-10-31T10:00:00Z 2026-11-30T10:00:00Z": "November 2026", // Kiritimati
		"2026-11-01T12:00:00Z 2026-12-01T12:00:00Z": "November 2026", // Baker Island
		"2026-10-31T23:00:00Z 2027-01-01T05:00:00Z": "2026-10-31 to 2027-01-01",
		"2026-11-02T00:00:00Z 2026-12-02T00:00:00Z": "2026-11-02 to 2026-12-02",
		"2026-11-01T00:00:00Z 2026-11-15T00:00:00Z": "2026-11-01 to 2026-11-15",
		"2026-10-31T09:00:00Z 2026-11-30T09:00:00Z": "2026-10-31 to 2026-11-30",
	} {
		from, to, _ := strings.Cut(period, " ")
		starts, startErr := time.Parse(time.RFC3339, from)
		ends, endErr := time.Parse(time.RFC3339, to)
		if got := monthOf(starts, ends); startErr != nil || endErr != nil || got != want {
			t.Errorf("%s: %s, want %s", period, got, want)
		}
	}
}

func TestADayMeansItsNoonAndTodayNothingLaterThanNow(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	for typed, want := range map[string]string{
		"2026-10-31": "2026-10-31T12:00:00Z", "2026-11-23": "2026-11-23T09:30:00Z", "2026-11-24": "2026-11-24T12:00:00Z",
		"2026-10-31T23:30:00-05:00": "2026-11-01T04:30:00Z",
		"October":                   "neither a day", "2026-02-30": "neither a day", "720h": "neither a day",
	} {
		got, err := periodMoment(typed, now)
		if err == nil && got.Format(time.RFC3339) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", typed, got, err, want)
		}
	}
}
