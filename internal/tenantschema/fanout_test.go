package tenantschema_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/tenantschema"
)

// levels is how many tenants have how many of the registered files.
func (s stand) levels(t *testing.T) map[int]int {
	t.Helper()
	rows, _ := s.owner.Query(t.Context(), `SELECT n, count(*)::int FROM (
		SELECT s.tenant_id, count(d.version)::int AS n FROM tenants.tenant_schemas s LEFT JOIN tenants.tenant_schema_migrations d USING (tenant_id) GROUP BY 1) AS l GROUP BY 1`)
	found := map[int]int{}
	var level, tenants int
	if _, err := pgx.ForEachRow(rows, []any{&level, &tenants}, func() error { found[level] = tenants; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFanOutGivesEveryTenantWhatItLacks(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	houses := s.houses(t, 8)
	exec(t, s.owner, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, houses[2].ID)
	exec(t, s.owner, `UPDATE tenants.tenants SET status = 'deleted', deleted_at = now(), purge_after = now() WHERE id = $1`, houses[3].ID)
	exec(t, s.owner, `UPDATE tenants.tenant_schemas SET tracked_at = changed_at`)
	s.register(t, map[string]string{"1_contacts": contacts, "2_phone": "ALTER TABLE contacts ADD phone text;", "3_deals": "CREATE TABLE deals (id int PRIMARY KEY);"})
	late := s.house(t, "late") // made meanwhile, it has them already
	var told []tenantschema.Progress
	report := s.fanOut(t, tenantschema.FanOutInput{Canary: 2, Parallel: 3, Progress: func(p tenantschema.Progress) { told = append(told, p) }})
	if report.Tenants != 8 || report.Migrated != 8 || report.Applied != 16 || len(report.Failed) != 0 || report.Left != 0 {
		t.Errorf("report %+v", report)
	}
	if diff := cmp.Diff([]string{"house-00", "house-01"}, report.Canaries); diff != "" {
		t.Errorf("canaries (-want +got):\n%s", diff)
	}
	if len(told) != 8 || told[7].Done != 8 || told[7].Left == nil || *told[7].Left != 0 || told[0].Slug != "house-00" {
		t.Errorf("progress %+v", told)
	}
	if diff := cmp.Diff(map[int]int{3: 9}, s.levels(t)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM tenants.tenant_schemas WHERE tracked_at < changed_at`); n != 8 {
		t.Errorf("%d schemas wait for Hasura, want those that were migrated", n)
	}
	if !one[bool](t, s.owner, `SELECT relforcerowsecurity FROM pg_class WHERE oid = $1::text::regclass`, late.schema+".deals") ||
		!one[bool](t, s.owner, `SELECT relforcerowsecurity FROM pg_class WHERE oid = $1::text::regclass`, houses[0].schema+".deals") {
		t.Error("a new table stands without the wall")
	}
	if again := s.fanOut(t, tenantschema.FanOutInput{Parallel: 3}); again.Tenants != 0 || again.Migrated != 0 {
		t.Errorf("a second run did %+v", again)
	}
}

func TestAFailureStaysWithItsTenantAndTheOthersGoOn(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	houses := s.houses(t, 5)
	exec(t, s.owner, `INSERT INTO `+houses[3].schema+`.contacts (name) VALUES ('Ada'), ('Ada')`)
	now := map[string]string{"1_contacts": contacts, "2_phone": "ALTER TABLE contacts ADD phone text;", "3_unique": "ALTER TABLE contacts ADD COLUMN x int;\nCREATE UNIQUE INDEX ON contacts (name);"}
	s.register(t, now)
	report := s.fanOut(t, tenantschema.FanOutInput{Canary: 1, Parallel: 2})
	if report.Migrated != 4 || len(report.Failed) != 1 || report.Failed[0].Slug != "house-03" {
		t.Fatalf("report %+v", report)
	}
	failure := report.Failed[0].Failure
	if failure.File != "3_unique.sql" || failure.Line != 2 || failure.Code != "23505" || !strings.Contains(failure.Error(), "could not create unique index") {
		t.Errorf("failure %+v", failure)
	}
	if diff := cmp.Diff(map[int]int{1: 1, 3: 4}, s.levels(t)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	standing, err := tenantschema.Status(t.Context(), s.owner)
	if err != nil || standing.Tenants != 5 || len(standing.Files) != 3 || standing.Files[2].Tenants != 4 || len(standing.Behind) != 1 ||
		standing.Behind[0].Failure == nil || *standing.Behind[0].Failure != failure.Error() || !cmp.Equal(standing.Behind[0].Lacks, []int64{2, 3}) {
		t.Errorf("status %+v, %v", standing, err)
	}
	exec(t, s.owner, `DELETE FROM `+houses[3].schema+`.contacts`)
	if again := s.fanOut(t, tenantschema.FanOutInput{Canary: 1, Parallel: 2}); again.Migrated != 1 || again.Applied != 2 {
		t.Errorf("the next run did %+v", again)
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM tenants.tenant_schemas WHERE failed_at IS NOT NULL`); n != 0 {
		t.Errorf("%d tenants are still said to have failed", n)
	}
}

func TestACanaryThatFailsSparesTheOthers(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	houses := s.houses(t, 4)
	exec(t, s.owner, `INSERT INTO `+houses[2].schema+`.contacts (name) VALUES ('Ada'), ('Ada')`)
	s.register(t, map[string]string{"1_contacts": contacts, "2_unique": "CREATE UNIQUE INDEX ON contacts (name);"})
	report := s.fanOut(t, tenantschema.FanOutInput{Canaries: []string{"house-02"}, Parallel: 2})
	if report.Migrated != 0 || len(report.Failed) != 1 || report.Left != 3 {
		t.Errorf("report %+v", report)
	}
	if only := s.fanOut(t, tenantschema.FanOutInput{Only: []string{"house-01"}, Parallel: 2}); only.Tenants != 1 || only.Migrated != 1 {
		t.Errorf("--only did %+v", only)
	}
	if _, err := tenantschema.FanOut(t.Context(), s.owner, tenantschema.FanOutInput{Only: []string{"nobody"}}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a tenant that is none: %v", err)
	}
}

// Tenants are made all the while and two runs go at once: everybody ends with everything,
// and nothing is applied twice.
func TestRunsAtOnceAndTenantsMadeMeanwhileEndComplete(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	s.houses(t, 12)
	now := map[string]string{"1_contacts": contacts}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 10 {
			s.house(t, fmt.Sprintf("meanwhile-%d", i))
		}
	})
	runs := make([]tenantschema.Report, 3)
	for version := 2; version <= 4; version++ {
		now[fmt.Sprintf("%d_more", version)] = fmt.Sprintf("ALTER TABLE contacts ADD c%d int; SELECT pg_sleep(0.01);", version)
		s.register(t, now)
		for i := range runs {
			all.Go(func() {
				report, err := tenantschema.FanOut(context.WithoutCancel(t.Context()), s.owner, tenantschema.FanOutInput{Parallel: 2})
				if err != nil || len(report.Failed) > 0 {
					t.Errorf("%+v, %v", report, err)
				}
				runs[i] = report
			})
		}
	}
	all.Wait()
	if diff := cmp.Diff(map[int]int{4: 22}, s.levels(t)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}

// Somebody works in the tenant's table: the run waits for a short time, again and again,
// and gives the tenant up in the end without holding up anybody.
func TestATableInUseIsComeBackTo(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	busy := s.house(t, "busy")
	s.house(t, "idle")
	tx, err := s.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE `+busy.schema+`.contacts IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	s.register(t, map[string]string{"1_contacts": contacts, "2_phone": "ALTER TABLE contacts ADD phone text;"})
	var report tenantschema.Report
	idle, told := false, false
	report, err = tenantschema.FanOut(t.Context(), s.owner, tenantschema.FanOutInput{Parallel: 2, MaxWait: 50 * time.Millisecond, Progress: func(p tenantschema.Progress) {
		idle, told = idle || p.Slug == "idle", told || p.Slug == "busy" && p.Waits
		if idle && told { // the other goes on meanwhile
			_ = tx.Rollback(context.WithoutCancel(t.Context()))
		}
	}})
	if err != nil || report.Migrated != 2 || len(report.Failed) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestAFanOutLeavesNoLockWithItsConnections(t *testing.T) {
	s := newStand(t)
	s.houses(t, 2)
	s.register(t, map[string]string{"1_lock": "SELECT pg_advisory_lock(1)", "2_fail": "DO $$ BEGIN IF current_schema() NOT LIKE 'tenant\\_rehearsal%' THEN RAISE EXCEPTION 'not here'; END IF; END $$"})
	s.fanOut(t, tenantschema.FanOutInput{Parallel: 2})
	exec(t, s.owner, `UPDATE nself.tenant_migrations SET body = 'SELECT 1' WHERE version = 2`)
	if report := s.fanOut(t, tenantschema.FanOutInput{Parallel: 2}); report.Migrated != 2 {
		t.Errorf("%+v", report)
	}
	if held := one[int](t, s.server, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); held != 0 {
		t.Errorf("%d locks are held after it", held)
	}
}

func TestATenantInSomebodysHandIsToldAndNotWaitedForWithoutEnd(t *testing.T) {
	s := newStand(t)
	held := s.house(t, "held")
	s.register(t, map[string]string{"1_contacts": contacts})
	tx, err := s.server.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM tenants.tenant_schemas WHERE tenant_id = $1 FOR UPDATE`, held.ID); err != nil {
		t.Fatal(err)
	}
	told := false
	report := s.fanOut(t, tenantschema.FanOutInput{Parallel: 1, MaxWait: 5 * time.Millisecond, Progress: func(p tenantschema.Progress) { told = told || p.Waits }})
	if len(report.Failed) != 1 || report.Failed[0].Failure.Code != "55P03" || !told {
		t.Errorf("%+v, told: %v", report, told)
	}
}

// While one tenant is being made for long, the others are made beside it, and the run waits.
func TestRegisteringDoesNotStandInTheWayOfTenantsThatAreMade(t *testing.T) {
	s := newStand(t)
	tx, err := s.server.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock_shared(hashtextextended('nself.tenant_migrations', 0))`); err != nil {
		t.Fatal(err)
	}
	registered := make(chan error, 1)
	go func() {
		_, err := tenantschema.Register(context.WithoutCancel(t.Context()), s.owner, files(t, map[string]string{"1_contacts": contacts}))
		registered <- err
	}()
	for waiting := false; !waiting; { // until it stands in the queue
		waiting = one[bool](t, s.owner, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)`)
	}
	early := s.house(t, "early")
	select {
	case err := <-registered:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	_ = tx.Rollback(t.Context())
	if err := <-registered; err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM tenants.tenant_schema_migrations WHERE tenant_id = $1`, early.ID); n != 0 {
		t.Errorf("%d files", n)
	}
}

// A migration that works on no rows and fails on a tenant's own is registered nowhere.
func TestACanarysRowsAreTriedBeforeAnythingIsRegistered(t *testing.T) {
	s := newStand(t)
	first := map[string]string{"1_contacts": contacts}
	s.register(t, first)
	acme := s.house(t, "acme")
	exec(t, s.owner, `INSERT INTO `+acme.schema+`.contacts (name) VALUES ('Ada'), ('Ada')`)
	registered, err := tenantschema.Registered(t.Context(), s.owner)
	if err != nil {
		t.Fatal(err)
	}
	try := func(body string) error {
		change, err := tenantschema.Compare(registered, files(t, map[string]string{"1_contacts": contacts, "2_key": body}))
		if err != nil {
			t.Fatal(err)
		}
		return tenantschema.Try(t.Context(), s.owner, tenantschema.FanOutInput{Canary: 1}, change)
	}
	err = try("SELECT 1;\nALTER TABLE contacts ADD UNIQUE (name);")
	var failed *tenantschema.Failure
	if !errors.As(err, &failed) || failed.Line != 2 || !strings.Contains(err.Error(), "acme") {
		t.Errorf("%v, want a failure of acme in line 2", err)
	}
	if err := try("ALTER TABLE contacts ADD phone text;"); err != nil {
		t.Error(err)
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'phone'`, acme.schema+".contacts"); n != 0 {
		t.Error("what was tried stayed")
	}
}

func TestARegisteredMigrationThatFailsOnEverybodyIsReplaced(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts})
	acme := s.house(t, "acme")
	exec(t, s.owner, `INSERT INTO `+acme.schema+`.contacts (name) VALUES ('Ada'), ('Ada')`)
	s.register(t, map[string]string{"1_contacts": contacts, "2_key": "ALTER TABLE contacts ADD UNIQUE (name);"})
	if report := s.fanOut(t, tenantschema.FanOutInput{Parallel: 1}); len(report.Failed) != 1 {
		t.Fatalf("%+v", report)
	}
	change, err := tenantschema.Register(t.Context(), s.owner, files(t, map[string]string{"1_contacts": contacts, "2_key": "CREATE INDEX ON contacts (name);"}))
	if err != nil || len(change.Withdrawn) != 1 || len(change.Fresh) != 1 {
		t.Fatalf("%+v, %v", change, err)
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM tenants.tenant_schemas WHERE failed_at IS NOT NULL`); n != 0 {
		t.Error("the failure of what is withdrawn stays with the tenant")
	}
	if report := s.fanOut(t, tenantschema.FanOutInput{Parallel: 1}); report.Migrated != 1 {
		t.Errorf("%+v", report)
	}
	if _, err := tenantschema.Register(t.Context(), s.owner, files(t, map[string]string{"1_contacts": contacts})); err == nil {
		t.Error("what a tenant has had is withdrawn")
	}
}
