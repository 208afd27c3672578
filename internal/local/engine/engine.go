package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/engine/action"
	"github.com/nself/tenancy/internal/local/engine/auth"
	"github.com/nself/tenancy/internal/local/engine/eventlog"
	"github.com/nself/tenancy/internal/metadata"
)

// Config says what to serve and to whom.
type Config struct {
	// Metadata is what is served, together with what replace_metadata stored in the
	// database earlier: of an object in both, this one stands.
	Metadata    *metadata.Metadata
	DatabaseURL string // connects as nself_hasura
	AdminSecret string // never empty
	JWKSURL     string // empty: only the admin secret lets anyone in
	// Issuer and Audience are checked only where a token has the claim, as Hasura does.
	Issuer, Audience string
	// Env is the engine's environment: {{TEMPLATES}}, value_from_env, and
	// HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE.
	Env           func(string) string
	Log           *slog.Logger
	DevMode       bool          // extensions.internal for everyone; admin always gets it
	EventInterval time.Duration // between fetches of events; 0 is one second
}

// Engine is a running stand-in.
type Engine struct {
	config  Config
	pool    *pgxpool.Pool
	auth    *auth.Authenticator
	actions *action.Caller
	events  *eventlog.Log
	change  sync.Mutex // held while another state is made and put in the place of this one
	state   atomic.Pointer[state]
	stop    context.CancelFunc
}

// Start connects, lays the metadata given over what the database has stored, reads the
// catalog, builds the schemas, fetches the JWKS (which must be up, or come up within about
// six seconds), installs the event triggers and begins to deliver. Metadata that does not fit the database is no error: it is left
// out and listed by get_inconsistent_metadata. ctx bounds the start alone.
func Start(ctx context.Context, config Config) (*Engine, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	pool, err := connect(ctx, config.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("the engine's database: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &Engine{config: config, pool: pool, stop: stop, actions: &action.Caller{
		Client: action.NewClient(), Env: config.Env,
		ConfiguredFirst: config.Env("HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE") == "true",
	}}
	release := context.AfterFunc(ctx, stop)
	err = e.begin(running)
	if !release() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		stop()
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// poolSize is at least this many connections: a slow read must not hold up deliveries.
const poolSize = 10

func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = max(config.MaxConns, poolSize)
	return pgxpool.NewWithConfig(ctx, config)
}

func (c Config) check() error {
	var faults []error
	if c.Metadata == nil {
		faults = append(faults, errors.New("the engine needs metadata to serve from"))
		return errors.Join(faults...)
	}
	if c.AdminSecret == "" {
		faults = append(faults, errors.New("the engine needs an admin secret"))
	}
	if c.Env == nil || c.Log == nil {
		faults = append(faults, errors.New("the engine needs an environment and a log"))
	}
	return errors.Join(faults...)
}

// begin brings everything up; what it starts lives as long as ctx.
func (e *Engine) begin(ctx context.Context) error {
	document, err := e.stored(ctx)
	if err != nil {
		return err
	}
	first, err := e.build(ctx, document)
	if err != nil {
		return err
	}
	e.adopt(first)
	e.auth, err = auth.New(ctx, auth.Config{
		AdminSecret: e.config.AdminSecret, JWKSURL: e.config.JWKSURL, Issuer: e.config.Issuer,
		Audience: e.config.Audience, Log: e.config.Log, Client: &http.Client{},
	})
	if err != nil {
		return err
	}
	e.events, err = eventlog.Start(ctx, eventlog.Config{
		Pool: e.pool, Targets: first.targets, Env: e.config.Env, Log: e.config.Log,
		Interval: e.config.EventInterval, Grantees: first.grantees, Client: &http.Client{},
	})
	if err != nil {
		return fmt.Errorf("event triggers: %w", err)
	}
	return nil
}

// Close stops the delivery of events, waits for those under way, and closes the pool.
func (e *Engine) Close() error {
	var err error
	if e.events != nil {
		err = e.events.Close()
	}
	e.stop()
	e.pool.Close()
	return err
}
