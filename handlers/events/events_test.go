package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const secret = "a-webhook-secret-for-tests"

type house struct {
	db     *pgxpool.Pool // as nself_server
	under  *pgtest.DB
	config handlers.Config
	warned *warnings
	router http.Handler
}

func newHouse(t *testing.T) house {
	t.Helper()
	under := pgtest.Database(t)
	h := houseOver(t, under.Pool(t, "nself_server"))
	h.under = under
	return h
}

func houseOver(t *testing.T, db *pgxpool.Pool) house {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := queue.New(box)
	if err != nil {
		t.Fatal(err)
	}
	warned := &warnings{}
	config := handlers.Config{
		DB: db, Warned: warned.add, Actions: actions.Config{Outbox: outbox}, WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20,
		RequestTimeout: 10 * time.Second, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}
	return house{db: db, config: config, warned: warned, router: handlers.New(config)}
}

func (h house) deliver(body string) *httptest.ResponseRecorder { return h.deliverTo("tenant", body) }

func (h house) deliverTo(name, body string) *httptest.ResponseRecorder {
	return h.send(context.Background(), name, body)
}

func (h house) send(ctx context.Context, name, body string) *httptest.ResponseRecorder {
	return h.answer(request(name, body).WithContext(ctx))
}

// request is a delivery with the secret.
func request(name, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/events/"+name, strings.NewReader(body))
	r.Header.Set("X-Webhook-Secret", secret)
	return r
}

func (h house) answer(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	return w
}

func outcome(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct{ Outcome string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return body.Outcome
}

// statusEvent is an event of tenant_status as Hasura delivers it: created_at without a
// zone, null session variables, more keys than are read.
func statusEvent(id, op string, row string) string {
	return fmt.Sprintf(`{"id":%q,"table":{"schema":"tenants","name":"tenants"},"trigger":{"name":"tenant_status"},
		"event":{"op":%q,"data":{"old":null,"new":%s},"session_variables":null,"trace_context":null},
		"delivery_info":{"current_retry":0,"max_retries":10},"created_at":"2026-11-23T00:25:48.223125"}`, id, op, row)
}

func suspended(team pgtest.Team, at time.Time) string {
	return fmt.Sprintf(`{"id":%q,"status":"suspended","suspended_at":%q,"deleted_at":null,"credit":9007199254740993}`, team.ID, at.Format(time.RFC3339Nano))
}

func (h house) openSession(t *testing.T, team pgtest.Team) {
	t.Helper()
	_, err := h.db.Exec(t.Context(), `INSERT INTO auth.sessions (family_id, method, tenant_id, user_id, role, expires_at)
		VALUES (gen_random_uuid(), 'link', $1, $2, 'tenant_owner', now() + interval '1 hour')`, team.ID, team.Owner)
	if err != nil {
		t.Fatal(err)
	}
}

func (h house) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	if err := h.db.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	endedSQL = `SELECT count(*) FROM auth.sessions WHERE tenant_id = $1 AND ended_at IS NOT NULL`
	auditSQL = `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'end_sessions'`
)

func TestASuspensionEndsTheTenantsSessionsOnceHoweverOftenItIsDelivered(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.openSession(t, team)
	h.openSession(t, other)
	body := statusEvent(uuid.NewString(), "UPDATE", suspended(team, time.Now().Add(time.Second)))
	outcomes := make(chan string, 8)
	var wait sync.WaitGroup
	for range cap(outcomes) {
		wait.Go(func() { outcomes <- outcome(t, h.deliver(body)) })
	}
	wait.Wait()
	close(outcomes)
	tally := map[string]int{}
	for o := range outcomes {
		tally[o]++
	}
	if tally["done"] != 1 || tally["repeated"] != 7 {
		t.Errorf("outcomes %v", tally)
	}
	if got := h.count(t, endedSQL, team.ID); got != 1 {
		t.Errorf("%d sessions ended", got)
	}
	if got := h.count(t, auditSQL, team.ID); got != 1 {
		t.Errorf("%d audit rows", got)
	}
	if got := h.count(t, endedSQL, other.ID); got != 0 {
		t.Errorf("%d sessions of another tenant ended", got)
	}
}

func TestADeletionEndsTheTenantsSessionsAndAnotherTablesEventDoesNot(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.openSession(t, team)
	deleted := fmt.Sprintf(`{"id":%q,"status":"deleted","deleted_at":%q}`, team.ID, time.Now().Add(time.Second).Format(time.RFC3339Nano))
	foreign := strings.Replace(statusEvent(uuid.NewString(), "UPDATE", deleted), `"schema":"tenants"`, `"schema":"public"`, 1)
	if got := outcome(t, h.deliver(foreign)); got != "parked" || h.count(t, endedSQL, team.ID) != 0 {
		t.Errorf("an event of another table: %s, %d sessions ended", got, h.count(t, endedSQL, team.ID))
	}
	if got := outcome(t, h.deliver(statusEvent(uuid.NewString(), "UPDATE", deleted))); got != "done" || h.count(t, endedSQL, team.ID) != 1 {
		t.Errorf("a deletion: %s, %d sessions ended", got, h.count(t, endedSQL, team.ID))
	}
}

func TestALateEventLeavesSessionsOpenedSince(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.openSession(t, team)
	body := statusEvent(uuid.NewString(), "UPDATE", suspended(team, time.Now().Add(-time.Hour)))
	if got := outcome(t, h.deliver(body)); got != "done" {
		t.Errorf("outcome %s", got)
	}
	if got := h.count(t, endedSQL, team.ID); got != 0 {
		t.Errorf("%d sessions opened after the suspension were ended", got)
	}
}

func TestWhatCanNeverSucceedIsParkedAndAcknowledged(t *testing.T) {
	h := newHouse(t)
	for name, row := range map[string]string{
		"a number": `7`, "null": `null`, "a list": `[]`, "a string": `"x"`, "no id": `{"status":"suspended"}`,
		"an id that is none":  `{"id":"x","status":"suspended","suspended_at":"2026-01-01T00:00:00Z"}`,
		"nobody's tenant":     `{"id":"00000000-0000-4000-8000-000000000001","status":"suspended","suspended_at":"2026-01-01T00:00:00+00:00"}`,
		"half a surrogate":    `{"id":"\ud800"}`,
		"a huge number":       `{"id":"x","credit":1e200000}`,
		"a NUL":               `{"id":"\u0000","status":"active"}`,
		"a status of no kind": `{"id":"00000000-0000-4000-8000-000000000001","status":"gone"}`,
	} {
		w := h.deliver(statusEvent(uuid.NewString(), "MANUAL", row))
		if got := outcome(t, w); got != "parked" {
			t.Errorf("%s: %s", name, got)
		}
		if w.Header().Get("Retry-After") != "" {
			t.Errorf("%s: Retry-After was sent", name)
		}
	}
	if got := h.count(t, `SELECT count(*) FROM nself.inbox WHERE state = 'parked' AND reason <> ''`); got != 11 {
		t.Errorf("%d parked events have a reason", got)
	}
}

func TestAParkedEventDeliveredAgainIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	id := uuid.NewString()
	if got := outcome(t, h.deliver(statusEvent(id, "UPDATE", `{}`))); got != "parked" {
		t.Fatalf("outcome %s", got)
	}
	if got := outcome(t, h.deliver(statusEvent(id, "UPDATE", suspended(team, time.Now())))); got != "done" {
		t.Errorf("a person's redelivery was swallowed: %s", got)
	}
	if got := h.count(t, `SELECT deliveries FROM nself.inbox WHERE event_id = $1 AND state = 'done' AND reason IS NULL`, id); got != 2 {
		t.Errorf("%d deliveries", got)
	}
}

func TestWhatIsNoEventIsRefusedWithoutRetryAfter(t *testing.T) {
	h := newHouse(t)
	for _, body := range []string{"", "x", "[]", "{}", `{"id":7}`, `"id"`} {
		w := h.deliver(body)
		if w.Code != http.StatusBadRequest || w.Header().Get("Retry-After") != "" {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/events/tenant", strings.NewReader("{}"))
	w := httptest.NewRecorder()
	if h.router.ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("without the secret: %d", w.Code)
	}
}

func TestAnOutageAsksForAnotherDelivery(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	body := statusEvent(uuid.NewString(), "UPDATE", suspended(team, time.Now()))
	nowhere, err := pgxpool.New(t.Context(), "postgres://nself_server@127.0.0.1:1/nself")
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	if w := houseOver(t, nowhere).deliver(body); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestTheEventsOfHasurasOwnTestsAreTakenInAndParked(t *testing.T) {
	h := newHouse(t)
	const recorded = "../../internal/local/engine/eventlog/testdata/"
	for _, name := range []string{"insert_plain_sql_writer.json", "update_hasura_mutation.json", "manual.json"} {
		body, err := os.ReadFile(recorded + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := outcome(t, h.deliver(string(body))); got != "parked" {
			t.Errorf("%s, of a table that is not ours: %s", name, got)
		}
		if got := h.count(t, `SELECT count(*) FROM nself.inbox WHERE payload = $1::jsonb`, string(body)); got != 1 {
			t.Errorf("%s was not kept whole", name)
		}
	}
}
