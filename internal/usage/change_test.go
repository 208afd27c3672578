package usage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

// object is a change of a stored object; a size of -1 is no row.
func object(tenant id.Tenant, op string, before, after int64) usage.Change {
	row := func(size int64) json.RawMessage {
		if size < 0 {
			return json.RawMessage("null")
		}
		return json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"size_bytes":%d,"reservation_id":null}`, tenant, size))
	}
	return usage.Change{EventID: uuid.NewString(), Schema: "tenants", Table: "storage_objects", Op: op, Old: row(before), New: row(after)}
}

func apply(t *testing.T, tx pgx.Tx, changes ...usage.Change) {
	t.Helper()
	for _, c := range changes {
		if err := usage.Apply(t.Context(), tx, c); err != nil {
			t.Fatalf("%s of %s: %v", c.Op, c.Table, err)
		}
	}
}

func TestALevelFollowsItsRowsInAnyOrder(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	apply(t, db, object(team.ID, "DELETE", 9007199254740993, -1), object(team.ID, "UPDATE", 5, 9007199254740993), object(team.ID, "INSERT", -1, 5),
		object(team.ID, "INSERT", -1, 70), object(team.ID, "UPDATE", 70, 70), object(other.ID, "INSERT", -1, 3))
	moved := object(team.ID, "UPDATE", 70, 60)
	moved.New = object(other.ID, "INSERT", -1, 60).New
	apply(t, db, moved)
	if got := used(t, db, team.ID, "storage") + " " + used(t, db, other.ID, "storage"); got != "0 63" {
		t.Errorf("stored %s", got)
	}
}

func TestUsersAreCountedAgainAtEachEvent(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	change := usage.Change{EventID: "1", Schema: "tenants", Table: "tenant_members", Op: "INSERT",
		New: json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"user_id":%q}`, team.ID, team.Owner))}
	apply(t, db, change, change)
	if got := used(t, db, team.ID, "users"); got != "4" {
		t.Errorf("%s users, want the four of a team", got)
	}
	operator := pgtest.Operator
	operator.Tenant = team.ID
	if _, err := member.Remove(t.Context(), db, operator, team.Guest); err != nil {
		t.Fatal(err)
	}
	change.Op, change.Old, change.New = "DELETE", change.New, nil
	apply(t, db, change)
	if got := used(t, db, team.ID, "users"); got != "3" {
		t.Errorf("%s users after one left", got)
	}
	change.Old = json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"user_id":%q}`, uuid.NewString(), team.Owner))
	apply(t, db, change) // a tenant that is gone takes its members with it
	balanced(t, db)
}

func TestAnObjectStoredUnderAReservationEndsIt(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	apply(t, db, object(team.ID, "INSERT", -1, 1))
	reservation := uuid.NewString()
	plant(t, db, `WITH held AS (UPDATE billing.usage_totals SET held = 100 WHERE tenant_id = @tenant AND meter = 'storage' RETURNING period_start)
		INSERT INTO billing.quota_reservations (tenant_id, id, meter, period_start, amount, expires_at)
		SELECT @tenant, @id, 'storage', period_start, 100, now() + interval '1 hour' FROM held`, pgx.NamedArgs{"tenant": team.ID, "id": reservation})
	stored := object(team.ID, "INSERT", -1, 80)
	stored.New = json.RawMessage(strings.Replace(string(stored.New), `"reservation_id":null`, `"reservation_id":"`+reservation+`"`, 1))
	apply(t, db, stored, stored)
	got, err := pg.Scalar[string](t.Context(), db, `SELECT concat_ws(' ', r.state, trim_scale(r.settled), trim_scale(t.used), trim_scale(t.held))
		FROM billing.quota_reservations r JOIN billing.usage_totals t USING (tenant_id, meter, period_start) WHERE r.tenant_id = @tenant`,
		pgx.NamedArgs{"tenant": team.ID})
	if err != nil || got != "settled 80 161 0" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestARowOfATableIsOneEvent(t *testing.T) {
	d := pgtest.Database(t)
	plant(t, d.Superuser(t), `WITH made AS (SELECT 1) INSERT INTO billing.meter_sources (table_schema, table_name, meter, amount_column, value_column, time_column) VALUES
		('public', 'calls', 'compute_hours', 'hours', NULL, 'at'), ('public', 'calls', 'api_requests', NULL, NULL, NULL)`, nil)
	db := d.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	row := func(hours, at string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"hours":%s,"at":%s}`, team.ID, hours, at))
	}
	now := fmt.Sprintf("%q", time.Now().UTC().Format("2006-01-02T15:04:05.999999-07:00"))
	change := func(op string, before, after json.RawMessage) usage.Change {
		return usage.Change{EventID: uuid.NewString(), Schema: "public", Table: "calls", Op: op, Old: before, New: after}
	}
	again := change("INSERT", nil, row("5.0e-2", now))
	for _, c := range []usage.Change{again, again, change("MANUAL", nil, row(`"1.5"`, "null")), change("INSERT", nil, row("null", now)),
		change("UPDATE", row("1", now), row("8", now)), change("DELETE", row("1", now), nil)} {
		if err := pg.InTx(t.Context(), db, func(tx pgx.Tx) error { return usage.Apply(t.Context(), tx, c) }); err != nil {
			t.Errorf("%s: %v", c.Op, err)
		}
	}
	if got := used(t, db, team.ID, "compute_hours") + " " + used(t, db, team.ID, "api_requests"); got != "1.55 3" {
		t.Errorf("used %s", got)
	}
	for name, c := range map[string]usage.Change{
		"no number":         change("INSERT", nil, row(`"many"`, now)),
		"below 0":           change("INSERT", nil, row("-1", now)),
		"a huge number":     change("INSERT", nil, row("1e1000000000", now)),
		"a long number":     change("INSERT", nil, row(strings.Repeat("9", 200), now)),
		"an object":         change("INSERT", nil, row("{}", now)),
		"no zone":           change("INSERT", nil, row("1", `"2026-11-01T00:00:00"`)),
		"infinity":          change("INSERT", nil, row("1", `"infinity"`)),
		"long ago":          change("INSERT", nil, row("1", `"1999-11-01T00:00:00Z"`)),
		"no row":            change("MANUAL", nil, json.RawMessage(`"hello"`)),
		"null":              change("INSERT", nil, json.RawMessage(`null`)),
		"no columns":        change("MANUAL", nil, json.RawMessage(`{}`)),
		"no tenant":         change("INSERT", nil, json.RawMessage(strings.Replace(string(row("1", now)), team.ID.String(), "x", 1))),
		"an unknown tenant": change("INSERT", nil, json.RawMessage(strings.Replace(string(row("1", now)), team.ID.String(), uuid.NewString(), 1))),
		"another table":     {EventID: "1", Schema: "public", Table: "cats", Op: "INSERT", New: row("1", now)},
		"another operation": change("TRUNCATE", row("1", now), row("1", now)),
		"a level by hand":   object(team.ID, "MANUAL", -1, 5),
	} {
		err := pg.InTx(t.Context(), db, func(tx pgx.Tx) error { return usage.Apply(t.Context(), tx, c) })
		if !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := used(t, db, team.ID, "compute_hours") + " " + used(t, db, team.ID, "api_requests"); got != "1.55 3" {
		t.Errorf("after what was refused used %s", got)
	}
}

type goesOn struct{ Used, Held, Hours float64 }

func TestALevelGoesOnFromOnePeriodIntoTheNext(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	last := lastMonth(t, db, team.ID)
	plant(t, db, `WITH before AS (INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used, held, events, level_at)
			VALUES (@tenant, 'storage', @starts, 50, 7, 1, @starts) RETURNING *)
		INSERT INTO billing.usage_records (tenant_id, meter, period_start, at, amount, source)
		SELECT tenant_id, meter, period_start, period_start, 50, 'trigger' FROM before`, pgx.NamedArgs{"tenant": team.ID, "starts": last.StartsAt})
	if _, err := usage.ClosePeriods(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	apply(t, db, object(team.ID, "INSERT", -1, 10))
	hours := last.EndsAt.Sub(last.StartsAt).Hours() * 50
	for name, c := range map[string]struct {
		at time.Time
		goesOn
	}{"the last": {last.StartsAt, goesOn{50, 0, hours}}, "the running": {last.EndsAt, goesOn{60, 7, 24 * 50}}} {
		got, err := pg.One[goesOn](t.Context(), db, `SELECT used::float8, held::float8, round(level_hours, 3)::float8 AS hours FROM billing.usage_totals
			WHERE tenant_id = @tenant AND period_start = @start`, pgx.NamedArgs{"tenant": team.ID, "start": c.at})
		if err != nil || got != c.goesOn {
			t.Errorf("%s period: %+v, want %+v, %v", name, got, c.goesOn, err)
		}
	}
}
