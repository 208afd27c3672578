// Package stripeapi is the only caller of Stripe: what the flows ask of it and change
// there, in the words of this program. It knows no rules and keeps no state. Each method is
// one call, each list as many as it has pages; what went wrong is an *Error that says what
// may be done about it. Amounts are in minor units, times in UTC with whole seconds.
//
// Writes carry the idempotency key that they are given: the same key with the same
// arguments is the same write, for as long as Stripe keeps it (24 hours).
package stripeapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// Version is the version of Stripe's API that is spoken, and that webhook endpoints made
// here are pinned to.
const Version = stripe.APIVersion

// patience is how long a call may take where Config.HTTP does not say.
const patience = 20 * time.Second

// Config is how Stripe is reached.
type Config struct {
	Key     string       // a secret key (sk_…) or a restricted one (rk_…), of test or live mode
	URL     string       // empty: Stripe's own
	HTTP    *http.Client // nil: one of its own, which waits 20 s and follows no redirects
	Retries int64        // how often a call is made again, by the same key, where no answer or a busy one came
}

// Client calls Stripe. Its methods may be called from several goroutines.
type Client struct {
	api      *client.API
	once     *client.API // makes no call again
	livemode bool
}

var secretKey = regexp.MustCompile(`^(sk|rk)_(test|live)_[A-Za-z0-9_]+$`)

// New checks the configuration and calls nobody. Its errors do not carry the key.
func New(c Config) (*Client, error) {
	mode := secretKey.FindStringSubmatch(c.Key)
	if mode == nil {
		return nil, errors.New("stripeapi: the key is no secret key of Stripe: they begin with sk_test_, sk_live_, rk_test_ or rk_live_")
	}
	live := mode[2] == "live"
	if err := checkURL(c.URL, live); err != nil {
		return nil, err
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	config := &stripe.BackendConfig{
		EnableTelemetry:   stripe.Bool(false),
		HTTPClient:        discreet(*c.HTTP),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(c.Retries),
	}
	if c.URL != "" {
		config.URL = stripe.String(c.URL)
	}
	once := *config
	once.MaxNetworkRetries = stripe.Int64(0)
	return &Client{api: caller(c.Key, config), once: caller(c.Key, &once), livemode: live}, nil
}

func caller(key string, config *stripe.BackendConfig) *client.API {
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, config)
	return client.New(key, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
}

// discreet has the client keep to itself what machine this is: the library tells it in a
// header, whether telemetry is on or not.
func discreet(c http.Client) *http.Client {
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = withoutMachine{c.Transport}
	return &c
}

type withoutMachine struct{ transport http.RoundTripper }

// RoundTrip makes the call without the header.
func (w withoutMachine) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("X-Stripe-Client-User-Agent")
	return w.transport.RoundTrip(r)
}

func checkURL(address string, live bool) error {
	if address == "" {
		return nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return fmt.Errorf("stripeapi: %.80q is no address of an API: give one such as https://api.stripe.com, or none", address)
	}
	if parsed.User != nil || strings.ContainsAny(address, "?#") {
		return fmt.Errorf("stripeapi: the address on %s has more than a host and a path: leave the rest away", parsed.Host)
	}
	if live && parsed.Scheme != "https" {
		return fmt.Errorf("stripeapi: a live key is not sent to %.80q in the clear: use https", address)
	}
	return nil
}

// Livemode says whether the key is of live mode, where money is real.
func (c *Client) Livemode() bool { return c.livemode }
