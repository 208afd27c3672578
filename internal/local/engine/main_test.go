package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	adminSecret   = "the admin secret"
	webhookSecret = "the webhook secret"

	acme   = "a0000000-0000-4000-8000-000000000001"
	techco = "a0000000-0000-4000-8000-000000000002"
	anna   = "b0000000-0000-4000-8000-000000000001" // owner of acme
	ben    = "b0000000-0000-4000-8000-000000000002" // member of acme
)

// stand is an engine with all that it talks to: a database, a webhook, a JWKS.
type stand struct {
	*engine.Engine
	url    string
	super  *pgxpool.Pool
	hook   *webhook
	key    *ecdsa.PrivateKey
	config engine.Config
}

// options change what newStand starts.
type options struct {
	tree   fs.FS
	sql    string
	change func(*engine.Config)
}

// newStand starts an engine on a database of its own, beside those of other tests: most of
// the time it waits for files. One test starts one.
func newStand(t *testing.T, o options) *stand {
	t.Helper()
	t.Parallel()
	s, err := tryStand(t, o)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t)
	return s
}

// serve lets the engine answer until the test ends.
func (s *stand) serve(t *testing.T) {
	t.Helper()
	running := s.Engine
	t.Cleanup(func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(running.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
}

// restart ends the engine and starts another on the same database.
func (s *stand) restart(t *testing.T) {
	t.Helper()
	err := s.Close()
	if err == nil {
		s.Engine, err = engine.Start(t.Context(), s.config)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t)
}

// tryStand returns the error of engine.Start.
func tryStand(t *testing.T, o options) (*stand, error) {
	t.Helper()
	s := &stand{hook: newWebhook(t)}
	db := pgtest.Empty(t)
	s.super = db.Superuser(t)
	s.prepare(t, db, o.sql)
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if o.tree == nil {
		o.tree = os.DirFS("testdata/project")
	}
	loaded, err := metadata.Load(o.tree)
	if err != nil {
		t.Fatal(err)
	}
	config := engine.Config{
		Metadata: loaded, DatabaseURL: db.URL("nself_hasura"), AdminSecret: adminSecret,
		JWKSURL: s.serveKeys(t), Issuer: "https://issuer.test", Audience: "tenancy",
		Env: s.env, Log: slog.New(slog.DiscardHandler), EventInterval: 10 * time.Millisecond,
	}
	if o.change != nil {
		o.change(&config)
	}
	s.config = config
	s.Engine, err = engine.Start(t.Context(), config)
	return s, err
}

func (s *stand) env(name string) string {
	return map[string]string{"HANDLER": s.hook.url, "WEBHOOK_SECRET": webhookSecret, "VERSION": "1"}[name]
}

// role is made once, as it belongs to all databases.
var role sync.Once

// prepare makes the role and the tables.
func (s *stand) prepare(t *testing.T, db *pgtest.DB, sql string) {
	t.Helper()
	login, err := pgx.ParseConfig(db.URL("nself_hasura"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("testdata/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	role.Do(func() { s.exec(t, "CREATE ROLE nself_hasura LOGIN PASSWORD '"+login.Password+"'") })
	s.exec(t, `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO nself_hasura', current_database()); END $$`)
	s.exec(t, string(schema))
	s.exec(t, sql)
}

func (s *stand) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := s.super.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// one returns the single value of a query of the superuser.
func one[T any](t *testing.T, s *stand, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := s.super.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func (s *stand) serveKeys(t *testing.T) string {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	return serveJSON(t, set)
}

func serveJSON(t *testing.T, body any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// token signs claims; hasura's own go into its namespace.
func (s *stand) token(t *testing.T, hasura map[string]any, registered jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "someone", "https://hasura.io/jwt/claims": hasura}
	for name, value := range registered {
		claims[name] = value
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// as returns the headers of a token for the role, in a tenant.
func (s *stand) as(t *testing.T, role, tenant, user string) http.Header {
	t.Helper()
	token := s.token(t, map[string]any{
		"x-hasura-allowed-roles": []string{role}, "x-hasura-default-role": role,
		"x-hasura-tenant-id": tenant, "x-hasura-user-id": user, "x-hasura-tenant-ids": "{" + tenant + "}",
	}, nil)
	return http.Header{"Authorization": {"Bearer " + token}}
}

// asAdmin returns the headers of the operator, with further pairs of name and value.
func asAdmin(pairs ...string) http.Header {
	header := http.Header{"X-Hasura-Admin-Secret": {adminSecret}}
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}
