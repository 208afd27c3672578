// Package app wires the production server from its settings: the one place that knows
// every part. cmd/server runs it; the local environment runs the same.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/handlers/ops"
	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/token"
)

// App is the server without its listener.
type App struct {
	DB     *pgxpool.Pool // as nself_server; Close it last
	Minter *token.Minter
	Router *chi.Mux
	Log    *slog.Logger
}

// New wires the server. more are checks beyond the database's that must pass before it
// calls itself ready.
func New(ctx context.Context, s config.Server, logs io.Writer, more ...ops.Check) (*App, error) {
	minter, err := token.New(token.Config{
		Issuer: s.JWTIssuer, Audience: s.JWTAudience, TTL: s.JWTTTL, Algorithm: s.JWTAlgorithm, EncryptionKey: s.SealingKey(),
	})
	if err != nil {
		return nil, err
	}
	db, err := pg.OpenServer(ctx, s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	if err := minter.EnsureKey(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: s.LogLevel}))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	router := handlers.New(handlers.Config{
		DB:             db,
		Actions:        actions.Config{Tenants: s.TenantDefaults(), Minter: minter, BaseDomain: s.BaseDomain},
		WebhookSecrets: s.WebhookSecrets, MaxBodyBytes: s.MaxBodyBytes, RequestTimeout: s.RequestTimeout,
		Ready: append([]ops.Check{{Name: "database", Run: reachable(db)}, {Name: "migrations", Run: migrationsCurrent(db)}}, more...),
		Log:   log, Metrics: metrics,
	})
	return &App{DB: db, Minter: minter, Router: router, Log: log}, nil
}

// reachable tells the log what is wrong, and anyone who asks only that something is.
func reachable(db *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := db.Ping(ctx); err != nil {
			requestlog.Add(ctx, slog.String("error", err.Error()))
			return errors.New("out of reach")
		}
		return nil
	}
}

func migrationsCurrent(db *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		pending, err := migrate.Pending(ctx, db)
		switch {
		case err != nil:
			return errors.New("unknown")
		case len(pending) > 0:
			return fmt.Errorf("%d pending, first %d_%s; run `server migrate`", len(pending), pending[0].Version, pending[0].Name)
		}
		return nil
	}
}

// drainTime is how long requests under way may take to end once the server stops.
const drainTime = 20 * time.Second

// ListenAndDrain serves until ctx ends, then lets requests under way finish.
func ListenAndDrain(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
