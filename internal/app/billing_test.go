package app

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/local/stripe/deliver"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
)

const stripeKey = "sk_test_a_key_for_tests"

// shop is a stand-in for Stripe that delivers nothing by itself.
type shop struct {
	server   *stripe.Server
	url      string
	messages []stripe.Event
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{}
	var err error
	if s.server, err = stripe.New(stripe.Config{Key: stripeKey, Deliver: func(e stripe.Event) { s.messages = append(s.messages, e) }}); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(s.server.Handler())
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

const signingSecret = "whsec_a_secret_for_tests"

func (s *shop) settings() map[string]string {
	return map[string]string{"BILLING_ENABLED": "true", "STRIPE_SECRET_KEY": stripeKey, "STRIPE_API_URL": s.url, "STRIPE_WEBHOOK_SECRET": signingSecret}
}

// hook delivers an event to the app, signed with the secret.
func hook(t *testing.T, a *App, secret string, e stripe.Event) (status int, said string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/webhooks/stripe", strings.NewReader(string(e.Body)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Stripe-Signature", deliver.Signature(secret, time.Now(), e.Body))
	w := httptest.NewRecorder()
	a.Router.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

// act calls an action as the operator.
func act(t *testing.T, a *App, name string, input map[string]any) (status int, said string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"action": map[string]string{"name": name}, "input": input, "session_variables": map[string]string{"x-hasura-role": "admin"}})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/actions/"+name, strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Webhook-Secret", webhookSecret)
	w := httptest.NewRecorder()
	a.Router.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

func TestWithoutBillingNothingOfItIsThere(t *testing.T) {
	t.Parallel() // they wait more than they work
	settings := newShop(t).settings()
	settings["BILLING_ENABLED"] = "false"
	a := newAppWith(t, pgtest.Database(t), settings)
	if status, said := hook(t, a, signingSecret, stripe.Event{Body: []byte(`{}`)}); status != http.StatusNotFound {
		t.Errorf("a webhook: %d %s", status, said)
	}
	if status, said := act(t, a, "setupBilling", map[string]any{}); status != http.StatusConflict || !strings.Contains(said, "billing-disabled") {
		t.Errorf("an action: %d %s", status, said)
	}
	if len(a.work.Tasks) != 0 {
		t.Errorf("it does the tasks %+v", a.work.Tasks)
	}
	for _, r := range a.work.Routines {
		if strings.HasPrefix(r.Name, "billing") || strings.HasPrefix(r.Name, "stripe") {
			t.Errorf("it has the routine %s", r.Name)
		}
	}
	if got := measured(t, a); strings.Contains(got, "nself_stripe") || strings.Contains(got, "nself_billing") {
		t.Errorf("it measures\n%s", got)
	}
}

// measured is everything that is measured.
func measured(t *testing.T, a *App) string {
	t.Helper()
	w := httptest.NewRecorder()
	a.Router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// customer makes a customer at the shop, outside of this program.
func (s *shop) customer(t *testing.T) stripe.Event {
	t.Helper()
	form := url.Values{"email": {"ada@example.com"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/customers", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+stripeKey)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if said, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", answer.StatusCode, said, err)
	}
	return s.messages[len(s.messages)-1]
}

func TestAnEventIsKeptFollowedAndMeasured(t *testing.T) {
	t.Parallel() // they wait more than they work
	db, shop := pgtest.Database(t), newShop(t)
	a := newAppWith(t, db, shop.settings())
	stranger := shop.customer(t)
	if status, said := hook(t, a, "whsec_of_somebody_else", stranger); status/100 != 4 {
		t.Errorf("forged: %d %s", status, said)
	}
	for range 2 {
		if status, said := hook(t, a, signingSecret, stranger); status != http.StatusOK {
			t.Errorf("%d %s", status, said)
		}
	}
	_, stop := serve(t, a)
	defer stop()
	const parked = `SELECT count(*) FROM billing.stripe_objects WHERE state = 'parked'`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n, err := pg.Scalar[int64](t.Context(), db.Superuser(t), parked, nil)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d are parked, %v", n, err)
		}
		if n == 1 {
			break
		}
	}
	for name, want := range map[string]string{
		`nself_stripe_events_total{outcome="accepted"}`: "1", `nself_stripe_events_total{outcome="repeated"}`: "1", `nself_stripe_events_total{outcome="forged"}`: "1",
		`nself_stripe_objects_total{kind="customer",outcome="parked"}`: "1",
		`nself_billing_objects{state="parked"}`:                        "1", `nself_billing_objects{state="waiting"}`: "0", `nself_billing_objects{state="dead"}`: "0",
		`nself_billing_operations_open`: "0", `nself_billing_overages_unreported`: "0",
	} {
		if got := metric(t, a, name); got != want {
			t.Errorf("%s is %q, not %s", name, got, want)
		}
	}
}

func TestAnOperationIsLookedAfterOnceWhoBeganItHadTheTime(t *testing.T) {
	t.Parallel() // they wait more than they work
	db := pgtest.Database(t)
	a := newAppWith(t, db, newShop(t).settings())
	tasks, err := queue.NewTasks()
	if err != nil {
		t.Fatal(err)
	}
	team := pgtest.NewTeam(t, db.Superuser(t))
	gone := id.New[id.Operation]()
	if err := pg.InTx(t.Context(), a.DB, func(tx pgx.Tx) error { return finish(tasks)(t.Context(), tx, team.ID, gone) }); err != nil {
		t.Fatal(err)
	}
	const queued = `SELECT args ->> 'id' || ' ' || (scheduled_at BETWEEN now() + interval '20 seconds' AND now() + interval '31 seconds') FROM nself.river_job WHERE kind = 'task'`
	got, err := pg.Scalar[string](t.Context(), a.DB, queued, nil)
	name := team.ID.String() + "/" + gone.String()
	if err != nil || got != name+" true" {
		t.Errorf("%q, %v", got, err)
	}
	if err := finisher(a.sales.desk)(t.Context(), name); err != nil {
		t.Errorf("an operation that went with its tenant: %v", err)
	}
	for _, wrong := range []string{"", "/", team.ID.String(), team.ID.String() + "/", gone.String() + "/x", name + "/x"} {
		if finisher(a.sales.desk)(t.Context(), wrong) == nil {
			t.Errorf("the task %q was done", wrong)
		}
	}
}

func TestAnOperationWhoseLastTryFailedIsEnded(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	a := newAppWith(t, db, newShop(t).settings())
	team := pgtest.NewTeam(t, db.Superuser(t))
	const openSQL = `INSERT INTO billing.operations (tenant_id, kind, actor) VALUES (@tenant_id, 'resume', '{}') RETURNING tenant_id || '/' || id`
	name, err := pg.Scalar[string](t.Context(), a.DB, openSQL, pgx.NamedArgs{"tenant_id": team.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range a.work.Tasks {
		if task.Name != finishTask {
			continue
		}
		if err := task.GiveUp(t.Context(), name, errors.New("every try failed")); err != nil {
			t.Error(err)
		}
		if task.GiveUp(t.Context(), team.ID.String(), errors.New("every try failed")) == nil {
			t.Error("what names no operation was given up")
		}
	}
	if got, err := pg.Scalar[string](t.Context(), a.DB, `SELECT state FROM billing.operations`, nil); got != "failed" || err != nil {
		t.Errorf("it is %s, %v", got, err)
	}
}
