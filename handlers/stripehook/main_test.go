package stripehook_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/stripehook"
	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	present = "whsec_present"
	retired = "whsec_before_rotation"
)

// house is the true router and the true ledger of events, of a server with a key of test
// mode.
type house struct {
	db     *pgxpool.Pool // as nself_server
	router http.Handler
	seen   *tally // what became of deliveries
	pushed *tally // objects that a job was made for
	logs   *bytes.Buffer
}

type tally struct {
	mu   sync.Mutex
	list []string
}

func (t *tally) add(words ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, words...)
}

func (t *tally) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) == 0 {
		return ""
	}
	return t.list[len(t.list)-1]
}

func newHouse(t testing.TB, secrets ...string) house {
	t.Helper()
	return houseOver(t, pgtest.Database(t).Pool(t, "nself_server"), "sk_test_doors", secrets...)
}

func houseOver(t testing.TB, db *pgxpool.Pool, key string, secrets ...string) house {
	t.Helper()
	client, err := stripeapi.New(stripeapi.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	h := house{db: db, seen: &tally{}, pushed: &tally{}, logs: &bytes.Buffer{}}
	log := slog.New(slog.NewJSONHandler(h.logs, nil))
	follow := stripesync.New(stripesync.Config{
		DB: db, Stripe: client, Book: billing.New(billing.Rules{Grace: time.Hour}, nil), Log: log,
		Push: func(_ context.Context, _ pgx.Tx, objects ...string) error { h.pushed.add(objects...); return nil },
	})
	h.router = handlers.New(handlers.Config{
		DB: db, Stripe: &stripehook.Config{Secrets: secrets, Accept: follow.Accept, Seen: func(outcome string) { h.seen.add(outcome) }},
		WebhookSecrets: []string{"the-secret-of-hasura"}, MaxBodyBytes: 1 << 10, RequestTimeout: 10 * time.Second,
		Metrics: prometheus.NewRegistry(), Log: log,
	})
	return h
}

// routerWithoutBilling is that of a server with BILLING_ENABLED=false.
func routerWithoutBilling(db *pgxpool.Pool) http.Handler {
	return handlers.New(handlers.Config{
		DB: db, MaxBodyBytes: 1 << 10, RequestTimeout: 10 * time.Second, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
}

// event is an event of Stripe's as it is delivered, about the invoice in_1 of cus_1.
func event(id, kind string, changes ...string) string {
	text := `{
  "id": "` + id + `",
  "object": "event",
  "api_version": "2023-10-16",
  "created": 1790000000,
  "data": {
    "object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "description": "café \u00e9"}
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {"id": null, "idempotency_key": null},
  "type": "` + kind + `"
}`
	return strings.NewReplacer(changes...).Replace(text)
}

// sign is the header that Stripe sends with a body.
func sign(body, secret string, at time.Time) string {
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), signature(body, secret, at))
}

func signature(body, secret string, at time.Time) string {
	return hex.EncodeToString(webhook.ComputeSignature(at, []byte(body), secret))
}

// answer is what a delivery was answered with.
type answer struct {
	status  int
	header  http.Header
	Outcome string
	Code    string
	Message string
}

func (h house) send(t testing.TB, body string, header http.Header) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhooks/stripe", strings.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	got := answer{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("answered %d %q", w.Code, w.Body)
	}
	return got
}

// deliver sends a body as Stripe does, with this signature.
func (h house) deliver(t testing.TB, body, signature string) answer {
	t.Helper()
	return h.send(t, body, http.Header{"Stripe-Signature": {signature}, "Content-Type": {"application/json; charset=utf-8"}})
}

func (h house) count(t testing.TB, sql string) int {
	t.Helper()
	var n int
	if err := h.db.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// nothingKept fails the test where an event was kept.
func (h house) nothingKept(t testing.TB) {
	t.Helper()
	if kept := h.count(t, `SELECT count(*) FROM billing.stripe_events`); kept != 0 || len(h.pushed.list) != 0 {
		t.Errorf("%d events were kept, and %v pushed", kept, h.pushed.list)
	}
}
