// Package app wires the production server from its settings: the one place that knows
// every part. cmd/server runs it; the local environment runs the same.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/handlers/ops"
	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/listen"
	"github.com/nself/tenancy/internal/mailer"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/token"
)

// App is the server without its listener.
type App struct {
	DB     *pgxpool.Pool // as nself_server; Serve closes it in the end
	Minter *token.Minter
	Quota  *quota.Decider // decides while Serve runs
	Router *chi.Mux
	Log    *slog.Logger

	changes *listen.Listener
	sales   sales
	places  places
	work    jobs.Config
}

// accessChannel is where the database tells that somebody's access changed.
const accessChannel = "nself_access"

// verified is how many tokens a server keeps in memory as verified.
const verified = 20_000

// New wires the server. more are checks beyond the database's that must pass before it
// calls itself ready. Nothing runs in the background before Serve.
func New(ctx context.Context, s config.Server, logs io.Writer, more ...ops.Check) (*App, error) {
	box, err := seal.New(s.SealingKey())
	if err != nil {
		return nil, err
	}
	minter, err := token.New(token.Config{
		Issuer: s.JWTIssuer, Audience: s.JWTAudience, TTL: s.JWTTTL, Algorithm: s.JWTAlgorithm, EncryptionKey: s.SealingKey(),
		RefreshTTL: s.AuthRefreshTTL, SessionTTL: s.AuthSessionTTL,
	})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: s.LogLevel}))
	providers, err := provider.New(ctx, s.Providers(), log)
	if err != nil {
		return nil, err
	}
	post, sender, err := mail(s, box)
	if err != nil {
		return nil, err
	}
	db, err := openWithKey(ctx, s.DatabaseURL, minter)
	if err != nil {
		return nil, err
	}
	desk := signin.New(signin.Config{
		Outbox: post, Minter: minter, Providers: providers, PublicURL: s.PublicURL, BaseDomain: s.BaseDomain, SignUp: s.AuthSignup == "open",
	})
	changes := listen.New(s.ListenURL, accessChannel, log)
	verifier := token.NewVerifier(token.VerifierConfig{Issuer: s.JWTIssuer, Audience: s.JWTAudience, DB: db, Changes: changes, Size: verified})
	registry := metrics(db)
	decided, warned := decisions(registry), warnings(registry)
	sold, err := sell(s, parts{db: db, post: post, log: log, registry: registry})
	if err != nil {
		db.Close()
		return nil, err
	}
	placed, err := place(s, placeParts{db: db, box: box, log: log})
	if err != nil {
		db.Close()
		return nil, err
	}
	decider := quota.New(quota.DeciderConfig{DB: db, Changes: changes, Holder: holder(), Log: log, Decided: decided})
	return &App{
		DB: db, Minter: minter, Log: log, changes: changes, Quota: decider, sales: sold, places: placed,
		work: jobs.Config{DB: db, Box: box, Mailer: sender, Log: log, Metrics: registry,
			Routines: slices.Concat(routines(s, post, warned), sold.routines, placed.routines), Tasks: slices.Concat(sold.tasks, placed.tasks),
			Deliver: func(ctx context.Context, m queue.Mail) (bool, error) { return desk.Deliver(ctx, db, m) },
		},
		Router: handlers.New(handlers.Config{
			DB: db, Quota: decider, Decided: decided, Warned: warned, Stripe: sold.hook,
			Actions: actions.Config{Tenants: s.TenantDefaults(), Minter: minter, BaseDomain: s.BaseDomain,
				Outbox: post, Links: tokens.Links(s.PublicURL), Billing: sold.desk, StripeSync: sold.sync,
				Resources: placed.keeper, Placed: placed.placed},
			Tokens: tokens.Config{Minter: minter, Desk: desk, Verifier: verifier,
				Issuer: s.JWTIssuer, PublicURL: s.PublicURL, BaseDomain: s.BaseDomain, RefreshTTL: s.AuthRefreshTTL, TrustedProxies: s.Proxies()},
			WebhookSecrets: s.WebhookSecrets, MaxBodyBytes: s.MaxBodyBytes, RequestTimeout: s.RequestTimeout,
			Ready: append([]ops.Check{{Name: "database", Run: reachable(db)}, {Name: "migrations", Run: migrationsCurrent(db)}}, more...),
			Log:   log, Metrics: registry,
		}),
	}, nil
}

// openWithKey is the database, with a key in it to sign tokens with.
func openWithKey(ctx context.Context, url string, minter *token.Minter) (*pgxpool.Pool, error) {
	db, err := pg.OpenServer(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := minter.EnsureKey(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// mail is both ends of the way a mail takes; nil where the settings name no mail server.
func mail(s config.Server, box *seal.Box) (*queue.Outbox, *mailer.Mailer, error) {
	if s.SMTPHost == "" {
		return nil, nil, nil
	}
	sender, err := mailer.New(s.Mailer())
	if err != nil {
		return nil, nil, err
	}
	post, err := queue.New(box)
	return post, sender, err
}

// holder names this process, for people who look at the leases.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
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
