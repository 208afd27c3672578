package usage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func zone(t *testing.T, db pg.DB, tenant id.Tenant, name string) {
	t.Helper()
	plant(t, db, `INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES (@tenant, 'time_zone', to_jsonb(@zone::text))
		ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value`, pgx.NamedArgs{"tenant": tenant, "zone": name})
}

// end is when a period that begins then ends.
func end(t *testing.T, db pg.DB, tenant id.Tenant, starts string) string {
	t.Helper()
	ends, err := pg.Scalar[time.Time](t.Context(), db, `SELECT billing.period_end(@tenant, @starts::text::timestamptz)`,
		pgx.NamedArgs{"tenant": tenant, "starts": starts})
	if err != nil {
		t.Fatal(err)
	}
	return ends.UTC().Format(time.RFC3339)
}

func TestAPeriodIsTheCalendarMonthOfTheTenantsZone(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	for _, c := range []struct{ zone, starts, ends string }{
		{"", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		{"Europe/Berlin", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"},
		{"Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"}, // an hour more, as the clocks went back
		{"Asia/Kathmandu", "2026-10-31T18:15:00Z", "2026-11-30T18:15:00Z"},
		{"No/Where", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
	} {
		if c.zone != "" {
			zone(t, db, team.ID, c.zone)
		}
		if got := end(t, db, team.ID, c.starts); got != c.ends {
			t.Errorf("%s: the period of %s ends %s, want %s", c.zone, c.starts, got, c.ends)
		}
	}
}

func TestNoChangeOfTheTimeZoneMakesAShortPeriod(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	starts, boundaries := "2026-11-01T00:00:00Z", 0
	for starts < "2028-11-01" {
		zone(t, db, team.ID, []string{"Pacific/Kiritimati", "Etc/GMT+12", "UTC-167", "UTC+167"}[boundaries%4])
		ends := end(t, db, team.ID, starts)
		from, _ := time.Parse(time.RFC3339, starts)
		to, _ := time.Parse(time.RFC3339, ends)
		if to.Sub(from) < 15*24*time.Hour {
			t.Errorf("a period from %s to %s", starts, ends)
		}
		starts = ends
		boundaries++
	}
	if boundaries > 25 {
		t.Errorf("%d allowances in 24 months", boundaries)
	}
	before, err := usage.PeriodOf(t.Context(), db, team.ID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	zone(t, db, team.ID, "Pacific/Kiritimati")
	after, err := usage.PeriodOf(t.Context(), db, team.ID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the running period changed: %s", diff)
	}
}

func TestPeriodsFollowEachOtherWithoutAGap(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES (@tenant, now() - interval '200 days', now() - interval '170 days')`,
		pgx.NamedArgs{"tenant": team.ID})
	if _, err := usage.PeriodOf(t.Context(), db, team.ID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	gaps, err := pg.Scalar[int64](t.Context(), db, `SELECT count(*) FROM (
		SELECT starts_at, lag(ends_at) OVER (ORDER BY starts_at) AS former FROM billing.usage_periods WHERE tenant_id = @tenant) p
		WHERE former <> starts_at`, pgx.NamedArgs{"tenant": team.ID})
	if err != nil || gaps != 0 {
		t.Errorf("%d gaps, %v", gaps, err)
	}
	for name, at := range map[string]time.Time{"before the first": time.Now().AddDate(0, 0, -201), "ahead": time.Now().Add(2 * time.Hour)} {
		if _, err := usage.PeriodOf(t.Context(), db, team.ID, at); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := usage.PeriodOf(t.Context(), db, id.New[id.Tenant](), time.Time{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("of no tenant: %v", err)
	}
}

func TestACycleMovesTheEndOfTheRunningPeriodAndKeepsWhatWasCounted(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "k", Amount: number("3")})
	before, err := usage.PeriodOf(t.Context(), db, team.ID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	anchor := time.Now().UTC().Add(49*time.Hour).Truncate(time.Second).AddDate(0, -3, 0)
	running, err := usage.SetCycle(t.Context(), db, pgtest.Operator, team.ID, &anchor)
	if err != nil {
		t.Fatal(err)
	}
	if !running.StartsAt.Equal(before.StartsAt) || running.EndsAt.Before(time.Now()) || running.EndsAt.After(time.Now().Add(73*time.Hour)) ||
		running.EndsAt.UTC().Format(time.TimeOnly) != anchor.Format(time.TimeOnly) {
		t.Errorf("the period is %v, it was %v", running, before)
	}
	if got := used(t, db, team.ID, "compute_hours"); got != "3" {
		t.Errorf("used %s", got)
	}
	if got := end(t, db, team.ID, running.EndsAt.Format(time.RFC3339)); got[8:10] == "01" && anchor.Day() != 1 {
		t.Errorf("the next one ends at %s", got)
	}
	if running, err = usage.SetCycle(t.Context(), db, pgtest.Operator, team.ID, nil); err != nil {
		t.Fatal(err)
	}
	if !running.StartsAt.Equal(before.StartsAt) || running.EndsAt.UTC().Format("02 15:04:05") != "01 00:00:00" {
		t.Errorf("without a cycle the period is %v", running)
	}
	if _, err := usage.SetCycle(t.Context(), db, pgtest.Operator, team.ID, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("to remove it again: %v", err)
	}
	if got := text(t, db, `SELECT count(*)::text FROM audit.log WHERE action = 'set_billing_cycle' AND tenant_id = @tenant`, pgx.NamedArgs{"tenant": team.ID}); got != "2" {
		t.Errorf("%s changes in the audit log", got)
	}
	if _, err := usage.SetCycle(t.Context(), db, pgtest.Operator, id.New[id.Tenant](), nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("of no tenant: %v", err)
	}
}

func TestACycleOnTheLastDayGoesByShorterMonths(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	anchor := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	if _, err := usage.SetCycle(t.Context(), db, pgtest.Operator, team.ID, &anchor); err != nil {
		t.Fatal(err)
	}
	got := []string{"2027-01-31T09:30:00Z"}
	for range 3 {
		got = append(got, end(t, db, team.ID, got[len(got)-1]))
	}
	if diff := cmp.Diff([]string{"2027-01-31T09:30:00Z", "2027-02-28T09:30:00Z", "2027-03-31T09:30:00Z", "2027-04-30T09:30:00Z"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLateEventsLandInTheirPeriodUntilItIsClosed(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	last := lastMonth(t, db, team.ID)
	late := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "late", Amount: number("2"), At: last.EndsAt.Add(-time.Hour)}
	next := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "next", Amount: number("3"), At: last.EndsAt}
	if diff := cmp.Diff([]string{"accepted", "accepted"}, became(t, db, late, next)); diff != "" {
		t.Error(diff)
	}
	if got := usedAt(t, db, team.ID, "compute_hours", late.At) + " " + used(t, db, team.ID, "compute_hours"); got != "2 3" {
		t.Errorf("used %s", got)
	}
	if n, err := usage.ClosePeriods(t.Context(), db); n != 0 || err != nil {
		t.Errorf("closed %d too early, %v", n, err)
	}
	plant(t, db, `UPDATE billing.usage_periods SET closed_at = now() WHERE tenant_id = @tenant AND starts_at = @starts`,
		pgx.NamedArgs{"tenant": team.ID, "starts": last.StartsAt})
	again := late
	again.Key = "too late"
	if diff := cmp.Diff([]string{"period-closed", "duplicate", "duplicate"}, became(t, db, again, late, next)); diff != "" {
		t.Error(diff)
	}
	balanced(t, db)
}

func TestAnEventAheadIsOfTheNextPeriodAndOfItsRecords(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES (@tenant, now() - interval '30 days', now() + interval '2 minutes')`,
		pgx.NamedArgs{"tenant": team.ID})
	ahead := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "ahead", Amount: number("2"), At: time.Now().Add(50 * time.Minute)}
	became(t, db, ahead)
	if got := used(t, db, team.ID, "compute_hours") + " " + usedAt(t, db, team.ID, "compute_hours", ahead.At); got != "nothing 2" {
		t.Errorf("used %s", got)
	}
	if changed, err := usage.RollUp(t.Context(), db); changed != 1 || err != nil {
		t.Errorf("%d days changed, %v", changed, err)
	}
	balanced(t, db)
}

// The days of a month's end would be a period with an allowance of its own.
func TestWithoutItsCycleAPeriodIsNoShorterThanOneOfTheCalendar(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	for day := 1; day <= 28; day += 3 {
		team := pgtest.NewTeam(t, db)
		begun := time.Now().Add(-time.Hour).UTC()
		anchor := time.Date(begun.Year(), begun.Month(), begun.Day(), begun.Hour(), begun.Minute(), 0, 0, time.UTC)
		plant(t, db, `INSERT INTO billing.billing_cycles (tenant_id, anchor_at) VALUES (@tenant, @anchor)`, pgx.NamedArgs{"tenant": team.ID, "anchor": anchor})
		plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES (@tenant, @starts::timestamptz, @starts::timestamptz + interval '1 month')`,
			pgx.NamedArgs{"tenant": team.ID, "starts": anchor.AddDate(0, 0, -day)})
		period, err := usage.SetCycle(t.Context(), db, pgtest.Operator, team.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := period.EndsAt.Sub(period.StartsAt); got < 15*24*time.Hour {
			t.Errorf("begun %d days ago it is %s long", day, got)
		}
	}
}
