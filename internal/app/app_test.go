package app

import (
	"context"
	"encoding/base64"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
)

const webhookSecret = "a-webhook-secret-for-tests"

func TestMain(m *testing.M) {
	if settings := os.Getenv(purgeChild); settings != "" {
		purgeAsChild(settings)
		return
	}
	pgtest.Main(m)
}

func newApp(t *testing.T, db *pgtest.DB) *App { return newAppWith(t, db, nil) }

// newAppWith is an app with more settings.
func newAppWith(t *testing.T, db *pgtest.DB, more map[string]string) *App {
	t.Helper()
	values := map[string]string{
		"DATABASE_URL": db.URL("nself_server"), "NSELF_WEBHOOK_SECRET": webhookSecret,
		"NSELF_ENCRYPTION_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)), "LOG_LEVEL": "error",
	}
	maps.Copy(values, more)
	settings, err := config.Load[config.Server](func(name string) string { return values[name] })
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), settings, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.DB.Close)
	return a
}

// serve runs the app until the returned function is called, which waits for its end.
func serve(t *testing.T, a *App) (url string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, listener) }()
	return "http://" + listener.Addr().String(), sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func take(ctx context.Context, a *App, tenant id.Tenant) (quota.Decision, error) {
	return a.Quota.Take(ctx, quota.Ask{Tenant: tenant, Meter: "api_requests", Amount: decimal.NewFromInt(1)})
}

func metric(t *testing.T, a *App, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	a.Router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("metrics: %d %s", w.Code, w.Body)
	}
	for line := range strings.Lines(w.Body.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestRequestsUnderWayAreDecidedAndThenTheLeasesAreHandedBack(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	a, super := newApp(t, db), db.Superuser(t)
	team := pgtest.NewTeam(t, super)
	begun, finish, taken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	a.Router.Get("/slow", func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-finish
		d, err := take(context.WithoutCancel(t.Context()), a, team.ID)
		if err == nil && !d.Allowed {
			err = d.Refusal()
		}
		taken <- err
	})
	url, stop := serve(t, a)
	defer stop()
	for range 2 {
		if d, err := take(t.Context(), a, team.ID); err != nil || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	var request sync.WaitGroup
	request.Go(func() {
		if response, err := http.Get(url + "/slow"); err == nil {
			_ = response.Body.Close()
		}
	})
	<-begun
	var stopped sync.WaitGroup
	stopped.Go(stop)
	refuses(t, url)
	close(finish)
	if err := <-taken; err != nil {
		t.Errorf("a request under way: %v", err)
	}
	request.Wait()
	stopped.Wait()
	const standing = `SELECT t.used::bigint || ' used, ' || t.held::bigint || ' held, '
		|| (SELECT count(*) FROM billing.quota_leases l WHERE l.returned_at IS NULL) || ' leased'
		FROM billing.usage_totals t WHERE t.tenant_id = @tenant_id AND t.meter = 'api_requests'`
	got, err := pg.Scalar[string](t.Context(), super, standing, pgx.NamedArgs{"tenant_id": team.ID})
	if err != nil || got != "3 used, 0 held, 0 leased" {
		t.Errorf("%s, %v", got, err)
	}
	if allowed := metric(t, a, `nself_quota_decisions_total{meter="api_requests",outcome="allowed"}`); allowed != "3" {
		t.Errorf("%q decisions were counted", allowed)
	}
}

// refuses waits until the server takes no more requests.
func refuses(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("it still takes requests")
		}
	}
}

func TestADeciderHearsThatALimitChanged(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	a, super := newApp(t, db), db.Superuser(t)
	team := pgtest.NewTeam(t, super)
	_, stop := serve(t, a)
	defer stop()
	if d, err := take(t.Context(), a, team.ID); err != nil || !d.Allowed {
		t.Fatalf("%+v, %v", d, err)
	}
	const nothing = `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES ($1, 'api_requests', 0)`
	if _, err := super.Exec(t.Context(), nothing, team.ID); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		d, err := take(t.Context(), a, team.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Allowed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it still decides by the limit of before")
		}
	}
}

func TestEveryRoutineIsSafeBesideItself(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	for range 3 {
		pgtest.NewTeam(t, server)
	}
	names := map[string]bool{}
	for _, r := range newAppWith(t, db, newShop(t).settings()).work.Routines {
		if r.Every < time.Minute || names[r.Name] {
			t.Errorf("%s comes every %v, or twice", r.Name, r.Every)
		}
		names[r.Name] = true
		var runners sync.WaitGroup
		for range 2 {
			runners.Go(func() {
				for range 2 {
					if _, err := r.Run(t.Context(), server); err != nil {
						t.Errorf("%s: %v", r.Name, err)
					}
				}
			})
		}
		runners.Wait()
	}
}

func TestDriftIsToldByEveryServerAndNotMadeUpWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	before, one, two, super := newApp(t, db), newApp(t, db), newApp(t, db), db.Superuser(t)
	team := pgtest.NewTeam(t, super)
	if got := metric(t, before, "nself_usage_drift_rows"); got != "0" {
		t.Errorf("without any: %q", got)
	}
	const found = `INSERT INTO billing.usage_drift (tenant_id, meter, period_start, total, counted) VALUES ($1, 'api_requests', now(), 2, 1)`
	if _, err := super.Exec(t.Context(), found, team.ID); err != nil {
		t.Fatal(err)
	}
	if got := metric(t, one, "nself_usage_drift_rows"); got != "1" {
		t.Errorf("a server tells %q", got)
	}
	two.DB.Close()
	if got := metric(t, two, "nself_usage_drift_rows"); got != "" {
		t.Errorf("without a database: %q", got)
	}
}

func TestWarningsOfTheSweepAreCountedToo(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	a, super := newApp(t, db), db.Superuser(t)
	team := pgtest.NewTeam(t, super)
	const one = `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES ($1, 'api_requests', 1)`
	if _, err := super.Exec(t.Context(), one, team.ID); err != nil {
		t.Fatal(err)
	}
	if d, err := quota.Take(t.Context(), a.DB, quota.Ask{Tenant: team.ID, Meter: "api_requests", Amount: decimal.NewFromInt(1)}); err != nil || !d.Allowed {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, r := range a.work.Routines {
		if r.Name != "quota-warnings" {
			continue
		}
		if _, err := r.Run(t.Context(), a.DB); err != nil {
			t.Fatal(err)
		}
	}
	if got := metric(t, a, `nself_quota_warnings_total{meter="api_requests",threshold="100"}`); got != "1" {
		t.Errorf("%q warnings were counted", got)
	}
}
