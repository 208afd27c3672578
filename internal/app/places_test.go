package app

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	local "github.com/nself/tenancy/internal/local/redis"
	"github.com/nself/tenancy/internal/local/s3"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// ground is a database with a Redis and an S3 server beside it.
type ground struct {
	database  *pgtest.DB
	db, owner *pgxpool.Pool
	objects   *s3.Server
	redis     *local.Redis
	sites     map[resource.Kind]resource.Site
	keeper    *resource.Keeper
	log       *slog.Logger
}

func newGround(t *testing.T) *ground {
	t.Helper()
	database := pgtest.Database(t)
	g := &ground{database: database, db: database.Pool(t, "nself_server"), owner: database.Pool(t, "nself_owner"), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	objects, err := s3.Start(t.Context(), s3.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = objects.Close() })
	g.objects = objects
	g.startRedis(t)
	settings := config.Server{RedisURL: g.redis.URL(), S3Endpoint: objects.URL(), S3Region: s3.Region, S3AccessKeyID: objects.AccessKeyID(),
		S3SecretAccessKey: objects.SecretAccessKey(), S3AdminEndpoint: objects.URL(), S3BucketPrefix: "t-"}
	if g.sites, err = sites(settings); err != nil {
		t.Fatal(err)
	}
	g.use(t)
	return g
}

func (g *ground) startRedis(t *testing.T) {
	t.Helper()
	var err error
	if g.redis, err = local.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.redis.Close() })
}

// use makes the keeper of the present sites.
func (g *ground) use(t *testing.T) {
	t.Helper()
	box, err := seal.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper = resource.New(resource.Config{DB: g.db, Box: box, Sites: g.sites, Log: g.log})
}

func (g *ground) sweep(t *testing.T) {
	t.Helper()
	if _, err := g.keeper.Sweep(t.Context(), g.db); err != nil {
		t.Fatal(err)
	}
}

// hurry has what waits for its next try be due.
func (g *ground) hurry(t *testing.T) {
	t.Helper()
	if _, err := g.owner.Exec(t.Context(), `UPDATE tenants.tenant_resources SET next_at = now()`); err != nil {
		t.Fatal(err)
	}
}

func operator(of id.Tenant) session.Session {
	s := pgtest.Operator
	s.Tenant = of
	return s
}

func (g *ground) keys(t *testing.T, of id.Tenant, kind resource.Kind) resource.Keys {
	t.Helper()
	keys, err := g.keeper.ReadKeys(t.Context(), g.db, operator(of), kind)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// redisAs signs in to Redis with a tenant's keys.
func (g *ground) redisAs(t *testing.T, keys resource.Keys) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(keys.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	options.Username, options.Password, options.DisableIdentity, options.MaxRetries = keys.Username, keys.Secret, true, -1
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (g *ground) standing(t *testing.T, of id.Tenant) map[resource.Kind][3]any {
	t.Helper()
	rows, err := pg.All[resource.Resource](t.Context(), g.db,
		`SELECT tenant_id, kind, name, wanted, generation, made, open, made_at, removed_at, tries, next_at, failure, created_at
		 FROM tenants.tenant_resources WHERE tenant_id = @tenant_id`, pgx.NamedArgs{"tenant_id": of})
	if err != nil {
		t.Fatal(err)
	}
	found := map[resource.Kind][3]any{}
	for _, r := range rows {
		found[r.Kind] = [3]any{r.Generation, r.Made, r.Open}
	}
	return found
}

func both(generation, made int, open bool) map[resource.Kind][3]any {
	return map[resource.Kind][3]any{resource.Redis: {generation, made, open}, resource.Objects: {generation, made, open}}
}

func TestPlacesAreMadeClosedOpenedAndRotatedWithTheTenant(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team, other := pgtest.NewTeam(t, g.db), pgtest.NewTeam(t, g.db)
	g.sweep(t)
	if diff := cmp.Diff(both(1, 1, true), g.standing(t, team.ID)); diff != "" {
		t.Fatal(diff)
	}
	keys, theirs := g.keys(t, team.ID, resource.Redis), g.keys(t, other.ID, resource.Redis)
	signedIn := g.redisAs(t, keys)
	if err := signedIn.Set(t.Context(), keys.Scope+"a", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := signedIn.Get(t.Context(), theirs.Scope+"a").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("another tenant's key: %v", err)
	}
	if _, err := tenant.Suspend(t.Context(), g.db, operator(team.ID), "late"); err != nil {
		t.Fatal(err)
	}
	if err := g.keeper.Settle(t.Context(), team.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(both(1, 1, false), g.standing(t, team.ID)); diff != "" {
		t.Error(diff)
	}
	if err := signedIn.Ping(t.Context()).Err(); err == nil {
		t.Error("a suspended tenant goes on in Redis")
	}
	if _, err := tenant.Activate(t.Context(), g.db, operator(team.ID)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []resource.Kind{resource.Redis, resource.Objects} {
		if _, err := g.keeper.Rotate(t.Context(), g.db, operator(team.ID), kind); err != nil {
			t.Fatal(err)
		}
	}
	g.sweep(t)
	if diff := cmp.Diff(both(2, 2, true), g.standing(t, team.ID)); diff != "" {
		t.Error(diff)
	}
	if err := g.redisAs(t, keys).Ping(t.Context()).Err(); err == nil {
		t.Error("the password of before opens")
	}
	if got, err := g.redisAs(t, g.keys(t, team.ID, resource.Redis)).Get(t.Context(), keys.Scope+"a").Int(); err != nil || got != 1 {
		t.Errorf("%d, %v", got, err)
	}
}

func TestARedisThatForgotItsUsersIsGivenThemAgain(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team := pgtest.NewTeam(t, g.db)
	g.sweep(t)
	before := g.keys(t, team.ID, resource.Redis)
	g.startRedis(t) // an empty one in its place
	made, err := sites(config.Server{RedisURL: g.redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	g.sites[resource.Redis] = made[resource.Redis]
	g.use(t)
	g.sweep(t)
	after := g.keys(t, team.ID, resource.Redis)
	if after.Secret != before.Secret || after.Generation != 1 {
		t.Error("its credentials changed")
	}
	if err := g.redisAs(t, after).Set(t.Context(), after.Scope+"a", 1, 0).Err(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsOutOfReachIsToldAndTriedAgainUntilItIsDone(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team := pgtest.NewTeam(t, g.db)
	real := g.sites[resource.Redis]
	away, err := sites(config.Server{RedisURL: "redis://default:hidden@127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	g.sites[resource.Redis] = away[resource.Redis]
	g.use(t)
	for range 2 {
		g.sweep(t)
		g.hurry(t)
	}
	type told struct {
		Failure string    `db:"failure"`
		Tries   int       `db:"tries"`
		NextAt  time.Time `db:"next_at"`
	}
	failed, err := pg.One[told](t.Context(), g.db, `SELECT failure, tries, next_at FROM tenants.tenant_resources WHERE kind = 'redis' AND tenant_id = @t`, pgx.NamedArgs{"t": team.ID})
	if err != nil || !strings.Contains(failed.Failure, "out of reach") || strings.Contains(failed.Failure, "hidden") || failed.Tries != 2 {
		t.Errorf("%+v, %v", failed, err)
	}
	if diff := cmp.Diff(map[resource.Kind][3]any{resource.Redis: {1, 0, false}, resource.Objects: {1, 1, true}}, g.standing(t, team.ID)); diff != "" {
		t.Error("one kind holds up the other:", diff)
	}
	g.sites[resource.Redis] = real
	g.use(t)
	g.sweep(t)
	if diff := cmp.Diff(both(1, 1, true), g.standing(t, team.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestReadingCredentialsIsOnRecordWithoutThem(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	team := pgtest.NewTeam(t, g.db)
	if _, err := g.keeper.ReadKeys(t.Context(), g.db, operator(team.ID), resource.Redis); !fault.Is(err, fault.NotFound) {
		t.Errorf("before there are any: %v", err)
	}
	g.sweep(t)
	keys := g.keys(t, team.ID, resource.Redis)
	var log string
	err := g.db.QueryRow(t.Context(), `SELECT coalesce(string_agg(l::text, ' '), '') FROM audit.log l WHERE action = 'read_resource_credentials' AND tenant_id = $1`, team.ID).Scan(&log)
	if err != nil || log == "" || strings.Contains(log, keys.Secret) {
		t.Errorf("the log says %q, %v", log, err)
	}
}
