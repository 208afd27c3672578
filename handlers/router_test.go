package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"github.com/nself/tenancy/handlers/ops"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const secret = "a-webhook-secret-for-tests"

func newRouter(t *testing.T, logs *bytes.Buffer, ready ...ops.Check) (http.Handler, pgtest.Team) {
	t.Helper()
	db := pgtest.Database(t).Pool(t, "nself_server")
	return handlers.New(handlers.Config{
		DB: db, Actions: actions.Config{Tenants: pgtest.Defaults, BaseDomain: "example.com"},
		WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20, RequestTimeout: time.Second, Ready: ready,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(logs, nil)),
	}), pgtest.NewTeam(t, db)
}

func post(router http.Handler, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Webhook-Secret", secret)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	r.Header.Set("X-Request-Id", "req-1")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	return w
}

func TestEveryLogLineSaysWhoseRequestItWas(t *testing.T) {
	var logs bytes.Buffer
	router, team := newRouter(t, &logs)
	w := post(router, "/actions/tenantStats", `{"action":{"name":"tenantStats"},"input":{},"session_variables":`+team.As(member.Owner).Setting()+`}`)
	if w.Code != http.StatusOK || w.Header().Get("X-Request-Id") != "req-1" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var line map[string]any
	if err := json.Unmarshal(logs.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, logs.String())
	}
	for name, want := range map[string]any{
		"tenant_id": team.ID.String(), "user_id": team.Owner.String(), "action": "tenantStats", "role": "tenant_owner",
		"request_id": "req-1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "status": 200.0, "path": "/actions/tenantStats",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
}

func TestAnOutageIsLoggedWithItsCauseAndB3sTraceAndHealthIsNot(t *testing.T) {
	var logs bytes.Buffer
	nowhere, err := pgxpool.New(t.Context(), "postgres://nself_server@127.0.0.1:1/nself")
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	router := handlers.New(handlers.Config{
		DB: nowhere, WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20, RequestTimeout: time.Second,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(&logs, nil)),
	})
	r := httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)
	r.Header.Set("X-B3-TraceId", "463ac35c9f6413ad48485a3953bb6124")
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil))
	var line map[string]any
	if err := json.Unmarshal(logs.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, logs.String())
	}
	cause, _ := line["error"].(string)
	if line["level"] != "ERROR" || line["trace_id"] != "463ac35c9f6413ad48485a3953bb6124" || line["fault"] != "unavailable" || !strings.Contains(cause, "127.0.0.1") {
		t.Errorf("logged %s", logs.String())
	}
}

func TestSecretsAreNeverLogged(t *testing.T) {
	var logs bytes.Buffer
	router, team := newRouter(t, &logs)
	post(router, "/actions/acceptInvitation", `{"action":{"name":"acceptInvitation"},"input":{"token":"s3cret-token"},"session_variables":`+team.As(member.Owner).Setting()+`}`)
	if text := logs.String(); text == "" || strings.Contains(text, secret) || strings.Contains(text, "s3cret-token") {
		t.Errorf("logged: %s", text)
	}
}

func TestAPanicIsAnsweredInTheDoorsDialect(t *testing.T) {
	var logs bytes.Buffer
	router, team := newRouter(t, &logs) // without a minter, minting is a nil dereference
	w := post(router, "/actions/mintToken", `{"action":{"name":"mintToken"},"input":{"userId":"`+team.Owner.String()+`"},"session_variables":{"x-hasura-role":"admin"}}`)
	var body struct {
		Message, Code string
		Extensions    map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusInternalServerError || body.Code != "internal" || body.Extensions["code"] != "internal" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(body.Message, "nil pointer") || !strings.Contains(logs.String(), "nil pointer") {
		t.Errorf("the cause belongs in the log, not in %q", body.Message)
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	missing := ops.Check{Name: "moon", Run: func(context.Context) error { return errors.New("not risen") }}
	there := ops.Check{Name: "sun", Run: func(context.Context) error { return nil }}
	for want, checks := range map[int][]ops.Check{http.StatusOK: {there}, http.StatusServiceUnavailable: {there, missing}} {
		var logs bytes.Buffer
		router, _ := newRouter(t, &logs, checks...)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != want || strings.Contains(w.Body.String(), "not risen") != (want == http.StatusServiceUnavailable) {
			t.Errorf("%d %s, want %d", w.Code, w.Body, want)
		}
	}
}

func TestMetricsNameRoutesNeverPaths(t *testing.T) {
	var logs bytes.Buffer
	router, _ := newRouter(t, &logs)
	post(router, "/actions/no-such-action-at-all", `{}`)
	post(router, "/a-path-of-the-callers-own", `{}`)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if text := w.Body.String(); !strings.Contains(text, `nself_http_request_duration_seconds_count{route="other",status="404"} 1`) ||
		!strings.Contains(text, `nself_http_request_duration_seconds_count{route="/actions/{name}",status="404"} 1`) || strings.Contains(text, "no-such") || strings.Contains(text, "callers-own") {
		t.Errorf("%s", text)
	}
}

func TestTheKeySetMayBeCachedAndIsFetchedAgain(t *testing.T) {
	var logs bytes.Buffer
	router, _ := newRouter(t, &logs)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, max-age=60" || w.Body.String() != `{"keys":[]}` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
