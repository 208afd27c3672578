package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// measure counts and times requests by route, never by path: a path is the caller's to
// choose, and each new one would be a new series.
func measure(registry *prometheus.Registry) func(http.Handler) http.Handler {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "nself_http_request_duration_seconds", Help: "Time to answer a request.", Buckets: prometheus.DefBuckets,
	}, []string{"route", "status"})
	registry.MustRegister(duration)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			began := time.Now()
			next.ServeHTTP(wrapped, r)
			route := "other"
			if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" && !strings.HasSuffix(pattern, "*") {
				route = pattern
			}
			duration.WithLabelValues(route, strconv.Itoa(wrapped.Status())).Observe(time.Since(began).Seconds())
		})
	}
}
