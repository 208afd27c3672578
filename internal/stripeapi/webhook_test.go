package stripeapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76/webhook"

	standin "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/local/stripe/deliver"
	"github.com/nself/tenancy/internal/stripeapi"
)

// What the stand-in tells and deliver brings is read here by Stripe's own library.
func TestDeliveredEventsAreSignedAndFormedAsStripes(t *testing.T) {
	var (
		mu      sync.Mutex
		secrets = map[string]string{}
		got     []string
	)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		event, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), secrets[r.URL.Path])
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		if event.APIVersion != stripeapi.Version || event.Created == 0 || event.Data == nil || event.Data.Object["id"] == nil || !strings.HasPrefix(event.ID, "evt_") {
			t.Errorf("%s", body)
		}
		got = append(got, r.URL.Path+" "+string(event.Type))
	}))
	defer hook.Close()
	var d *deliver.Deliverer
	server, err := standin.New(standin.Config{Seed: 1, Deliver: func(e standin.Event) { d.Post(e) }})
	if err != nil {
		t.Fatal(err)
	}
	d = deliver.New(deliver.Config{Endpoints: server.Endpoints})
	c := newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: server.Transport()}})
	for path, events := range map[string][]string{"/all": {"*"}, "/cards": {"payment_method.attached"}} {
		endpoint := must(c.CreateWebhookEndpoint(t.Context(), path, hook.URL+path, events))(t)
		secrets[path] = endpoint.Secret
	}
	customer := must(c.CreateCustomer(t.Context(), "1", stripeapi.CustomerInput{Email: "a@example.com"}))(t)
	must(c.AttachPaymentMethod(t.Context(), "2", "pm_card_visa", customer.ID))(t)
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"/all customer.created", "/all payment_method.attached", "/cards payment_method.attached"}, got); diff != "" {
		t.Error(diff)
	}
}
