package resource

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/seal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// vast is a service in which a tenant's place is more than is removed in one go.
type vast struct{ parts, kept int }

func (*vast) Name(tenant id.Tenant) string                      { return "vast-" + tenant.String() }
func (v *vast) Make(context.Context, Place) error               { return nil }
func (v *vast) Keep(context.Context) error                      { v.kept++; return nil }
func (*vast) Credentials(Place) Credentials                     { return Credentials{} }
func (*vast) Standing(context.Context) (map[string]bool, error) { return nil, errors.New("not asked") }
func (*vast) Remains(context.Context, Place) (looked, left []string, err error) {
	return nil, nil, nil
}

func (v *vast) Remove(_ context.Context, p Place) error {
	if v.parts--; v.parts < 0 {
		return nil
	}
	p.Moves()
	return errors.New("cut off")
}

func newKeeper(t *testing.T, sites map[Kind]Site) (*Keeper, *pgxpool.Pool, *pgxpool.Pool) {
	t.Helper()
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	box, err := seal.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{DB: server, Box: box, Sites: sites, Log: slog.New(slog.DiscardHandler)}), server, db.Superuser(t)
}

func TestARemovalThatMovesIsGoneOnWithSoonAndOneThatDoesNotLater(t *testing.T) {
	site := &vast{}
	k, server, admin := newKeeper(t, map[Kind]Site{Redis: site})
	team := pgtest.NewTeam(t, server)
	if err := k.Add(t.Context(), server, team.ID); err != nil {
		t.Fatal(err)
	}
	if err := k.Settle(t.Context(), team.ID); err != nil {
		t.Fatal(err)
	}
	site.parts = 1
	if err := k.Remove(t.Context(), team.ID); err == nil {
		t.Fatal("it is removed at once")
	}
	var tries int
	var soon bool
	err := admin.QueryRow(t.Context(), `SELECT tries, next_at < now() + interval '10 seconds' FROM tenants.tenant_resources`).Scan(&tries, &soon)
	if err != nil || tries != 0 || !soon {
		t.Errorf("%d tries, soon %v, %v", tries, soon, err)
	}
	if _, err := admin.Exec(t.Context(), `UPDATE tenants.tenant_resources SET next_at = now()`); err != nil {
		t.Fatal(err)
	}
	if err := k.Remove(t.Context(), team.ID); err != nil {
		t.Error(err)
	}
	if site.kept != 2 { // once made, once removed
		t.Errorf("the service kept what it was told %d times", site.kept)
	}
}

func TestAClaimReadsTheIndexOfWhatIsDueAlone(t *testing.T) {
	_, _, admin := newKeeper(t, nil)
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for _, sql := range []string{
		`SET LOCAL session_replication_role = replica`,
		`INSERT INTO tenants.tenants (slug, name, owner_user_id) SELECT 'xx' || n, 'x', gen_random_uuid() FROM generate_series(1, 3000) n`,
		`INSERT INTO tenants.tenant_resources (tenant_id, kind, name, made, open, next_at) SELECT id, 'redis', id::text, 1, true, NULL FROM tenants.tenants`,
		`UPDATE tenants.tenant_resources SET made = 0, next_at = now() WHERE tenant_id IN (SELECT id FROM tenants.tenants LIMIT 500)`,
		`ANALYZE tenants.tenants`, `ANALYZE tenants.tenant_resources`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	plain := strings.NewReplacer("@claimed", "'2 minutes'", "@kinds", "'{redis}'", "@only", "NULL").Replace(claimAllTenantsSQL)
	rows, err := tx.Query(t.Context(), "EXPLAIN "+plain)
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if !strings.Contains(plan.String(), "tenant_resources_due") || strings.Contains(plan.String(), "Seq Scan") {
		t.Errorf("the plan is\n%s", plan.String())
	}
}

func TestTheFirstGapsAreShortAndNoneIsEndless(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 3: 4 * time.Minute, 40: time.Hour} {
		if got := gap(tries); got != want {
			t.Errorf("after %d tries: %v, want %v", tries, got, want)
		}
	}
}
