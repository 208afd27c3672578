package usage_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/token"
)

// take posts to the door of quotas with headers, given as name and value in turn.
func (w *world) take(body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/quota/take", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.router.ServeHTTP(recorder, r)
	return recorder
}

// limited gives the team a limit of 10 compute hours.
func (w *world) limited(t *testing.T) {
	t.Helper()
	w.exec(t, `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES ($1, 'compute_hours', 10)`, w.team.ID)
}

var moments = regexp.MustCompile(`"\d{4}-\d\d-\d\dT00:00:00Z"`)

func answers(t *testing.T, what string, got *httptest.ResponseRecorder, status int, want string) {
	t.Helper()
	body := moments.ReplaceAllString(strings.TrimSpace(got.Body.String()), `"<time>"`)
	if diff := cmp.Diff(want, body); diff != "" || got.Code != status {
		t.Errorf("%s: %d %s", what, got.Code, diff)
	}
}

func TestAServiceTakesOfAnyTenantAndATenantsOwnSenderOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.limited(t)
	const form = `{"allowed":true,"meter":"compute_hours","limit":10,"used":%,"held":0,"remaining":#,"enforcement":"hard","resetDate":"<time>"}`
	want := func(used, left string) string { return strings.NewReplacer("%", used, "#", left).Replace(form) }
	answers(t, "by slug", w.take(`{"tenant":"`+w.team.Slug+`","meter":"compute_hours","amount":0.5}`, "X-Webhook-Secret", secret), 200, want("0.5", "9.5"))
	answers(t, "by id", w.take(`{"tenant":"`+strings.ToUpper(w.team.ID.String())+`","meter":"compute_hours","value":null}`, "X-Webhook-Secret", secret), 200, want("1.5", "8.5"))
	answers(t, "a member", w.take(`{"meter":"compute_hours","amount":"1"}`, "Authorization", "Bearer "+w.token(t, w.team.Member, w.team.ID)), 200, want("2.5", "7.5"))
	answers(t, "a key", w.take(`{"meter":"compute_hours","tenant":"`+w.team.Slug+`"}`, "Authorization", "Bearer "+w.key(t, w.team, member.Plain).Plain), 200, want("3.5", "6.5"))
	answers(t, "unlimited", w.take(`{"tenant":"`+w.other.Slug+`","meter":"compute_hours","amount":9007199254740993}`, "X-Webhook-Secret", secret), 200,
		`{"allowed":true,"meter":"compute_hours","limit":-1,"used":9007199254740993,"held":0,"remaining":null,"enforcement":"hard","resetDate":"<time>"}`)
	if got := w.used(t, w.team, "compute_hours"); got != "3.5" {
		t.Errorf("used %s", got)
	}
}

func TestWhatPassesALimitIsRefusedWithFiguresAndHeaders(t *testing.T) {
	w := newWorld(t)
	w.limited(t)
	w.take(`{"tenant":"`+w.team.Slug+`","meter":"compute_hours","amount":8}`, "X-Webhook-Secret", secret)
	got := w.take(`{"tenant":"`+w.team.Slug+`","meter":"compute_hours","amount":3}`, "X-Webhook-Secret", secret)
	var body map[string]any
	check(t, json.Unmarshal(got.Body.Bytes(), &body))
	after, message := got.Header().Get("Retry-After"), body["message"]
	if wait, _ := body["retryAfter"].(float64); wait < 1 || after != json.Number(after).String() || message == "" || body["resetDate"] == nil {
		t.Errorf("%s, Retry-After %q", got.Body, after)
	}
	for _, volatile := range []string{"retryAfter", "message", "resetDate"} {
		delete(body, volatile)
	}
	want := map[string]any{
		"allowed": false, "error": "quota-exceeded", "code": "quota-exceeded", "meter": "compute_hours", "limit": 10.0, "used": 8.0, "held": 0.0,
		"current": 8.0, "remaining": 2.0, "enforcement": "hard",
	}
	if diff := cmp.Diff(want, body); diff != "" || got.Code != http.StatusTooManyRequests {
		t.Errorf("%d %s", got.Code, diff)
	}
	if h := got.Header(); h.Get("RateLimit-Policy") != `"compute_hours";q=10` || h.Get("RateLimit") != `"compute_hours";r=2;t=`+after {
		t.Errorf("%v", h)
	}
}

func TestATakingThatIsWrongIsToldOfAllAtOnce(t *testing.T) {
	w := newWorld(t)
	got := w.take(`{"tenant":1,"meter":"a\u0000","amount":-1,"value":{},"idempotencyKey":"k"}`, "X-Webhook-Secret", secret)
	var body struct {
		Code     string
		Problems []struct{ Field string }
	}
	check(t, json.Unmarshal(got.Body.Bytes(), &body))
	var fields []string
	for _, p := range body.Problems {
		fields = append(fields, p.Field)
	}
	slices.Sort(fields)
	if diff := cmp.Diff([]string{`"idempotencyKey"`, "amount", "meter", "tenant", "value"}, fields); diff != "" || got.Code != 400 || body.Code != "invalid-input" {
		t.Errorf("%d %s %s", got.Code, got.Body, diff)
	}
	named := func(more string) string { return `{"tenant":"` + w.team.Slug + `",` + more + `}` }
	for body, c := range map[string]struct {
		status int
		code   string
	}{
		`{}`: {400, "invalid-input"}, `{"meter":"api_requests"}`: {400, "invalid-input"}, `[]`: {400, "invalid-json"}, `null`: {400, "invalid-input"}, ``: {400, "invalid-json"},
		named(`"meter":"api_requests","meter":"storage"`): {400, "invalid-json"}, named(`"meter":"storage"`): {400, "invalid-input"}, named(`"meter":"users"`): {400, "invalid-input"},
		named(`"meter":"api_requests","amount":0.5`): {400, "invalid-input"}, named(`"meter":"api_requests","value":"x"`): {400, "invalid-input"},
		named(`"meter":"api_requests","amount":1e99`): {400, "invalid-input"}, named(`"meter":"api_requests","amount":true`): {400, "invalid-input"},
		named(`"meter":"nothing"`): {404, "not-found"}, `{"tenant":"nobodys","meter":"api_requests"}`: {404, "not-found"},
		`{"tenant":"00000000-0000-4000-8000-000000000001","meter":"api_requests"}`: {404, "not-found"},
	} {
		w.refuses(t, body, w.take(body, "X-Webhook-Secret", secret), c.status, c.code)
	}
	w.refuses(t, "text", w.take(named(`"meter":"api_requests"`), "X-Webhook-Secret", secret, "Content-Type", "text/plain"), 415, "unsupported-media-type")
}

func TestWhoMayNotTakeTakesNothing(t *testing.T) {
	w := newWorld(t)
	bearer := func(plain string) []string { return []string{"Authorization", "Bearer " + plain} }
	const own = `{"meter":"api_requests"}`
	foreign := `{"meter":"api_requests","tenant":"` + w.other.ID.String() + `"}`
	mine := w.token(t, w.team.Member, w.team.ID)
	signedOut := w.token(t, w.other.Member, w.other.ID)
	w.exec(t, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'signed out' WHERE user_id = $1`, w.other.Member)
	for what, c := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"nobody":                {own, nil, 401, "invalid-token"},
		"a wrong secret":        {own, []string{"X-Webhook-Secret", "x"}, 403, "bad-webhook-secret"},
		"a guest":               {own, bearer(w.token(t, w.team.Guest, w.team.ID)), 403, "forbidden"},
		"without a tenant":      {own, bearer(w.token(t, w.team.Member, id.Tenant{})), 400, "tenant-required"},
		"another's tenant":      {foreign, bearer(mine), 404, "not-found"},
		"another's slug":        {`{"meter":"api_requests","tenant":"` + w.other.Slug + `"}`, bearer(mine), 404, "not-found"},
		"a session that ended":  {own, bearer(signedOut), 401, "session-ended"},
		"a key of nobody":       {own, bearer("nsk_abcdefgh_" + strings.Repeat("a", 43)), 401, "invalid-grant"},
		"the secret and a key":  {own, append(bearer(mine), "X-Webhook-Secret", secret), 400, "invalid-input"},
		"the secret as a token": {own, bearer(secret), 401, "invalid-token"},
	} {
		w.refuses(t, what, w.take(c.body, c.headers...), c.status, c.code)
	}
	w.exec(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, w.team.ID)
	w.refuses(t, "a member of a suspended tenant", w.take(own, bearer(mine)...), 403, "tenant-not-active")
	w.refuses(t, "a service, of a suspended tenant", w.take(`{"meter":"api_requests","tenant":"`+w.team.Slug+`"}`, "X-Webhook-Secret", secret), 403, "tenant-not-active")
}

// line leads to the database until it is cut.
type line struct {
	mu   sync.Mutex
	gone bool
	ends []net.Conn
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	end, err := new(net.Dialer).DialContext(ctx, network, address)
	l.ends = append(l.ends, end)
	return end, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for _, end := range l.ends {
		_ = end.Close()
	}
}

func TestAMeterThatAllowsWhileTheDatabaseIsAwayAllowsServicesThatNameATenantByItsID(t *testing.T) {
	w := newWorld(t)
	w.exec(t, `UPDATE billing.meters SET on_outage = CASE code WHEN 'compute_hours' THEN 'allow' ELSE 'refuse' END`)
	away := &line{}
	config, err := pgxpool.ParseConfig(w.url)
	check(t, err)
	config.ConnConfig.DialFunc = away.dial
	db, err := pgxpool.NewWithConfig(t.Context(), config)
	check(t, err)
	defer db.Close()
	w.router = handlers.New(handlers.Config{
		DB: db, Quota: quota.New(quota.DeciderConfig{DB: db, Holder: "test", Log: slog.New(slog.DiscardHandler)}),
		WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20, RequestTimeout: 10 * time.Second,
		Tokens:  tokens.Config{Minter: w.minter, Verifier: token.NewVerifier(token.VerifierConfig{Issuer: "us", Audience: "hasura", DB: db})},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	ask := func(tenant, meter string) *httptest.ResponseRecorder {
		return w.take(`{"tenant":"`+tenant+`","meter":"`+meter+`"}`, "X-Webhook-Secret", secret)
	}
	for _, meter := range []string{"compute_hours", "api_requests"} {
		if got := ask(w.team.ID.String(), meter); got.Code != http.StatusOK {
			t.Fatalf("%d %s", got.Code, got.Body)
		}
	}
	away.cut()
	if got := ask(w.team.ID.String(), "compute_hours"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"resetDate":null`) {
		t.Errorf("by id: %d %s", got.Code, got.Body)
	}
	for what, got := range map[string]*httptest.ResponseRecorder{"by slug": ask(w.team.Slug, "compute_hours"), "of a meter that refuses": ask(w.other.ID.String(), "api_requests")} {
		if got.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", what, got.Code, got.Body)
		}
	}
}
