package dev

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/local/stripe/deliver"
)

const (
	stripePath  = "/dev/stripe"
	publishable = "pk_test_standin_for_stripe"
)

// cashier is the stand-in for Stripe, and what brings its events to the server.
type cashier struct {
	server   *stripe.Server
	messages *deliver.Deliverer
	secret   string // that the server's endpoint is told by
}

// startStripe makes the stand-in, unless the operator named a key of the real one or
// switched billing off. The stand-in's own key may come back through dev.env.
func (w *world) startStripe() error {
	key := w.setting("STRIPE_SECRET_KEY")
	if strings.HasPrefix(key, "sk_live_") || strings.HasPrefix(key, "rk_live_") {
		return fmt.Errorf("STRIPE_SECRET_KEY is of live mode, where money is real: unset it, or name one of test mode")
	}
	on, _ := strconv.ParseBool(w.getenv("BILLING_ENABLED")) // another word is for the server's check of its settings
	if !on || key != "" && key != w.secrets.Stripe {
		return nil
	}
	c, log := &cashier{}, slog.New(slog.NewJSONHandler(w.options.Log, nil))
	c.messages = deliver.New(deliver.Config{Endpoints: func() []stripe.Endpoint { return c.server.Endpoints() }, Log: log})
	var err error
	c.server, err = stripe.New(stripe.Config{
		Key: w.secrets.Stripe, URL: func() string { return w.url + stripePath }, File: filepath.Join(w.dir, "stripe.json"),
		Deliver: c.messages.Post, Log: log,
	})
	if err != nil {
		return err
	}
	if c.secret, err = c.endpoint(w.secrets.Stripe, w.url+"/webhooks/stripe"); err != nil {
		return err
	}
	w.stripe = c
	return nil
}

// endpoint has the stand-in tell the server of something, and returns the secret that it
// signs with: the server has to know it before it can say of what it wants to be told. The
// endpoint of an earlier run is kept, for another port.
func (c *cashier) endpoint(key, address string) (string, error) {
	path, form := "/v1/webhook_endpoints", url.Values{"url": {address}}
	if known := c.server.Endpoints(); len(known) > 0 {
		path += "/" + known[0].ID
	} else {
		form.Set("api_version", stripe.Version)
		form.Set("enabled_events[]", "customer.created")
	}
	request, err := http.NewRequest(http.MethodPost, "http://stripe.invalid"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.server.Transport().RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the stand-in for Stripe refuses the webhook endpoint: %s", said)
	}
	return c.server.Endpoints()[0].Secret, nil
}

// told is what somebody reads who opens the stand-in's address.
const told = `This is a local stand-in for Stripe: no account, no money.

  API     %s/v1, with STRIPE_SECRET_KEY of dev.env: customers, subscriptions, invoices, test clocks and the rest
  Cards   pm_card_visa pays; pm_card_chargeDeclined is refused; pm_card_chargeCustomerFail fails once it is charged
  Pages   a checkout, the portal and each invoice have one, at the url that the API tells

To buy as a tenant: bin/nself billing --help
`

// cashierHandler serves the stand-in, and at its root what it is.
func (w *world) cashierHandler() http.Handler {
	inner := http.StripPrefix(stripePath, w.stripe.server.Handler())
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.TrimSuffix(r.URL.Path, "/") != stripePath {
			inner.ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(rw, told, w.url+stripePath) // who is gone reads nothing
	})
}

// bill has time pass at the stand-in, and its events delivered, until ctx ends.
func (w *world) bill(ctx context.Context, log *slog.Logger) *sync.WaitGroup {
	var running sync.WaitGroup
	if w.stripe == nil {
		return &running
	}
	running.Go(func() { w.stripe.messages.Run(ctx) })
	running.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			if err := w.stripe.server.Tick(ctx); err != nil {
				log.Error("the stand-in for Stripe is not saved", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return &running
}

// billingSetting is what is decided here of the settings of billing.
func (w *world) billingSetting(name string) (value string, decided bool) {
	if name == "BILLING_ENABLED" && w.setting(name) == "" {
		return "true", true
	}
	if w.stripe == nil {
		return "", false
	}
	switch name {
	case "STRIPE_SECRET_KEY":
		return w.secrets.Stripe, true
	case "STRIPE_PUBLISHABLE_KEY":
		return publishable, true
	case "STRIPE_WEBHOOK_SECRET":
		return w.stripe.secret, true
	case "STRIPE_API_URL":
		return w.url + stripePath, true
	}
	return "", false
}
