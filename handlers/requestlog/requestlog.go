// Package requestlog gives every request an id and one log line, and lets the doors add
// to that line what they learn (tenant, action, fault). The id and the trace id are on
// every line logged for the request.
package requestlog

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// record is the one request under way: its logger and what the doors have added.
type record struct {
	id     string
	logger *slog.Logger

	mu     sync.Mutex
	tenant string
	attrs  []any
}

type contextKey struct{}

// Middleware opens the record, answers with X-Request-Id and logs the request when it
// is done. A caller's own X-Request-Id is kept where it is a plain word.
func Middleware(logger *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := requestID(r)
			rec := &record{id: name, logger: logger.With("request_id", name, "trace_id", traceID(r))}
			w.Header().Set("X-Request-Id", name)
			wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			began := time.Now()
			next.ServeHTTP(wrapped, r.WithContext(context.WithValue(r.Context(), contextKey{}, rec)))
			rec.finish(r, wrapped, time.Since(began))
		})
	}
}

func (rec *record) finish(r *http.Request, w middleware.WrapResponseWriter, took time.Duration) {
	level := slog.LevelInfo
	switch status := w.Status(); {
	case status >= 500:
		level = slog.LevelError
	case quiet[r.URL.Path]:
		level = slog.LevelDebug
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.line().Log(r.Context(), level, "request",
		"method", r.Method, "path", r.URL.Path, "status", w.Status(), "bytes", w.BytesWritten(),
		"duration_ms", float64(took.Microseconds())/1000)
}

// quiet are the paths that machines ask all the time.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); plainWord.MatchString(given) {
		return given
	}
	return uuid.NewString()
}

var traceForm = regexp.MustCompile(`^[0-9a-f]{16,32}$`)

// traceID reads the W3C traceparent or Zipkin's B3 header, whichever Hasura sends.
func traceID(r *http.Request) string {
	trace := r.Header.Get("X-B3-TraceId")
	if parts := strings.Split(r.Header.Get("Traceparent"), "-"); len(parts) == 4 {
		trace = parts[1]
	}
	if !traceForm.MatchString(trace) {
		return ""
	}
	return trace
}

func of(ctx context.Context) *record {
	rec, ok := ctx.Value(contextKey{}).(*record)
	if !ok {
		return &record{logger: slog.Default()}
	}
	return rec
}

// ID is the request's id; empty outside a request.
func ID(ctx context.Context) string { return of(ctx).id }

// line is the logger with all that is known of the request so far.
func (rec *record) line() *slog.Logger {
	return rec.logger.With("tenant_id", rec.tenant).With(rec.attrs...)
}

// Tenant says whose request it is; lines of a request without one have an empty
// tenant_id.
func Tenant(ctx context.Context, tenant id.Tenant) {
	rec := of(ctx)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.tenant = tenant.String()
}

// Add puts attributes on the request's log line.
func Add(ctx context.Context, attrs ...slog.Attr) {
	rec := of(ctx)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, attr := range attrs {
		rec.attrs = append(rec.attrs, attr)
	}
}

// Fault puts a fault on the request's line, with its hidden cause where it has one, and
// without what looks like a credential or an address in it.
func Fault(ctx context.Context, f *fault.Fault) {
	Add(ctx, slog.String("fault", string(f.Code)))
	if f.Unwrap() != nil {
		Add(ctx, slog.String("error", scrubbed(f.Error())))
	}
}

// Panic turns a recovered panic into an error and logs where it came from.
func Panic(ctx context.Context, recovered any) error {
	rec := of(ctx)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.line().ErrorContext(ctx, "panic", "value", scrubbed(fmt.Sprint(recovered)), "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", recovered)
}
