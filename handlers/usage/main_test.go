package usage_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	secret = "a-webhook-secret-for-tests"
	one    = "application/cloudevents+json"
	many   = "application/cloudevents-batch+json"
)

// world is the door over a database of its own, with two tenants.
type world struct {
	db          *pgxpool.Pool
	super       *pgxpool.Pool
	url         string // of the database, as nself_server
	minter      *token.Minter
	router      http.Handler
	logs        *bytes.Buffer
	team, other pgtest.Team
}

func newWorld(t testing.TB) *world {
	t.Helper()
	under := pgtest.Database(t)
	minter, err := token.New(token.Config{Issuer: "us", Audience: "hasura", TTL: 15 * time.Minute, Algorithm: "ES256", EncryptionKey: bytes.Repeat([]byte{7}, 32)})
	check(t, err)
	w := &world{db: under.Pool(t, "nself_server"), super: under.Superuser(t), url: under.URL("nself_server"), minter: minter, logs: &bytes.Buffer{}}
	check(t, minter.EnsureKey(t.Context(), w.db))
	w.team, w.other = pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	w.router = handlers.New(handlers.Config{
		DB: w.db, WebhookSecrets: []string{"an-older-secret", secret}, MaxBodyBytes: 1 << 20, RequestTimeout: 30 * time.Second,
		Tokens:  tokens.Config{Minter: minter, Verifier: token.NewVerifier(token.VerifierConfig{Issuer: "us", Audience: "hasura", DB: w.db})},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(w.logs, nil)),
	})
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := w.super.Exec(t.Context(), sql, args...)
	check(t, err)
}

// post sends a body to the door with headers, given as name and value in turn.
func (w *world) post(body io.Reader, media string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/usage", body)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.router.ServeHTTP(recorder, r)
	return recorder
}

// serve posts as a service of the installation.
func (w *world) serve(body, media string, headers ...string) *httptest.ResponseRecorder {
	return w.post(strings.NewReader(body), media, append(headers, "X-Webhook-Secret", secret)...)
}

// bear posts with a token.
func (w *world) bear(bearer, body string) *httptest.ResponseRecorder {
	return w.post(strings.NewReader(body), many, "Authorization", "Bearer "+bearer)
}

func (w *world) token(t testing.TB, user id.User, tenant id.Tenant) string {
	t.Helper()
	minted, err := w.minter.MintForOperator(t.Context(), w.db, pgtest.Operator, token.Holder{User: user, Tenant: tenant})
	check(t, err)
	return minted.Signed
}

func (w *world) key(t testing.TB, team pgtest.Team, role member.Role) apikey.Key {
	t.Helper()
	var key apikey.Key
	check(t, pg.InTx(t.Context(), w.db, func(tx pgx.Tx) (err error) {
		key, err = apikey.Create(t.Context(), tx, team.As(member.Owner), w.minter, apikey.CreateInput{Name: "ci", Role: role})
		return err
	}))
	return key
}

// refused is one refused event of an answer.
type refused struct {
	Index    int
	ID, Code string
	Reason   string
}

type answer struct {
	Accepted, Duplicates int
	Refused              []refused
}

func answered(t testing.TB, w *httptest.ResponseRecorder) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK || a.Refused == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return a
}

// event is a CloudEvent as JSON, with members replaced or, given null as nil, left out.
func event(change map[string]any) string {
	e := map[string]any{"specversion": "1.0", "id": id.New[id.User]().String(), "source": "/gateway", "type": "api_requests"}
	for name, value := range change {
		if value == nil {
			delete(e, name)
			continue
		}
		e[name] = value
	}
	text, _ := json.Marshal(e) // of strings, numbers and raw JSON
	return string(text)
}

// used is the total of a meter as text, without zeros at its end; empty where there is none.
func (w *world) used(t testing.TB, team pgtest.Team, meter string) (used string) {
	t.Helper()
	err := w.super.QueryRow(t.Context(), `SELECT coalesce(trim_scale(sum(used))::text, '') FROM billing.usage_totals WHERE tenant_id = $1 AND meter = $2`, team.ID, meter).Scan(&used)
	check(t, err)
	return used
}
