package adoption_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
)

// oddSQL are tables of every shape that adopt takes; TENANT stands for a tenant's id.
const oddSQL = `
	CREATE SCHEMA shop;
	CREATE ROLE adopt_app;
	GRANT USAGE ON SCHEMA shop TO adopt_app;
	CREATE FUNCTION shop.plain(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
	CREATE TABLE shop."Weird, ""table"" ON (x)" ("select" int PRIMARY KEY, "from" text, UNIQUE NULLS NOT DISTINCT ("from"));
	CREATE UNIQUE INDEX "by ON (plain" ON shop."Weird, ""table"" ON (x)" (shop.plain("from"), "select") WHERE "from" <> 'a (b';
	CREATE TABLE shop.a_table_whose_name_is_as_long_as_a_name_may_be_in_postgres_at_a (
		id int PRIMARY KEY, other int REFERENCES shop."Weird, ""table"" ON (x)" ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE);
	CREATE TABLE shop.owned (id int PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT 'TENANT' REFERENCES tenants.tenants, UNIQUE (tenant_id, id));
	CREATE TABLE shop.assigned (id int PRIMARY KEY, tenant_id uuid DEFAULT 'TENANT', owned_id int, FOREIGN KEY (tenant_id, owned_id) REFERENCES shop.owned (tenant_id, id));
	CREATE INDEX ON shop.assigned (tenant_id, owned_id);
	CREATE TABLE shop.broken (id int PRIMARY KEY, owned_id int);
	CREATE TABLE shop.filled (id int PRIMARY KEY, tenant_id uuid);
	ALTER TABLE shop.owned OWNER TO adopt_app;
	GRANT SELECT ON shop.filled TO adopt_app, PUBLIC;
	GRANT INSERT (id) ON shop.filled TO nself_app`

const oddRowsSQL = `
	INSERT INTO shop."Weird, ""table"" ON (x)" VALUES (1, 'one'), (2, NULL);
	INSERT INTO shop.a_table_whose_name_is_as_long_as_a_name_may_be_in_postgres_at_a VALUES (1, 1), (2, NULL);
	INSERT INTO shop.owned SELECT n FROM generate_series(1, 10) n;
	INSERT INTO shop.assigned (id, owned_id) SELECT n, n FROM generate_series(1, 10) n;
	INSERT INTO shop.assigned (id, tenant_id, owned_id) VALUES (11, NULL, 4);
	INSERT INTO shop.broken VALUES (1, 99);
	INSERT INTO shop.filled SELECT n FROM generate_series(1, 1000) n`

// looseSQL is a reference that does not hold for all rows of before.
const looseSQL = `ALTER TABLE shop.broken ADD CONSTRAINT loose FOREIGN KEY (owned_id) REFERENCES shop.owned NOT VALID`

func newOddShop(t *testing.T, rows string) shop {
	t.Helper()
	db := pgtest.Database(t)
	s := shop{db: db, super: db.Superuser(t), team: pgtest.NewTeam(t, db.Pool(t, "nself_server"))}
	for _, table := range []string{"owned", `Weird, "table" ON (x)`, "a_table_whose_name_is_as_long_as_a_name_may_be_in_postgres_at_a", "assigned", "broken", "filled"} {
		s.tables = append(s.tables, isolation.Name{Schema: "shop", Name: table})
	}
	s.do(t, `DROP ROLE IF EXISTS adopt_app`)
	s.do(t, strings.ReplaceAll(oddSQL, "TENANT", s.team.ID.String())+";"+rows+";"+looseSQL)
	t.Cleanup(func() {
		if _, err := s.super.Exec(context.WithoutCancel(t.Context()), `DROP SCHEMA shop CASCADE; DROP ROLE adopt_app`); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAdoptEndsWhereProtectDoesWhateverTheShape(t *testing.T) {
	text := map[string]string{}
	t.Run("adopted", func(t *testing.T) {
		s := newOddShop(t, oddRowsSQL)
		s.adopt(t, s.begun(t), false)
		s.agrees(t)
		text["adopted"] = s.catalog(t)
	})
	t.Run("protected", func(t *testing.T) {
		s := newOddShop(t, "")
		ours, err := isolation.Ours()
		if err != nil {
			t.Fatal(err)
		}
		plan, err := isolation.Protect(t.Context(), s.super, isolation.Request{List: ours, Names: s.tables, Column: "tenant_id"})
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, plan.Migration(time.Now()).Up)
		text["protected"] = s.catalog(t)
	})
	if diff := cmp.Diff(strings.Split(text["protected"], "\n"), strings.Split(text["adopted"], "\n")); diff != "" {
		t.Errorf("(-protect +adopt):\n%s", diff)
	}
}

func TestTheWholeOfOddShapesIsTakenBack(t *testing.T) {
	s := newOddShop(t, oddRowsSQL)
	before := s.catalog(t)
	plan := s.begun(t)
	s.adopt(t, plan, true)
	if _, err := s.runner(t, nil).Undo(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.catalog(t)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestPlanRefusesAllAtOnce(t *testing.T) {
	s := newShop(t)
	s.do(t, `
		CREATE TABLE shop.logs (line text);
		CREATE TABLE shop.parts (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
		CREATE TABLE shop.ordered (id int PRIMARY KEY, place int UNIQUE DEFERRABLE);
		CREATE TABLE shop.named (id int PRIMARY KEY, tenant_id text);
		CREATE TABLE shop.lost (id int PRIMARY KEY, tenant_id uuid);
		CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
		CREATE VIEW shop.sums WITH (security_invoker = true) AS SELECT u.email, count(*) FROM shop.users u GROUP BY u.id`)
	for _, table := range []string{"missing", "logs", "parts", "ordered", "named", "countries_of", "sums"} {
		s.tables = append(s.tables, isolation.Name{Schema: "shop", Name: table})
	}
	s.tables = append(s.tables, isolation.Name{Schema: "tenants", Name: "tenant_settings"})
	_, err := s.plan(t)
	if err == nil {
		t.Fatal("planned")
	}
	for _, want := range []string{"shop.missing does not exist", "shop.logs has no primary key", "shop.parts is partitioned", "shop.ordered has the key ordered_place_key DEFERRABLE",
		"shop.named has a tenant column of type text", "shop.orders has the view shop.all_orders", "shop.users has the key users_pkey on which a view rests",
		"shop.sums is no table", "tenants.tenant_settings is behind the wall already"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	s.tables = []isolation.Name{{Schema: "shop", Name: "lost"}}
	s.do(t, `INSERT INTO shop.lost VALUES (1, '00000000-0000-4000-8000-000000000001')`)
	if _, err := s.plan(t); err == nil || !strings.Contains(err.Error(), "shop.lost has rows whose tenant_id is 00000000-0000-4000-8000-000000000001, and there is no such tenant") {
		t.Errorf("%v", err)
	}
}

func TestTheTenantIsNamedOrTheOnlyOne(t *testing.T) {
	s := newShop(t)
	input := adoption.Input{Tables: s.tables, Column: "tenant_id"}
	plan, err := adoption.Plan(t.Context(), s.super, input)
	if err != nil || plan.Options.Tenant != s.team.ID {
		t.Errorf("the only one: %s, %v", plan.Options.Tenant, err)
	}
	other := pgtest.NewTeam(t, s.db.Pool(t, "nself_server"))
	if _, err := adoption.Plan(t.Context(), s.super, input); err == nil || !strings.Contains(err.Error(), "there are several tenants") {
		t.Errorf("one of two: %v", err)
	}
	input.Tenant = other.ID.String()
	if plan, err := adoption.Plan(t.Context(), s.super, input); err != nil || plan.Options.Slug != other.Slug {
		t.Errorf("by id: %s, %v", plan.Options.Slug, err)
	}
	s.do(t, `UPDATE tenants.tenants SET strategy = 'schema'`)
	if _, err := adoption.Plan(t.Context(), s.super, input); err == nil || !strings.Contains(err.Error(), "lives in a schema of its own") {
		t.Errorf("one whose rows are elsewhere: %v", err)
	}
}

func TestPlanRefusesWhoMayNotChangeTheTables(t *testing.T) {
	s := newShop(t)
	if _, err := adoption.Plan(t.Context(), s.db.Pool(t, "nself_owner"), adoption.Input{Tables: s.tables, Column: "tenant_id"}); err == nil || !strings.Contains(err.Error(), "connects as nself_owner, which may not change tables of postgres") {
		t.Errorf("the owner of others: %v", err)
	}
}

func TestPaceIsBounded(t *testing.T) {
	err := adoption.Pace{MaxWait: time.Second, Batch: 0, Pause: -time.Second}.Validate()
	for _, want := range []string{"the longest wait is 1s; it is between 10ms and 900ms", "a batch of 0 rows", "a pause of -1s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
