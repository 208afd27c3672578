package usage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestPartitionsAreMadeForAYearAndGoAfterTheirRetention(t *testing.T) {
	d := pgtest.Database(t)
	db, owner := d.Pool(t, "nself_server"), d.Pool(t, "nself_owner")
	if made, err := usage.MakePartitions(t.Context(), db); made != 0 || err != nil {
		t.Errorf("made %d though the migration had, %v", made, err)
	}
	last := "billing.usage_records_" + time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, 12, 0).Format("2006_01")
	if _, err := owner.Exec(t.Context(), `DROP TABLE `+last); err != nil {
		t.Fatal(err)
	}
	var made [2]int64
	race(t, countInto(t, &made[0], db, usage.MakePartitions), countInto(t, &made[1], db, usage.MakePartitions))
	if made[0]+made[1] != 1 {
		t.Errorf("two who make the one that lacks make %v", made)
	}
	if _, err := owner.Exec(t.Context(), `CREATE TABLE billing.usage_records_2020_01 PARTITION OF billing.usage_records FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')`); err != nil {
		t.Fatal(err)
	}
	team := pgtest.NewTeam(t, db)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "k", Amount: number("1")})
	if _, err := usage.DropPartitions(34*24*time.Hour)(t.Context(), db); err == nil || !strings.Contains(err.Error(), "35 days") {
		t.Errorf("a short retention: %v", err)
	}
	for _, want := range []int64{1, 0} {
		if gone, err := usage.DropPartitions(840*time.Hour)(t.Context(), db); gone != want || err != nil {
			t.Errorf("dropped %d, want %d, %v", gone, want, err)
		}
	}
	balanced(t, db)
}

func TestKeysAreForgottenAfterThirtyFiveDaysUnlessTheirPeriodIsOpen(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	ran(t, db, team.ID)
	event := func(key string, at time.Time) usage.Event {
		return usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: key, Amount: number("1"), At: at}
	}
	old, older, open := event("old", time.Now().AddDate(0, 0, -20)), event("older", time.Now().AddDate(0, 0, -20)), event("open", time.Time{})
	became(t, db, old, older, open)
	if closed, err := usage.ClosePeriods(t.Context(), db); closed != 1 || err != nil {
		t.Fatalf("closed %d, %v", closed, err)
	}
	plant(t, db, `UPDATE billing.usage_keys SET recorded_at = now() - CASE WHEN key_hash = billing.hash128('old') THEN interval '34 days' ELSE interval '36 days' END
		WHERE tenant_id = @tenant`, pgx.NamedArgs{"tenant": team.ID})
	for _, want := range []int64{1, 0} {
		if gone, err := usage.PruneKeys(t.Context(), db); gone != want || err != nil {
			t.Errorf("forgot %d, want %d, %v", gone, want, err)
		}
	}
	if diff := cmp.Diff([]string{"duplicate", "period-closed", "duplicate"}, became(t, db, old, older, open)); diff != "" {
		t.Error(diff)
	}
	if got := used(t, db, team.ID, "compute_hours"); got != "1" {
		t.Errorf("used %s", got)
	}
}

func TestValuesGoWhenTheirPeriodIsClosed(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	ran(t, db, team.ID)
	define(t, db, "faces", usage.Unique)
	face := func(key string, at time.Time) usage.Event {
		return usage.Event{Tenant: team.ID, Meter: "faces", Key: key, Value: key, At: at}
	}
	became(t, db, face("a", time.Now().AddDate(0, 0, -20)), face("b", time.Now().AddDate(0, 0, -20)), face("c", time.Now()))
	for _, want := range []int64{0, 2, 0} {
		if gone, err := usage.PruneKeys(t.Context(), db); gone != want || err != nil {
			t.Errorf("forgot %d, want %d, %v", gone, want, err)
		}
		if _, err := usage.ClosePeriods(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	balanced(t, db)
}

// The days of what was recorded while nobody rolled up are not lost.
func TestDaysOfALongAbsenceAreRolledUp(t *testing.T) {
	d := pgtest.Database(t)
	super, db := d.Superuser(t), d.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	ran(t, db, team.ID)
	if _, err := super.Exec(t.Context(), `CREATE TABLE billing.usage_records_earlier PARTITION OF billing.usage_records
		FOR VALUES FROM (MINVALUE) TO ('`+time.Now().UTC().Format("2006-01")+`-01Z')`); err != nil {
		t.Fatal(err)
	}
	args := pgx.NamedArgs{"tenant": team.ID}
	record := func(days string) {
		t.Helper()
		plant(t, super, `WITH p AS (SELECT starts_at FROM billing.usage_periods WHERE tenant_id = @tenant AND starts_at > now() - interval '11 days'), total AS (
				INSERT INTO billing.usage_totals AS t (tenant_id, meter, period_start, used, events) SELECT @tenant, 'compute_hours', starts_at, 2, 1 FROM p
				ON CONFLICT ON CONSTRAINT usage_totals_pkey DO UPDATE SET used = t.used + 2, events = t.events + 1, updated_at = now())
			INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, recorded_at, amount, source)
			SELECT @tenant, 'compute_hours', starts_at, now() - interval '`+days+`', now() - interval '`+days+`', 2, 'record' FROM p`, args)
	}
	record("8 days")
	for _, want := range []int64{1, 0} {
		if changed, err := usage.RollUp(t.Context(), db); changed != want || err != nil {
			t.Errorf("%d days changed, want %d, %v", changed, want, err)
		}
	}
	plant(t, super, `UPDATE billing.usage_periods SET rolled_at = now() - interval '6 days' WHERE tenant_id = @tenant AND rolled_at IS NOT NULL`, args)
	record("5 days")
	if changed, err := usage.RollUp(t.Context(), db); changed != 1 || err != nil {
		t.Errorf("since the mark %d days changed, %v", changed, err)
	}
	if got := text(t, db, `SELECT trim_scale(sum(amount))::text FROM billing.usage_daily WHERE tenant_id = @tenant`, args); got != "4" {
		t.Errorf("the days make %s", got)
	}
	balanced(t, db)
}

func TestDaysAreRolledUpHoweverOften(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "peak", usage.Max)
	define(t, db, "faces", usage.Unique)
	last := lastMonth(t, db, team.ID)
	noon := last.EndsAt.UTC().Truncate(24*time.Hour).AddDate(0, 0, -5).Add(12 * time.Hour)
	event := func(meter, amount, value string, at time.Time) usage.Event {
		return usage.Event{Tenant: team.ID, Meter: meter, Key: meter + amount + value + at.String(), Amount: number(amount), Value: value, At: at}
	}
	became(t, db, event("compute_hours", "1.5", "", noon), event("compute_hours", "2", "", noon.Add(11*time.Hour)), event("compute_hours", "4", "", noon.Add(12*time.Hour)),
		event("peak", "5", "", noon), event("peak", "3", "", noon), event("faces", "1", "a", noon), event("faces", "1", "a", noon.Add(1)), event("faces", "1", "b", noon))
	if _, err := usage.Reverse(t.Context(), db, pgtest.Operator, team.ID, "peak", event("peak", "5", "", noon).Key); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{4, 0} {
		if changed, err := usage.RollUp(t.Context(), db); changed != want || err != nil {
			t.Errorf("%d days changed, want %d, %v", changed, want, err)
		}
	}
	got := map[string]string{}
	for _, meter := range []string{"compute_hours", "peak", "faces"} {
		got[meter] = text(t, db, `SELECT string_agg(day || ' ' || trim_scale(amount), ', ' ORDER BY day) FROM billing.usage_daily
			WHERE tenant_id = @tenant AND meter = @meter`, pgx.NamedArgs{"tenant": team.ID, "meter": meter})
	}
	first, second := noon.Format(time.DateOnly)+" ", noon.AddDate(0, 0, 1).Format(time.DateOnly)+" "
	want := map[string]string{"compute_hours": first + "3.5, " + second + "4", "peak": first + "3", "faces": first + "2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPeriodsAreClosedThreeDaysAfterTheirEnd(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES
		(@tenant, now() - interval '64 days', now() - interval '33 days'), (@tenant, now() - interval '33 days', now() - interval '2 days')`,
		pgx.NamedArgs{"tenant": team.ID})
	plant(t, db, `INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used, level_at)
		SELECT tenant_id, 'users', starts_at, 4, starts_at FROM billing.usage_periods WHERE tenant_id = @tenant ORDER BY starts_at LIMIT 1`,
		pgx.NamedArgs{"tenant": team.ID})
	for _, want := range []int64{1, 0} {
		if closed, err := usage.ClosePeriods(t.Context(), db); closed != want || err != nil {
			t.Errorf("closed %d, want %d, %v", closed, want, err)
		}
	}
	hours, err := pg.Scalar[string](t.Context(), db, `SELECT string_agg(round(level_hours)::text, ' ' ORDER BY period_start) FROM billing.usage_totals WHERE tenant_id = @tenant`,
		pgx.NamedArgs{"tenant": team.ID})
	if err != nil || hours != "2976 2976 0" { // 4 users for 31 days, twice, and the running period
		t.Errorf("hours %s, %v", hours, err)
	}
	if got := used(t, db, team.ID, "users"); got != "4" {
		t.Errorf("%s users in the running period", got)
	}
}

func TestReconcileFindsTotalsThatDiffer(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "peak", usage.Max)
	define(t, db, "faces", usage.Unique)
	for _, meter := range []string{"compute_hours", "peak", "faces"} {
		e := usage.Event{Tenant: team.ID, Meter: meter, Key: uuid.NewString(), Amount: number("2")}
		if meter == "faces" {
			e.Value = "x"
		}
		became(t, db, e)
	}
	apply(t, db, object(team.ID, "INSERT", -1, 7)) // of which there is no row
	plant(t, db, `UPDATE billing.usage_totals SET used = used + 1 WHERE tenant_id = @tenant AND meter <> 'storage'`, pgx.NamedArgs{"tenant": team.ID})
	if found, err := usage.Reconcile(t.Context(), db); found != 4 || err != nil {
		t.Errorf("found %d, %v", found, err)
	}
	drifts, err := usage.Drifts(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, d := range drifts {
		got[d.Meter] = d.Total.String() + " " + d.Counted.String()
	}
	want := map[string]string{"compute_hours": "3 2", "peak": "3 2", "faces": "2 1", "storage": "7 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	plant(t, db, `UPDATE billing.usage_totals SET used = CASE meter WHEN 'storage' THEN 0 ELSE used - 1 END WHERE tenant_id = @tenant`, pgx.NamedArgs{"tenant": team.ID})
	balanced(t, db)
}
