package entitlement_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// operator is the operator in the tenant of a team.
func operator(team pgtest.Team) session.Session {
	s := pgtest.Operator
	s.Tenant = team.ID
	return s
}

// entitled is what the database says a tenant may use, as "meter limit enforcement source".
func entitled(t *testing.T, db pg.DB, tenant id.Tenant) []string {
	t.Helper()
	type row struct{ Line string }
	rows, err := pg.All[row](t.Context(), db, `
		SELECT concat_ws(' ', m.code, e."limit", e.enforcement, e.source) AS line
		FROM billing.meters m, LATERAL billing.entitlement(@tenant_id, m.code) e ORDER BY NOT m.built_in, m.code`, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, r.Line)
	}
	return lines
}

func TestWhatWasAgreedComesBeforeThePlanAndThePlanBeforeTheMeter(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, tx)
	if _, err := tenant.SetPlan(t.Context(), tx, operator(team), "free"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO billing.meters (code, name, aggregation, default_limit) VALUES ('own', 'Own', 'sum', 7)`); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	in := entitlement.SetInput{Meter: "compute_hours", Limit: entitlement.Unlimited, Enforcement: entitlement.Soft, ExpiresAt: &later}
	if _, err := entitlement.Set(t.Context(), tx, operator(team), in); err != nil {
		t.Fatal(err)
	}
	agreed := entitled(t, tx, team.ID)
	want := []string{"api_requests 10000 hard plan", "compute_hours -1 soft tenant", "own 7 hard default"}
	for _, line := range want {
		if !slices.Contains(agreed, line) {
			t.Errorf("no %q in %q", line, agreed)
		}
	}
	if _, err := entitlement.Remove(t.Context(), tx, operator(team), "compute_hours"); err != nil {
		t.Fatal(err)
	}
	if again := entitled(t, tx, team.ID); !slices.Contains(again, "compute_hours 10 hard plan") {
		t.Errorf("the plan's limit does not hold again: %q", again)
	}
	if none := entitled(t, tx, id.New[id.Tenant]()); len(none) != 0 {
		t.Errorf("no tenant: %q", none)
	}
}

func TestATenantAgreesOnNothingWithItself(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, tx), pgtest.NewTeam(t, tx)
	if err := pg.EnterTenant(t.Context(), tx, team.As("owner")); err != nil {
		t.Fatal(err)
	}
	if own := entitled(t, tx, team.ID); len(own) == 0 {
		t.Error("it does not see what it may use")
	}
	if theirs := entitled(t, tx, other.ID); len(theirs) != 0 {
		t.Errorf("another's: %q", theirs)
	}
	if _, err := entitlement.Set(t.Context(), tx, team.As("owner"), entitlement.SetInput{Meter: "users", Limit: 1, Enforcement: entitlement.Hard}); err == nil {
		t.Error("a tenant agrees on a limit with itself")
	}
}

// The owner reads the log of the tenant, and the reason is not for the owner.
func TestTheReasonOfAnAgreementIsNotInTheLog(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, tx)
	for _, limit := range []int64{10, 20} {
		in := entitlement.SetInput{Meter: "users", Limit: limit, Enforcement: entitlement.Hard, Reason: "haggled long"}
		if set, err := entitlement.Set(t.Context(), tx, operator(team), in); err != nil || set.Reason == nil || *set.Reason != "haggled long" {
			t.Fatalf("%+v, %v", set, err)
		}
	}
	if _, err := entitlement.Remove(t.Context(), tx, operator(team), "users"); err != nil {
		t.Fatal(err)
	}
	const logSQL = `SELECT count(*) || ' ' || count(*) FILTER (WHERE l::text LIKE '%haggled%') FROM audit.log l WHERE tenant_id = @tenant_id AND target = 'limit:users'`
	if told, err := pg.Scalar[string](t.Context(), tx, logSQL, pgx.NamedArgs{"tenant_id": team.ID}); err != nil || told != "3 0" {
		t.Errorf("rows, and rows with the reason: %s, %v", told, err)
	}
}

func TestWhatIsWrongWithAnAgreementIsToldAtOnce(t *testing.T) {
	past := time.Now().Add(-time.Second)
	var problems fault.Problems
	in := entitlement.SetInput{Meter: "users", Limit: -2, Enforcement: "firm", Reason: "a\nb", ExpiresAt: &past}
	in.Validate(&problems)
	if len(problems) != 4 {
		t.Errorf("told %v", problems)
	}
	problems = nil
	for _, limit := range []int64{-1, 0, 1 << 62} {
		in = entitlement.SetInput{Meter: "users", Limit: limit, Reason: " why "}
		if in.Validate(&problems); len(problems) != 0 || in.Enforcement != entitlement.Hard || in.Reason != "why" {
			t.Errorf("%d: %v, %+v", limit, problems, in)
		}
	}
}
