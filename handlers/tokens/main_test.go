package tokens_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/idp"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	public     = "auth.example.com"
	formType   = "application/x-www-form-urlencoded"
	jsonType   = "application/json"
	refreshKey = "__Host-nself_refresh"
	linkKey    = "__Host-nself_link"
)

// world is the doors over a database of their own.
type world struct {
	router http.Handler
	config tokens.Config
	db     *pgxpool.Pool // as nself_server
	super  *pgxpool.Pool
	box    *seal.Box
	logs   *lines

	provider *idp.Provider
	desk     signin.Config
}

// lines is a log that several requests write to.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// vouched is a token of the identity provider for somebody with a verified address.
func (w *world) vouched(t testing.TB, email string) string {
	t.Helper()
	claims := w.provider.Claims(email, "us")
	claims["email"], claims["email_verified"] = email, true
	signed, err := w.provider.Sign(claims, idp.Options{Algorithm: "ES256"})
	check(t, err)
	return signed
}

// trusted is the set of providers that trusts the world's alone.
func (w *world) trusted(t testing.TB) *provider.Set {
	t.Helper()
	started, err := idp.Start()
	check(t, err)
	t.Cleanup(func() { check(t, started.Close()) })
	w.provider = started
	set, err := provider.New(t.Context(), []provider.Config{{Issuer: started.Issuer(), Audience: "us"}}, slog.New(slog.NewJSONHandler(w.logs, nil)))
	check(t, err)
	return set
}

func newWorld(t testing.TB, change func(*tokens.Config)) *world {
	t.Helper()
	key := bytes.Repeat([]byte{7}, 32)
	box, err := seal.New(key)
	check(t, err)
	outbox, err := queue.New(box)
	check(t, err)
	minter, err := token.New(token.Config{Issuer: "us", Audience: "hasura", TTL: 15 * time.Minute, Algorithm: "ES256", EncryptionKey: key})
	check(t, err)
	under := pgtest.Database(t)
	w := &world{db: under.Pool(t, "nself_server"), super: under.Superuser(t), box: box, logs: &lines{}}
	check(t, minter.EnsureKey(t.Context(), w.db))
	w.config = tokens.Config{
		DB: w.db, Minter: minter, Verifier: token.NewVerifier(token.VerifierConfig{Issuer: "us", Audience: "hasura", DB: w.db}),
		Issuer: "us", PublicURL: "https://" + public, BaseDomain: "example.com", RefreshTTL: 720 * time.Hour,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, // httptest's peer
	}
	if change != nil {
		change(&w.config)
	}
	w.desk = signin.Config{
		Outbox: outbox, Minter: minter, Providers: w.trusted(t), PublicURL: w.config.PublicURL, BaseDomain: w.config.BaseDomain, SignUp: true,
	}
	w.open()
	return w
}

// open opens the doors with the settings as they are.
func (w *world) open() {
	w.config.Desk = signin.New(w.desk)
	w.router = w.mount(w.config)
}

// mount is the true router, with these doors in it.
func (w *world) mount(c tokens.Config) http.Handler {
	return handlers.New(handlers.Config{
		DB: c.DB, Tokens: c, MaxBodyBytes: 1 << 20, RequestTimeout: 25 * time.Second,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(w.logs, nil)),
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func answered(t testing.TB, answer *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	if answer.Code != status {
		t.Fatalf("status %d, want %d: %s", answer.Code, status, answer.Body)
	}
	var body map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("no JSON: %s", answer.Body)
	}
	return body
}

// refused fails the test unless the answer is OAuth's error with this word and our code.
func refused(t testing.TB, answer *httptest.ResponseRecorder, status int, word, code string) map[string]any {
	t.Helper()
	body := answered(t, answer, status)
	if body["error"] != word || body["code"] != code || body["error_description"] == "" {
		t.Fatalf("%s; want %s, %s", answer.Body, word, code)
	}
	if answer.Header().Get("Cache-Control") != "no-store" || answer.Header().Get("Pragma") != "no-cache" {
		t.Errorf("it may be stored: %v", answer.Header())
	}
	challenge := answer.Header().Get("WWW-Authenticate")
	if (status == http.StatusUnauthorized) != strings.HasPrefix(challenge, `Bearer error="invalid_token", error_description="`) {
		t.Errorf("status %d with the challenge %q", status, challenge)
	}
	return body
}

// page fails the test unless the answer is a page with all of these texts.
func page(t testing.TB, answer *httptest.ResponseRecorder, status int, texts ...string) string {
	t.Helper()
	body := answer.Body.String()
	if answer.Code != status || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, want %d: %v\n%s", answer.Code, status, answer.Header(), body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Fatalf("%q is not in\n%s", text, body)
		}
	}
	return body
}

// mail is the newest mail.
func (w *world) mail(t testing.TB) queue.Mail {
	t.Helper()
	args, err := pg.Scalar[json.RawMessage](t.Context(), w.super, `SELECT args FROM nself.river_job ORDER BY id DESC LIMIT 1`, nil)
	check(t, err)
	var job queue.MailJob
	check(t, json.Unmarshal(args, &job))
	mail, err := job.Unseal(w.box)
	check(t, err)
	return mail
}

// link is the address in the newest mail.
func (w *world) link(t testing.TB) *url.URL {
	t.Helper()
	link, err := url.Parse(w.mail(t).Values[queue.Link])
	check(t, err)
	return link
}

// count is the number a query gives, read behind the walls.
func (w *world) count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	check(t, w.super.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (w *world) email(t testing.TB, user id.User) string {
	t.Helper()
	email, err := pg.Scalar[string](t.Context(), w.super, `SELECT email FROM auth.users WHERE id = @user`, pgx.NamedArgs{"user": user})
	check(t, err)
	return email
}

// exchange signs a program in by its user's provider; the answer holds both tokens.
func (w *world) exchange(t testing.TB, host, email string, pairs ...string) map[string]any {
	t.Helper()
	return w.program(host).grant(t, append([]string{"grant_type", "exchange", "subject_token", w.vouched(t, email)}, pairs...)...)
}

func text(body any) string {
	s, _ := body.(string)
	return s
}

// outcome is all that a caller sees of an answer.
func outcome(answer *httptest.ResponseRecorder) string {
	header := answer.Header().Clone()
	header.Del("X-Request-Id")
	var all strings.Builder
	_ = header.Write(&all)
	body, _ := io.ReadAll(answer.Body)
	return http.StatusText(answer.Code) + "\n" + all.String() + "\n" + string(body)
}
