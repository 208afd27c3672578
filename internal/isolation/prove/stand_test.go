package prove

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // tens of thousands of small requests: collecting less saves a tenth of the time
	pgtest.Main(m)
}

// signingKey is RSA's because thousands of tokens are verified, at a third of the time of ECDSA.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

const (
	webhookSecret = "a secret of sixteen letters"
	adminSecret   = "the admin secret"
)

// stand is a Hasura with two tenants, each with a member of every role.
type stand struct {
	db    *pgtest.DB
	admin *pgxpool.Pool // the superuser's
	url   string
	key   *rsa.PrivateKey
	mine  pgtest.Team
	// theirs is the tenant that is reached for.
	theirs pgtest.Team
}

// newStand starts the stand-in for Hasura on the metadata, with the customer's tables and
// what sql changes about them. actions is where actions are sent; "" is the product's own
// server.
func newStand(t *testing.T, tree fs.FS, sql, actions string) *stand {
	t.Helper()
	s := &stand{db: pgtest.Database(t)}
	s.admin = s.db.Superuser(t)
	for _, statements := range []string{crmSQL(t), addonSQL, sql} {
		if _, err := s.admin.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	server := s.db.Pool(t, "nself_server")
	s.mine, s.theirs = pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	for _, team := range []pgtest.Team{s.mine, s.theirs} {
		for _, statement := range slices.Concat(usageSQL, billingSQL) {
			if _, err := server.Exec(t.Context(), statement, team.ID); err != nil {
				t.Fatal(err)
			}
		}
		for _, statement := range placesSQL {
			if _, err := s.admin.Exec(t.Context(), statement, team.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	var err error
	if s.key, err = signingKey(); err != nil {
		t.Fatal(err)
	}
	if actions == "" {
		actions = s.server(t)
	}
	running, err := engine.Start(t.Context(), engine.Config{
		Metadata: loaded(t, tree), DatabaseURL: s.db.URL("nself_hasura"), AdminSecret: adminSecret, JWKSURL: s.keys(t),
		Env: func(name string) string {
			return map[string]string{"NSELF_WEBHOOK_URL": actions, "NSELF_WEBHOOK_SECRET": webhookSecret}[name]
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), EventInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	})
	hasura := httptest.NewServer(running.Handler())
	t.Cleanup(hasura.Close)
	s.url = hasura.URL
	return s
}

// replace puts other metadata in the place of what the stand serves.
func (s *stand) replace(t *testing.T, tree fs.FS) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"type": "replace_metadata", "version": 2, "args": map[string]any{"metadata": loaded(t, tree).JSON}})
	if err != nil {
		t.Fatal(err)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/metadata", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("X-Hasura-Admin-Secret", adminSecret)
	reply, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		t.Fatalf("replace_metadata: %d %s", reply.StatusCode, text)
	}
}

// usageSQL gives a tenant a row in each table of usage and quota that Hasura shows.
var usageSQL = []string{
	`INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES ($1, 'compute_hours', 100)`,
	`INSERT INTO tenants.storage_objects (tenant_id, name, size_bytes) VALUES ($1, 'a/file', 7)`,
	`INSERT INTO billing.usage_daily (tenant_id, meter, day, amount, events) VALUES ($1, 'compute_hours', current_date, 1, 1)`,
	`SELECT FROM billing.take($1, 'compute_hours', ARRAY[90], ARRAY[NULL])`,
	`SELECT FROM billing.reserve($1, 'compute_hours', 2, interval '1 hour')`,
	`INSERT INTO billing.billing_cycles (tenant_id, anchor_at) VALUES ($1, now())`,
	`INSERT INTO billing.quota_notices (tenant_id, meter, period_start, threshold, used, "limit", enforcement)
	 SELECT tenant_id, meter, period_start, 80, 90, 100, 'hard' FROM billing.usage_totals WHERE tenant_id = $1 AND meter = 'compute_hours'`,
}

func crmSQL(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/crm.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// server starts the product's own server, which serves the actions.
func (s *stand) server(t *testing.T) string {
	t.Helper()
	settings, err := config.Load[config.Server](func(name string) string {
		return map[string]string{
			"DATABASE_URL": s.db.URL("nself_server"), "NSELF_WEBHOOK_SECRET": webhookSecret,
			"NSELF_ENCRYPTION_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)),
		}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	running, err := app.New(t.Context(), settings, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.DB.Close)
	listening := httptest.NewServer(running.Router)
	t.Cleanup(listening.Close)
	return listening.URL
}

func (s *stand) keys(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write(text); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// token is a member's of a team; role user is that person without a tenant.
func (s *stand) token(t *testing.T, team pgtest.Team, role string) string {
	t.Helper()
	users := map[string]id.User{
		"user": team.Owner, string(member.Owner): team.Owner, string(member.Admin): team.Admin,
		string(member.Plain): team.Member, string(member.Guest): team.Guest,
	}
	claims := map[string]any{"x-hasura-user-id": users[role].String()}
	hasura, tenant := "user", id.Tenant{}
	if role != "user" {
		hasura, tenant = "tenant_"+role, team.ID
		claims["x-hasura-tenant-id"] = team.ID.String()
		claims["x-hasura-tenant-ids"] = "{" + team.ID.String() + "}"
	}
	opened, err := pg.Scalar[id.Session](t.Context(), s.admin, openSessionSQL, pgx.NamedArgs{"tenant_id": tenant, "user_id": users[role], "role": hasura})
	if err != nil {
		t.Fatal(err)
	}
	claims["x-hasura-session-id"] = opened.String()
	return s.sign(t, claims, hasura)
}

const openSessionSQL = `
WITH made AS (SELECT gen_random_uuid() AS id)
INSERT INTO auth.sessions (id, family_id, method, tenant_id, user_id, role, expires_at)
SELECT id, id, 'operator', @tenant_id, @user_id, @role, now() + interval '1 hour' FROM made RETURNING id`

// sign makes a token of session variables that allows roles.
func (s *stand) sign(t *testing.T, session map[string]any, roles ...string) string {
	t.Helper()
	session["x-hasura-allowed-roles"], session["x-hasura-default-role"] = roles, roles[0]
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"https://hasura.io/jwt/claims": session}).SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// billingSQL gives a tenant a row in each table of billing that Hasura shows. Ids are
// Stripe's in life; here the tenant's own make them unique.
var billingSQL = []string{
	`INSERT INTO billing.customers (tenant_id, stripe_id, livemode, email, default_payment_method, created_at)
	 SELECT t, 'cus_' || t, false, 'pay@example.com', 'pm_' || t, now() FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.payment_methods (tenant_id, stripe_id, kind, brand, last4, exp_month, exp_year, created_at)
	 SELECT t, 'pm_' || t, 'card', 'visa', '4242', 1, 2040, now() FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.subscriptions (tenant_id, stripe_id, status, plan, currency, current_period_start, current_period_end, anchor_at, main, livemode, created_at)
	 SELECT t, 'sub_' || t, 'active', 'pro', 'usd', now(), now() + interval '1 month', now(), true, false, now() FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.subscription_items (tenant_id, subscription_id, stripe_id, price_id, quantity)
	 SELECT t, 'sub_' || t, 'si_' || t, 'price_pro', 1 FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.invoices (tenant_id, stripe_id, subscription_id, number, status, currency, subtotal_minor, total_minor, due_minor, paid_minor, remaining_minor,
	   period_start, period_end, hosted_url, livemode, created_at)
	 SELECT t, 'in_' || t, 'sub_' || t, '0001', 'paid', 'usd', 9900, 9900, 9900, 9900, 0, now(), now(), 'https://invoice.example.com/' || t, false, now() FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.payments (tenant_id, stripe_id, invoice_id, status, amount_minor, currency, brand, last4, livemode, created_at)
	 SELECT t, 'ch_' || t, 'in_' || t, 'succeeded', 9900, 'usd', 'visa', '4242', false, now() FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO billing.tenant_addons (tenant_id, addon, quantity) VALUES ($1, 'extra', 2)`,
	`INSERT INTO billing.accounts (tenant_id, state, since) VALUES ($1, 'active', now())`,
	`INSERT INTO billing.operations (tenant_id, kind, state, actor, ended_at) VALUES ($1, 'subscribe', 'done', '{}', now())`,
	`INSERT INTO billing.overages (tenant_id, meter, period_start, billable, "limit", units, amount_minor, currency)
	 SELECT tenant_id, meter, period_start, 90, 80, 10, 100, 'usd' FROM billing.usage_totals WHERE tenant_id = $1 AND meter = 'compute_hours'`,
}

// addonSQL makes an add-on, which billingSQL's tenants have.
const addonSQL = `INSERT INTO billing.addons (code, name, price_minor) VALUES ('extra', 'Extra', 500); INSERT INTO billing.addon_limits (addon, meter, amount) VALUES ('extra', 'storage', 1000)`
