package usage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

// A level of one's own begins with the rows that are there, follows the events, and is
// compared with the rows.
func TestALevelOfOnesOwnIsItsRows(t *testing.T) {
	d := pgtest.Database(t)
	owner, db := d.Pool(t, "nself_owner"), d.Pool(t, "nself_server")
	if _, err := owner.Exec(t.Context(), `CREATE TABLE billing.seats (tenant_id uuid, places numeric)`); err != nil {
		t.Fatal(err)
	}
	team, other, last := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	args := pgx.NamedArgs{"tenant": team.ID, "other": other.ID, "last": last.ID}
	plant(t, owner, `INSERT INTO billing.seats VALUES (@tenant, 2), (@tenant, 3.5), (@tenant, NULL), (@other, 7), (gen_random_uuid(), 1), (NULL, 1)`, args)
	define(t, db, "seats", usage.Level)
	places := "places"
	in := usage.Source{Schema: "billing", Table: "seats", Meter: "seats", AmountColumn: &places}
	add := func() error {
		return pg.InTx(t.Context(), db, func(tx pgx.Tx) error {
			_, err := usage.AddSource(t.Context(), tx, pgtest.Operator, in)
			return err
		})
	}
	if err := add(); !fault.Is(err, fault.InvalidInput) || !strings.Contains(err.Error(), `GRANT SELECT ON "billing"."seats" TO nself_server`) {
		t.Errorf("without the right to read it: %v", err)
	}
	if _, err := owner.Exec(t.Context(), `GRANT SELECT ON billing.seats TO nself_server`); err != nil {
		t.Fatal(err)
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	if got := used(t, db, team.ID, "seats") + " " + used(t, db, other.ID, "seats") + " " + used(t, db, last.ID, "seats"); got != "5.5 7 nothing" {
		t.Errorf("at the start %s", got)
	}
	balanced(t, db)
	plant(t, owner, `INSERT INTO billing.seats VALUES (@tenant, 4), (@last, 9)`, args)
	if found, err := usage.Reconcile(t.Context(), db); found != 2 || err != nil {
		t.Errorf("without the event of two rows %d drifts, %v", found, err)
	}
	row := json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"places":4}`, team.ID))
	if err := pg.InTx(t.Context(), db, func(tx pgx.Tx) error {
		return usage.Apply(t.Context(), tx, usage.Change{EventID: uuid.NewString(), Schema: "billing", Table: "seats", Op: "INSERT", New: row})
	}); err != nil {
		t.Fatal(err)
	}
	if found, err := usage.ReconcileTenant(t.Context(), db, team.ID); found != 0 || err != nil {
		t.Errorf("with its event %d drifts, %v", found, err)
	}
	plant(t, owner, `DELETE FROM billing.seats WHERE tenant_id = @other`, args)
	if err := usage.RemoveSource(t.Context(), db, pgtest.Operator, in); err != nil {
		t.Fatal(err)
	}
	if err := add(); err != nil { // which counts anew
		t.Fatal(err)
	}
	if got := used(t, db, team.ID, "seats") + " " + used(t, db, other.ID, "seats") + " " + used(t, db, last.ID, "seats"); got != "9.5 0 9" {
		t.Errorf("counted anew %s", got)
	}
	balanced(t, db)
	if _, err := owner.Exec(t.Context(), `REVOKE SELECT ON billing.seats FROM nself_server`); err != nil {
		t.Fatal(err)
	}
	balanced(t, db) // by its records
}

func TestWhatIsHeldIsCompared(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	last := lastMonth(t, db, team.ID)
	args := pgx.NamedArgs{"tenant": team.ID, "last": last.StartsAt}
	plant(t, db, `INSERT INTO billing.usage_totals (tenant_id, meter, period_start, level_at) VALUES (@tenant, 'storage', @last, @last)`, args)
	plant(t, db, `INSERT INTO billing.quota_reservations (tenant_id, meter, period_start, amount, expires_at)
		VALUES (@tenant, 'storage', @last, 11, now() + interval '1 hour')`, args)
	plant(t, db, `UPDATE billing.usage_totals SET held = 11 WHERE tenant_id = @tenant`, args)
	for _, sql := range []string{`SELECT billing.reserve(@tenant, 'storage', 30, '1 hour')`, `SELECT billing.reserve(@tenant, 'compute_hours', 2, '1 hour')`,
		`SELECT billing.lease(@tenant, 'api_requests', gen_random_uuid(), 1, 'test', 1, 50, 1)`} {
		plant(t, db, sql, args)
	}
	balanced(t, db)
	plant(t, db, `UPDATE billing.usage_totals SET held = held + 1 WHERE tenant_id = @tenant AND period_start <> @last`, args)
	if found, err := usage.ReconcileTenant(t.Context(), db, team.ID); found != 3 || err != nil {
		t.Errorf("%d drifts, %v", found, err)
	}
	got := text(t, db, `SELECT string_agg(concat_ws(' ', meter, what, trim_scale(total - counted)), ', ' ORDER BY meter) FROM billing.usage_drift WHERE tenant_id = @tenant`, args)
	if got != "api_requests held 1, compute_hours held 1, storage held 1" {
		t.Error(got)
	}
	plant(t, db, `UPDATE billing.usage_totals SET held = held - 1 WHERE tenant_id = @tenant AND period_start <> @last`, args)
	balanced(t, db)
}

func TestWhatTotalsWereMadeWithStaysWhoeverWrites(t *testing.T) {
	d := pgtest.Database(t)
	super, db := d.Superuser(t), d.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "calls", usage.Count)
	define(t, db, "spare", usage.Count)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "calls", Key: "k", Amount: number("1")})
	for _, change := range []string{`code = 'called' WHERE code = 'calls'`, `built_in = true WHERE code = 'calls'`, `built_in = false WHERE code = 'users'`,
		`aggregation = 'sum' WHERE code = 'calls'`, `aggregation = 'sum' WHERE code = 'api_requests'`, `code = 'other' WHERE code = 'spare'`} {
		for _, by := range []pg.DB{super, db} {
			if _, err := by.Exec(t.Context(), `UPDATE billing.meters SET `+change); pg.Constraint(err) != "meters_stay" {
				t.Errorf("%s: %v", change, err)
			}
		}
	}
	plant(t, db, `UPDATE billing.meters SET aggregation = 'sum', name = 'Spare' WHERE code = 'spare'`, nil)
	plant(t, db, `UPDATE billing.meters SET name = 'Calls', code = 'calls' WHERE code = 'calls'`, nil)
}
