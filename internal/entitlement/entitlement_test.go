package entitlement_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	in := entitlement.SetInput{Meter: "storage", Limit: entitlement.Unlimited, Enforcement: entitlement.Soft, ExpiresAt: &later}
	if _, err := entitlement.Set(t.Context(), tx, operator(team), in); err != nil {
		t.Fatal(err)
	}
	got, err := entitlement.All(t.Context(), tx, team.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []entitlement.Entitlement{
		{Meter: "api_requests", Limit: 10_000, Enforcement: "hard", Source: "plan"},
		{Meter: "compute_hours", Limit: 10, Enforcement: "hard", Source: "plan"},
		{Meter: "storage", Limit: -1, Enforcement: "soft", Source: "tenant"},
		{Meter: "users", Limit: 5, Enforcement: "hard", Source: "plan"},
		{Meter: "own", Limit: 7, Enforcement: "hard", Source: "default"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, e := range want {
		if one, err := entitlement.Of(t.Context(), tx, team.ID, e.Meter); err != nil || one != e {
			t.Errorf("%s: %v, %v", e.Meter, one, err)
		}
	}
	if _, err := entitlement.Of(t.Context(), tx, team.ID, "nothing"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no meter: %v", err)
	}
	if none, err := entitlement.All(t.Context(), tx, id.New[id.Tenant]()); err != nil || len(none) != 0 {
		t.Errorf("no tenant: %v, %v", none, err)
	}
}

func TestATenantReadsWhatItMayUseAndNobodyElses(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, tx), pgtest.NewTeam(t, tx)
	if err := pg.EnterTenant(t.Context(), tx, team.As("owner")); err != nil {
		t.Fatal(err)
	}
	if e, err := entitlement.Of(t.Context(), tx, team.ID, "users"); err != nil || e.Limit != entitlement.Unlimited {
		t.Errorf("its own: %v, %v", e, err)
	}
	if e, err := entitlement.Of(t.Context(), tx, other.ID, "users"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another's: %v, %v", e, err)
	}
	inside := team.As("owner")
	if _, err := entitlement.Set(t.Context(), tx, inside, entitlement.SetInput{Meter: "users", Limit: 1, Enforcement: entitlement.Hard}); err == nil {
		t.Error("a tenant agrees on a limit with itself")
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
