package actions_test

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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const secret = "a-webhook-secret-for-tests"

// house is the true router over a database of its own.
type house struct {
	db     *pgxpool.Pool // as nself_server
	router http.Handler
	under  *pgtest.DB
	minter *token.Minter
}

// newHouse is an installation without mail.
func newHouse(t testing.TB) house { return furnish(t, nil) }

func furnish(t testing.TB, outbox *queue.Outbox) house {
	t.Helper()
	under := pgtest.Database(t)
	db := under.Pool(t, "nself_server")
	minter, err := token.New(token.Config{
		Issuer: "test", Audience: "hasura", TTL: time.Minute, Algorithm: "ES256", EncryptionKey: bytes.Repeat([]byte{7}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := minter.EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return house{db: db, under: under, minter: minter, router: handlers.New(handlers.Config{
		DB: db, Actions: actions.Config{Tenants: pgtest.Defaults, Minter: minter, BaseDomain: "example.com", Outbox: outbox, Links: pages{}},
		WebhookSecrets: []string{secret, "the-secret-before-rotation"}, MaxBodyBytes: 1 << 20, RequestTimeout: 20 * time.Second,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})}
}

// reply is what a handler answered: a value, or a refusal.
type reply struct {
	status int
	raw    string
	body   map[string]any
	list   []any
	header http.Header
}

func (r reply) code() any { return r.body["code"] }

// call sends an action as Hasura does.
func (h house) call(t testing.TB, s session.Session, action string, input map[string]any) reply {
	t.Helper()
	var variables map[string]string
	if err := json.Unmarshal([]byte(s.Setting()), &variables); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"action": map[string]any{"name": action}, "input": input, "session_variables": variables, "request_query": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h.send(t, action, body, http.Header{"X-Webhook-Secret": {secret}, "Content-Type": {"application/json"}})
}

func (h house) send(t testing.TB, action string, body []byte, header http.Header) reply {
	t.Helper()
	return h.post(t, "/actions/"+action, body, header)
}

func (h house) post(t testing.TB, path string, body []byte, header http.Header) reply {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	raw := w.Body.Bytes()
	got := reply{status: w.Code, raw: strings.TrimSpace(string(raw)), header: w.Header()}
	if bytes.HasPrefix(raw, []byte("[")) {
		if err := json.Unmarshal(raw, &got.list); err != nil {
			t.Fatalf("%s answered no JSON: %s", path, raw)
		}
		return got
	}
	if err := json.Unmarshal(raw, &got.body); err != nil {
		t.Fatalf("%s answered no JSON: %q", path, raw)
	}
	return got
}

// must fails the test unless the action was done.
func (h house) must(t testing.TB, s session.Session, action string, input map[string]any) map[string]any {
	t.Helper()
	got := h.call(t, s, action, input)
	if got.status != http.StatusOK {
		t.Fatalf("%s(%v) as %s: status %d, %v", action, input, s.Role, got.status, got.body)
	}
	return got.body
}

// refused fails the test unless the action was refused with this code, in Hasura's form.
func (h house) refused(t testing.TB, code string, s session.Session, action string, input map[string]any) reply {
	t.Helper()
	got := h.call(t, s, action, input)
	extensions, _ := got.body["extensions"].(map[string]any)
	if got.status < 400 || got.status > 499 || got.status == 401 || got.code() != code || extensions["code"] != code || got.body["message"] == "" {
		t.Fatalf("%s as %s: status %d, %v; want it refused as %s", action, s.Role, got.status, got.body, code)
	}
	return got
}

// count is the number a query gives, read behind the walls.
func (h house) count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := h.under.Superuser(t).QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func owner(team pgtest.Team) session.Session { return team.As(member.Owner) }
