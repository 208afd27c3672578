package stripe_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nself/tenancy/internal/local/stripe"
)

func TestOnlyTheKeyAndTheVersionAreLetIn(t *testing.T) {
	w := start(t)
	for name, c := range map[string]struct {
		key, version string
		want         int
	}{
		"the key":         {testKey, stripe.Version, 200},
		"no version":      {testKey, "", 200},
		"another version": {testKey, "2024-06-20", 400},
		"another key":     {"sk_test_other", stripe.Version, 401},
		"a live key":      {"sk_live_standin", stripe.Version, 401},
		"no key":          {"", stripe.Version, 401},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://stripe.test/v1/account", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth(c.key, "")
			if c.version != "" {
				r.Header.Set("Stripe-Version", c.version)
			}
			reply, err := w.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reply.Body.Close() }()
			w.want("the status", reply.StatusCode, c.want)
		})
	}
}

func TestOverTheWire(t *testing.T) {
	var kind atomic.Int64
	w := start(t, func(c *stripe.Config) {
		c.Fault = func(stripe.Call) stripe.Fault { return stripe.Fault{Kind: stripe.FaultKind(kind.Load())} }
	})
	wire := httptest.NewServer(w.server.Handler())
	defer wire.Close()
	post := func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, wire.URL+"/v1/customers", strings.NewReader("name=a&metadata[tenant_id]=t"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+testKey)
		return http.DefaultClient.Do(r)
	}
	reply, err := post()
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	w.want("the status", reply.StatusCode, 200)
	w.want("a request id", strings.HasPrefix(reply.Header.Get("Request-Id"), "req_"), true)
	kind.Store(int64(stripe.FaultDropAfter))
	if reply, err := post(); err == nil {
		_ = reply.Body.Close()
		t.Fatal("the connection was not dropped")
	}
	kind.Store(int64(stripe.FaultNone))
	w.want("the customers", len(at(w.get("/v1/customers"), "data").([]any)), 2)
}
