package stripe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
)

const testKey = "sk_test_standin"

// world is a stand-in with a time of its own, and a client of it.
type world struct {
	testing.TB
	server *stripe.Server
	client *http.Client
	now    time.Time
}

// answer is what a call was answered.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func start(t testing.TB, change ...func(*stripe.Config)) *world {
	t.Helper()
	w := &world{TB: t, now: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)}
	c := stripe.Config{Key: testKey, Now: func() time.Time { return w.now }, Seed: 7, URL: func() string { return "http://stripe.test" }}
	for _, f := range change {
		f(&c)
	}
	server, err := stripe.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.client = server, &http.Client{Transport: server.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

func encode(pairs []string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// try makes a call; key is its Idempotency-Key, "" for none.
func (w *world) try(method, path, key string, pairs ...string) (answer, error) {
	w.Helper()
	target, body := "http://stripe.test"+path, io.Reader(strings.NewReader(encode(pairs)))
	if method == http.MethodGet {
		target, body = target+"?"+encode(pairs), nil
	}
	r, err := http.NewRequestWithContext(w.Context(), method, target, body)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testKey)
	r.Header.Set("Stripe-Version", stripe.Version)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	reply, err := w.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = reply.Body.Close() }()
	a := answer{status: reply.StatusCode, header: reply.Header}
	if err := json.NewDecoder(reply.Body).Decode(&a.body); err != nil {
		w.Fatalf("%s %s answered no JSON: %v", method, path, err)
	}
	return a, nil
}

func (w *world) do(method, path string, pairs ...string) map[string]any {
	w.Helper()
	a, err := w.try(method, path, "", pairs...)
	if err != nil || a.status != http.StatusOK {
		w.Fatalf("%s %s %v: %d %v %v", method, path, pairs, a.status, a.body, err)
	}
	return a.body
}

func (w *world) post(path string, pairs ...string) map[string]any {
	w.Helper()
	return w.do(http.MethodPost, path, pairs...)
}

func (w *world) get(path string, pairs ...string) map[string]any {
	w.Helper()
	return w.do(http.MethodGet, path, pairs...)
}

// refused makes a call that has to fail, and returns the error's code, or else its message.
func (w *world) refused(status int, method, path string, pairs ...string) string {
	w.Helper()
	a, err := w.try(method, path, "", pairs...)
	if err != nil || a.status != status {
		w.Fatalf("%s %s %v: %d %v %v, want %d", method, path, pairs, a.status, a.body, err, status)
	}
	if code := text(a.body, "error", "code"); code != "" {
		return code
	}
	return text(a.body, "error", "message")
}

// at follows names and indexes into a reply.
func at(v any, steps ...any) any {
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[step]
		case int:
			l, ok := v.([]any)
			if !ok || step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func text(v any, steps ...any) string {
	s, _ := at(v, steps...).(string)
	return s
}

func number(v any, steps ...any) int64 {
	n, _ := at(v, steps...).(float64)
	return int64(n)
}

func (w *world) want(what string, got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Fatalf("%s is %v, want %v", what, got, want)
	}
}

// pass moves the time on, and lets the stand-in do what came due.
func (w *world) pass(d time.Duration) {
	w.Helper()
	w.now = w.now.Add(d)
	if err := w.server.Tick(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// until moves the time to a date, at the hour at which the world began.
func (w *world) until(year int, month time.Month, day int) {
	w.Helper()
	w.pass(time.Date(year, month, day, 10, 0, 0, 0, time.UTC).Sub(w.now))
}

// price makes a price of a product of its own.
func (w *world) price(amount int64, pairs ...string) string {
	w.Helper()
	product := text(w.post("/v1/products", "name", "Pro"), "id")
	fields := append([]string{"product", product, "unit_amount", fmt.Sprint(amount)}, pairs...)
	if !strings.Contains(strings.Join(pairs, " "), "recurring") {
		fields = append(fields, "recurring[interval]", "month")
	}
	if !strings.Contains(strings.Join(pairs, " "), "currency") {
		fields = append(fields, "currency", "usd")
	}
	return text(w.post("/v1/prices", fields...), "id")
}

// customer makes a customer whose card is the one named; "" is one without.
func (w *world) customer(card string, pairs ...string) string {
	w.Helper()
	id := text(w.post("/v1/customers", append([]string{"email", "a@example.com"}, pairs...)...), "id")
	if card != "" {
		w.card(id, card)
	}
	return id
}

// card makes a card the default one of a customer.
func (w *world) card(customer, name string) string {
	w.Helper()
	method := text(w.post("/v1/payment_methods/"+name+"/attach", "customer", customer), "id")
	w.post("/v1/customers/"+customer, "invoice_settings[default_payment_method]", method)
	return method
}

func (w *world) subscribe(customer, price string, pairs ...string) string {
	w.Helper()
	return text(w.post("/v1/subscriptions", append([]string{"customer", customer, "items[0][price]", price}, pairs...)...), "id")
}

func (w *world) status(sub string) string {
	w.Helper()
	return text(w.get("/v1/subscriptions/"+sub), "status")
}

// kinds are the types of the events since the n-th.
func (w *world) kinds(from int) string {
	var kinds []string
	for _, e := range w.server.Events()[from:] {
		kinds = append(kinds, e.Type)
	}
	return strings.Join(kinds, " ")
}

const day = 24 * time.Hour
