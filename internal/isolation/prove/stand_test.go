package prove

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const webhookSecret = "a secret of sixteen letters"

// stand is a Hasura with two tenants, each with a member of every role.
type stand struct {
	db   *pgtest.DB
	url  string
	key  *ecdsa.PrivateKey
	mine pgtest.Team
	// theirs is the tenant that is reached for.
	theirs pgtest.Team
}

// newStand starts the stand-in for Hasura on the metadata, with the customer's tables and
// what sql changes about them. actions is where actions are sent; "" is the product's own
// server.
func newStand(t *testing.T, tree fs.FS, sql, actions string) *stand {
	t.Helper()
	s := &stand{db: pgtest.Database(t)}
	for _, statements := range []string{crmSQL(t), sql} {
		if _, err := s.db.Superuser(t).Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	server := s.db.Pool(t, "nself_server")
	s.mine, s.theirs = pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if actions == "" {
		actions = s.server(t)
	}
	running, err := engine.Start(t.Context(), engine.Config{
		Metadata: loaded(t, tree), DatabaseURL: s.db.URL("nself_hasura"), AdminSecret: "the admin secret", JWKSURL: s.keys(t),
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
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
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
	hasura := "user"
	if role != "user" {
		hasura = "tenant_" + role
		claims["x-hasura-tenant-id"] = team.ID.String()
		claims["x-hasura-tenant-ids"] = "{" + team.ID.String() + "}"
	}
	return s.sign(t, claims, hasura)
}

// sign makes a token of session variables that allows roles.
func (s *stand) sign(t *testing.T, session map[string]any, roles ...string) string {
	t.Helper()
	session["x-hasura-allowed-roles"], session["x-hasura-default-role"] = roles, roles[0]
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"https://hasura.io/jwt/claims": session}).SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
