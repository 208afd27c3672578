package actions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// bareSQL are the statements createTenant runs, without the server around them.
var bareSQL = []string{
	`SELECT set_config('hasura.user', '{"x-hasura-role":"user"}', true)`,
	`INSERT INTO tenants.tenants (id, slug, name, owner_user_id) VALUES (@tenant, @slug, @slug, @user) RETURNING id, slug, name, status, created_at`,
	`INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES (@tenant, @user, 'owner')`,
	`INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES (@tenant, 'time_zone', '"UTC"'), (@tenant, 'locale', '"en"')`,
	`INSERT INTO audit.log (tenant_id, actor_user_id, actor_role, action, target, after) VALUES (@tenant, @user, 'user', 'create_tenant', @slug, '{}')`,
}

// BenchmarkCreateTenant takes turns between the handler and its own bare SQL on the same
// pool, and reports the handler's rate as a share of the other's.
func BenchmarkCreateTenant(b *testing.B) {
	h := newHouse(b)
	user := session.Session{Role: session.User, User: pgtest.User(b, h.db)}
	var byHandler, bySQL time.Duration
	n := 0
	for b.Loop() {
		n++
		began := time.Now()
		h.must(b, user, "createTenant", map[string]any{"name": "Bench", "slug": fmt.Sprintf("handler-%d", n)})
		byHandler += time.Since(began)
		began = time.Now()
		err := pgx.BeginFunc(context.Background(), h.db, func(tx pgx.Tx) error {
			args := pgx.NamedArgs{"tenant": id.New[id.Tenant](), "slug": fmt.Sprintf("sql-%d", n), "user": user.User}
			for _, sql := range bareSQL {
				if _, err := tx.Exec(context.Background(), sql, args); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		bySQL += time.Since(began)
	}
	b.ReportMetric(float64(byHandler.Microseconds())/float64(n), "handler-µs")
	b.ReportMetric(float64(bySQL.Microseconds())/float64(n), "sql-µs")
	b.ReportMetric(100*float64(bySQL)/float64(byHandler), "%of-sql-rate")
}

// BenchmarkAdapter measures what the door costs before any work: the whole router up to
// a refusal that needs no database, beside the same router's bare health handler.
func BenchmarkAdapter(b *testing.B) {
	h := newHouse(b)
	body, err := json.Marshal(map[string]any{
		"action": map[string]any{"name": "mintToken"}, "input": map[string]any{"userId": "x"},
		"session_variables": map[string]any{"x-hasura-role": "admin"},
	})
	if err != nil {
		b.Fatal(err)
	}
	var adapter, bare time.Duration
	n := 0
	for b.Loop() {
		n++
		began := time.Now()
		r := httptest.NewRequest(http.MethodPost, "/actions/mintToken", strings.NewReader(string(body)))
		r.Header = headers(secret, "application/json")
		h.router.ServeHTTP(httptest.NewRecorder(), r)
		adapter += time.Since(began)
		began = time.Now()
		h.router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil))
		bare += time.Since(began)
	}
	b.ReportMetric(float64(adapter.Nanoseconds())/float64(n), "adapter-ns")
	b.ReportMetric(float64(bare.Nanoseconds())/float64(n), "bare-chi-ns")
	b.ReportMetric(float64((adapter-bare).Nanoseconds())/float64(n), "difference-ns")
}
