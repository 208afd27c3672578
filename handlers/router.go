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
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/fault"
)

// Config is what the doors need.
type Config struct {
	DB             *pgxpool.Pool
	Actions        actions.Config
	Tokens         tokens.Config
	WebhookSecrets []string // any of them opens /actions and /events
	MaxBodyBytes   int64
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
		middleware.RequestSize(c.MaxBodyBytes),
		deadline(c.RequestTimeout),
	)
	r.NotFound(nothing)
	r.MethodNotAllowed(nothing)
	r.Get("/healthz", ops.Health)
	r.Get("/readyz", ops.Ready(c.Ready))
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	c.Tokens.DB, c.Tokens.Log = c.DB, c.Log
	tokens.Mount(r, c.Tokens)

	r.With(secret(c.WebhookSecrets, actions.Refuse)).Mount("/actions", actions.Handler(c.DB, actions.Table(c.Actions)))
	r.With(secret(c.WebhookSecrets, events.Refuse)).Mount("/events", events.Handler(c.DB, events.Table()))
	return r
}

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

// secret lets a request pass that carries one of the secrets; others are refused in the
// door's own dialect. Hashes are compared, in constant time, so that not even a
// secret's length shows.
func secret(secrets []string, refuse func(http.ResponseWriter, *fault.Fault)) func(http.Handler) http.Handler {
	hashes := make([][sha256.Size]byte, len(secrets))
	for i, s := range secrets {
		hashes[i] = sha256.Sum256([]byte(s))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			given := sha256.Sum256([]byte(r.Header.Get("X-Webhook-Secret")))
			match := 0
			for _, hash := range hashes {
				match |= subtle.ConstantTimeCompare(given[:], hash[:])
			}
			if match == 1 {
				next.ServeHTTP(w, r)
				return
			}
			f := fault.New(fault.BadWebhookSecret, "the header X-Webhook-Secret is missing or wrong")
			requestlog.Fault(r.Context(), f)
			refuse(w, f)
		})
	}
}
