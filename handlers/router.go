// Package handlers is the server's whole HTTP surface on one page: which doors there
// are, and what every request passes on its way to one.
package handlers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/handlers/events"
	"github.com/nself/tenancy/handlers/ops"
	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/stripehook"
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/handlers/usage"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/quota"
)

// Config is what the doors need.
type Config struct {
	DB             *pgxpool.Pool
	Actions        actions.Config
	Tokens         tokens.Config
	Quota          *quota.Decider                    // tells Decided itself; nil: every decision is the database's
	Decided        func(meter string, allowed bool)  // told of each decision that was made in a transaction, after it; nil: nobody is
	Warned         func(meter string, threshold int) // told of each quota warning that was committed; nil: nobody is
	Stripe         *stripehook.Config                // nil: BILLING_ENABLED is false, and /webhooks/stripe is not there
	WebhookSecrets []string                          // any of them opens /actions, /events, /usage and /quota
	MaxBodyBytes   int64                             // of a request; /actions and /usage take 8 MiB where it is less
	RequestTimeout time.Duration
	Ready          []ops.Check
	Metrics        *prometheus.Registry
	Log            *slog.Logger
}

// New builds the router. Order matters: the log sees every request, then its size and
// time are bounded, then the secret opens the door.
func New(c Config) *chi.Mux {
	r := chi.NewRouter()
	r.Use(
		requestlog.Middleware(c.Log),
		measure(c.Metrics),
		recovered,
		deadline(c.RequestTimeout),
	)
	r.NotFound(nothing)
	r.MethodNotAllowed(nothing)
	small, large := middleware.RequestSize(c.MaxBodyBytes), middleware.RequestSize(max(c.MaxBodyBytes, batchBytes))
	secrets := hashed(c.WebhookSecrets)
	hooks := events.Config{DB: c.DB, Outbox: c.Actions.Outbox, Warned: c.Warned}
	c.Tokens.DB, c.Tokens.Log = c.DB, c.Log
	if c.Decided == nil {
		c.Decided = func(string, bool) {}
	}
	c.Actions.Replay, c.Actions.Take, c.Actions.Decided = events.Replay(hooks), c.take, c.Decided
	services := usage.Config{DB: c.DB, Verifier: c.Tokens.Verifier, HasSecret: secrets.shown, Take: c.take}

	r.Group(func(r chi.Router) {
		r.Use(small)
		r.Get("/healthz", ops.Health)
		r.Get("/readyz", ops.Ready(c.Ready))
		r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
		tokens.Mount(r, c.Tokens)
	})
	r.With(small, secrets.guard(events.Refuse)).Mount("/events", events.Handler(hooks))
	r.With(large, secrets.guard(actions.Refuse)).Mount("/actions", actions.Handler(c.DB, actions.Table(c.Actions)))
	r.With(large).Handle("/usage", usage.Handler(services))
	r.With(small).Handle("/quota/take", usage.TakeHandler(services))
	if c.Stripe != nil {
		r.Post("/webhooks/stripe", stripehook.Handler(*c.Stripe))
	}
	return r
}

// take decides what is asked for, in memory where it can.
func (c Config) take(ctx context.Context, ask quota.Ask) (quota.Decision, error) {
	if c.Quota != nil {
		return c.Quota.Take(ctx, ask)
	}
	decided, err := quota.Take(ctx, c.DB, ask)
	if err == nil {
		c.Decided(decided.Meter, decided.Allowed)
	}
	return decided, err
}

// batchBytes is what doors that take ten thousand events at once take at least.
const batchBytes = 8 << 20

// recovered answers a panic that no door's own dialect caught.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				f := fault.From(requestlog.Panic(r.Context(), p))
				requestlog.Fault(r.Context(), f)
				actions.Refuse(w, f)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// nothing answers for what no door serves.
func nothing(w http.ResponseWriter, r *http.Request) {
	actions.Refuse(w, fault.New(fault.NotFound, "there is nothing at %s %.120q", r.Method, r.URL.Path))
}

// deadline ends what a request waits for; the door it came through answers in its words.
func deadline(limit time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// secrets are the hashes of those that open a door. Hashes are compared, in constant time,
// so that not even a secret's length shows.
type secrets [][sha256.Size]byte

func hashed(plain []string) secrets {
	hashes := make(secrets, len(plain))
	for i, s := range plain {
		hashes[i] = sha256.Sum256([]byte(s))
	}
	return hashes
}

// shown reports whether a request carries one of the secrets.
func (s secrets) shown(r *http.Request) bool {
	given := sha256.Sum256([]byte(r.Header.Get("X-Webhook-Secret")))
	match := 0
	for _, hash := range s {
		match |= subtle.ConstantTimeCompare(given[:], hash[:])
	}
	return match == 1
}

// guard lets a request pass that carries one; others are refused in the door's own dialect.
func (s secrets) guard(refuse func(http.ResponseWriter, *fault.Fault)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.shown(r) {
				next.ServeHTTP(w, r)
				return
			}
			f := fault.New(fault.BadWebhookSecret, "the header X-Webhook-Secret is missing or wrong")
			requestlog.Fault(r.Context(), f)
			refuse(w, f)
		})
	}
}
