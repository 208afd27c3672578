package dev_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/dev"
)

// ask sends a GraphQL document as the owner of acme and returns what is said.
func ask(t *testing.T, e *dev.Environment, document string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Get("GRAPHQL_ENDPOINT"), strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.Get("ACME_OWNER_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// becomes waits until a statement of one text returns it.
func becomes(t *testing.T, e *dev.Environment, want, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.Get("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var got string
		if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is %s, not %s", got, want)
		}
	}
}

const (
	subscribeAcme = `mutation { subscribe(plan: "pro", paymentMethod: "pm_card_visa") { status plan } }`
	paidByAcme    = `{ invoices { status hosted_url } }`

	// What was delivered and what became of it, of the event that says most.
	paidEvents = `SELECT coalesce(string_agg(o.state || ' ' || e.deliveries, ', '), 'none') FROM billing.stripe_events e
		JOIN billing.stripe_objects o ON o.object_id = e.object_id WHERE e.type = 'invoice.paid'`
	notApplied = `SELECT coalesce(string_agg(o.object_id || ' ' || o.state || ' ' || coalesce(o.reason, ''), ', '), 'none')
		FROM billing.stripe_objects o WHERE o.state <> 'applied'`
)

func TestANewcomerSubscribesWithoutAnAccount(t *testing.T) {
	t.Parallel() // they wait more than they work
	dir := t.TempDir()
	first, stop := start(t, dir)
	if said := ask(t, first, subscribeAcme); said != `{"data":{"subscribe":{"status":"active","plan":"pro"}}}` {
		t.Errorf("subscribing is answered %s", said)
	}
	becomes(t, first, "applied 1", paidEvents)
	becomes(t, first, "none", notApplied)
	var paid struct {
		Data struct {
			Invoices []struct {
				Status string `json:"status"`
				URL    string `json:"hosted_url"`
			} `json:"invoices"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(ask(t, first, paidByAcme)), &paid); err != nil || len(paid.Data.Invoices) != 1 || paid.Data.Invoices[0].Status != "paid" {
		t.Fatalf("%+v, %v", paid, err)
	}
	if got := status(t, paid.Data.Invoices[0].URL); got != http.StatusOK {
		t.Errorf("the invoice's page, %s, answers %d", paid.Data.Invoices[0].URL, got)
	}
	stop()
	second, stop := start(t, dir)
	defer stop()
	if said := ask(t, second, `mutation { cancelSubscription(atPeriodEnd: true) { status cancelAtPeriodEnd } }`); said != `{"data":{"cancelSubscription":{"status":"active","cancelAtPeriodEnd":true}}}` {
		t.Errorf("after another start, canceling is answered %s", said)
	}
	const updated = `SELECT count(*) || ' ' || coalesce(min(o.state), 'unknown') FROM billing.stripe_events e
		JOIN billing.stripe_objects o ON o.object_id = e.object_id WHERE e.type = 'customer.subscription.updated' AND e.payload LIKE '%"cancel_at_period_end":true%'`
	becomes(t, second, "1 applied", updated) // delivered to the port of now
}

func TestALiveKeyIsRefused(t *testing.T) {
	t.Parallel() // they wait more than they work
	for _, key := range []string{"sk_live_hunter2hunter2", "rk_live_hunter2hunter2"} {
		err := dev.Run(t.Context(), dev.Options{
			DataDir: t.TempDir(), Log: io.Discard, Progress: func(string) {}, Ready: func(*dev.Environment) { t.Error("it serves") },
			Settings: func(name string) string { return map[string]string{"STRIPE_SECRET_KEY": key}[name] },
		})
		if err == nil || !strings.Contains(err.Error(), "STRIPE_SECRET_KEY") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

func TestBillingIsWhatTheOperatorSays(t *testing.T) {
	t.Parallel() // they wait more than they work
	for name, c := range map[string]struct {
		settings map[string]string
		hook     int    // what /webhooks/stripe answers to nothing
		key      string // in dev.env
	}{
		"off":                    {map[string]string{"BILLING_ENABLED": "false"}, http.StatusNotFound, ""},
		"with a key of Stripe's": {map[string]string{"STRIPE_SECRET_KEY": "sk_test_hunter2hunter2"}, http.StatusUnsupportedMediaType, ""},
		"with the stand-in":      {nil, http.StatusUnsupportedMediaType, "sk_test_"},
	} {
		dir, code := t.TempDir(), 0
		var text []byte
		ctx, cancel := context.WithCancel(t.Context())
		err := dev.Run(ctx, dev.Options{
			DataDir: dir, Log: io.Discard, Progress: func(string) {}, Settings: func(name string) string { return c.settings[name] },
			Ready: func(e *dev.Environment) {
				defer cancel()
				answer, err := http.Post(e.Get("SERVER_URL")+"/webhooks/stripe", "", http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
				code = answer.StatusCode
				text, _ = os.ReadFile(filepath.Join(dir, "dev.env"))
			},
		})
		if err != nil || code != c.hook {
			t.Errorf("%s: the webhook answers %d, it ended with %v", name, code, err)
		}
		if told := strings.Contains(string(text), "\nSTRIPE_SECRET_KEY="+c.key); told != (c.key != "") || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: dev.env holds\n%s", name, text)
		}
	}
}
