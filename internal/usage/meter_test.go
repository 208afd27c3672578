package usage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestAMeterIsMadeAndChanged(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	made, err := usage.DefineMeter(t.Context(), db, pgtest.Operator, usage.MeterInput{Code: "calls"})
	if err != nil {
		t.Fatal(err)
	}
	want := usage.Meter{Code: "calls", Name: "calls", Aggregation: usage.Sum, Deciding: usage.Strict, LeaseSize: 100, OnOutage: usage.Refuse,
		DefaultLimit: -1, CreatedAt: made.CreatedAt}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	kind, name, limit, leased := usage.Count, "Calls", int64(500), usage.Leased
	want.Aggregation, want.Name, want.DefaultLimit, want.Deciding = kind, name, limit, leased
	changed, err := usage.DefineMeter(t.Context(), db, pgtest.Operator, usage.MeterInput{Code: "calls", Aggregation: &kind, Name: &name, DefaultLimit: &limit, Deciding: &leased})
	if diff := cmp.Diff(want, changed); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestWhatAMeterIsOfItsAmountsStaysOnceItIsUsed(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "calls", usage.Count)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "calls", Key: "k", Amount: number("1")})
	kind, leased := usage.Max, usage.Leased
	for name, in := range map[string]usage.MeterInput{
		"a used one":       {Code: "calls", Aggregation: &kind},
		"a built-in one":   {Code: "api_requests", Aggregation: &kind},
		"a leased maximum": {Code: "peak", Aggregation: &kind, Deciding: &leased},
	} {
		err := pg.InTx(t.Context(), db, func(tx pgx.Tx) error {
			_, err := usage.DefineMeter(t.Context(), tx, pgtest.Operator, in)
			return err
		})
		if !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	define(t, db, "calls", usage.Count)
}

func TestAMeterIsRemovedUnlessItIsBuiltInOrWasUsed(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "calls", usage.Count)
	define(t, db, "peak", usage.Max)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "calls", Key: "k", Amount: number("1")})
	for code, want := range map[string]fault.Code{"calls": fault.InvalidInput, "users": fault.Forbidden, "none": fault.NotFound} {
		if err := usage.RemoveMeter(t.Context(), db, pgtest.Operator, code); !fault.Is(err, want) {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
	}
	if err := usage.RemoveMeter(t.Context(), db, pgtest.Operator, "peak"); err != nil {
		t.Error(err)
	}
	if got := became(t, db, usage.Event{Tenant: team.ID, Meter: "peak", Key: "p", Amount: number("1")}); got[0] != "unknown-meter" {
		t.Errorf("an event of what was removed: %s", got)
	}
}

func TestEveryWrongFieldOfAMeterIsTold(t *testing.T) {
	empty, long, odd, size, limit := "", string(make([]byte, 31)), "odd", int64(0), int64(-2)
	kind := usage.Aggregation("mean")
	var problems fault.Problems
	usage.MeterInput{Code: "No", Name: &empty, Unit: &long, Aggregation: &kind, Deciding: &odd, LeaseSize: &size, OnOutage: &odd, DefaultLimit: &limit}.Validate(&problems)
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
	}
	if diff := cmp.Diff([]string{"code", "name", "unit", "aggregation", "deciding", "leaseSize", "onOutage", "defaultLimit"}, fields); diff != "" {
		t.Error(diff)
	}
	problems = nil
	usage.MeterInput{Code: "calls"}.Validate(&problems)
	if problems != nil {
		t.Error(problems)
	}
}

func TestATableBecomesASourceWhereItsColumnsFit(t *testing.T) {
	d := pgtest.Database(t)
	if _, err := d.Pool(t, "nself_owner").Exec(t.Context(), `CREATE TABLE billing.jobs (tenant_id uuid, hours numeric, size real, who text, at timestamptz, day timestamp);
		CREATE VIEW billing.jobs_seen AS SELECT * FROM billing.jobs`); err != nil {
		t.Fatal(err)
	}
	db := d.Pool(t, "nself_server")
	define(t, db, "faces", usage.Unique)
	define(t, db, "seats", usage.Level)
	name := func(s string) *string { return &s }
	for what, c := range map[string]struct {
		in    usage.Source
		field string
	}{
		"no such table":      {usage.Source{Table: "none", Meter: "compute_hours"}, "table"},
		"a view":             {usage.Source{Table: "jobs_seen", Meter: "compute_hours"}, "table"},
		"a tenant of text":   {usage.Source{Meter: "compute_hours", TenantColumn: "who"}, "tenantColumn"},
		"inexact amounts":    {usage.Source{Meter: "compute_hours", AmountColumn: name("size")}, "amountColumn"},
		"no such column":     {usage.Source{Meter: "compute_hours", AmountColumn: name("nothing")}, "amountColumn"},
		"a time of no zone":  {usage.Source{Meter: "compute_hours", TimeColumn: name("day")}, "timeColumn"},
		"a time of a level":  {usage.Source{Meter: "seats", TimeColumn: name("at")}, "timeColumn"},
		"values of a sum":    {usage.Source{Meter: "compute_hours", ValueColumn: name("who")}, "valueColumn"},
		"no values":          {usage.Source{Meter: "faces"}, "valueColumn"},
		"users of elsewhere": {usage.Source{Meter: "users"}, "meter"},
	} {
		c.in.Schema = "billing"
		if c.in.Table == "" {
			c.in.Table = "jobs"
		}
		_, err := usage.AddSource(t.Context(), db, pgtest.Operator, c.in)
		if f := fault.From(err); f == nil || f.Code != fault.InvalidInput || f.Details["problems"].(fault.Problems)[0].Field != c.field {
			t.Errorf("%s: %v", what, err)
		}
	}
	in := usage.Source{Schema: "billing", Table: "jobs", Meter: "faces", ValueColumn: name("who"), TimeColumn: name("at")}
	added, err := usage.AddSource(t.Context(), db, pgtest.Operator, in)
	if in.TenantColumn = "tenant_id"; !cmp.Equal(in, added) || err != nil {
		t.Errorf("added %+v, %v", added, err)
	}
	if _, err := usage.AddSource(t.Context(), db, pgtest.Operator, in); !fault.Is(err, fault.InvalidInput) {
		t.Errorf("a second time: %v", err)
	}
	if sources, err := usage.Sources(t.Context(), db); err != nil || len(sources) != 3 || !cmp.Equal(sources[2], added) {
		t.Errorf("the sources are %v, %v", sources, err)
	}
	builtIn := usage.Source{Schema: "tenants", Table: "tenant_members", Meter: "users"}
	for _, c := range []struct {
		s    usage.Source
		want fault.Code
	}{{builtIn, fault.Forbidden}, {in, ""}, {in, fault.NotFound}} {
		if err := usage.RemoveSource(t.Context(), db, pgtest.Operator, c.s); c.want == "" && err != nil || c.want != "" && !fault.Is(err, c.want) {
			t.Errorf("remove %s: %v", c.s.Table, err)
		}
	}
	if _, err := usage.AddSource(t.Context(), db, pgtest.Operator, usage.Source{Schema: "billing", Table: "jobs", Meter: "none"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("of no meter: %v", err)
	}
}
