// Package dev runs the whole product on this machine in one process: a private
// Postgres, the production server, the stand-in for Hasura and two demo tenants.
// `server dev` and the end-to-end tests start it; nothing in production imports it.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/ops"
	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/local/mailbox"
	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/migrate"
)

const (
	database    = "nself"
	mailboxPath = "/dev/mailbox"
)

// Options are what the operator may choose.
type Options struct {
	Port     int      // 0 picks a free one
	DataDir  string   // made where absent; the same one again continues on the same data
	Durable  bool     // false turns fsync off, for tests
	With     []string // services to run beside the rest: WithRedis, WithObjects
	Progress func(string)
	Log      io.Writer           // the server's and the engine's log lines
	Ready    func(*Environment)  // called once everything answers
	Settings func(string) string // more settings for the server, by name, beside those decided here; nil for none
}

// Run starts everything, calls Ready, and returns when ctx ends and all of it has
// stopped.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := dataDir(o.DataDir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("%w: choose another port with --port", err)
	}
	defer func() { _ = listener.Close() }() // already closed where it was served
	secrets, err := loadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		return err
	}
	cluster, err := postgres.Start(ctx, postgres.Config{
		Dir: filepath.Join(dir, "postgres"), Durable: o.Durable, Progress: o.Progress,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	o.Progress("migrating")
	if err := cluster.Bootstrap(ctx, database, migrateUp); err != nil {
		return err
	}
	mails, err := mailbox.Start(mailbox.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mails.Stop()) }()
	o.DataDir = dir
	beside, err := startServices(ctx, o, secrets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, beside.stop()) }()
	w := &world{options: o, dir: dir, cluster: cluster, mails: mails, secrets: secrets, services: beside, url: "http://" + listener.Addr().String()}
	if err := w.startStripe(); err != nil {
		return err
	}
	return w.serve(ctx, listener)
}

func migrateUp(ctx context.Context, conn *pgx.Conn) error {
	_, err := migrate.Up(ctx, conn)
	return err
}

func dataDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return abs, os.MkdirAll(abs, 0o755)
}

// world is everything that runs, once Postgres does.
type world struct {
	options Options
	dir     string
	cluster *postgres.Cluster
	mails   *mailbox.Mailbox
	secrets secrets
	url     string

	services *services
	stripe   *cashier                      // nil where billing is off, or with a key of the real one
	engine   atomic.Pointer[engine.Engine] // nil until it serves
}

func (w *world) serve(ctx context.Context, listener net.Listener) error {
	settings, err := config.Load[config.Server](w.getenv)
	if err != nil {
		return err
	}
	server, err := app.New(ctx, settings, w.options.Log, ops.Check{Name: "engine", Run: w.engineReady})
	if err != nil {
		return err
	}
	server.Router.Mount("/v1", http.HandlerFunc(w.graphql))
	page, err := w.mails.Handler(mailboxPath)
	if err != nil {
		return err
	}
	server.Router.Mount(mailboxPath, page)
	if w.stripe != nil {
		server.Router.Mount(stripePath, w.cashierHandler())
	}

	serving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- server.Serve(serving, listener) }()
	billing := w.bill(serving, server.Log)

	err = w.open(ctx, server)
	if err == nil {
		select {
		case err = <-done: // the listener failed
			done <- err
		case <-w.cluster.Ended():
			err = errors.New("the private Postgres has ended by itself; its log is in the data directory")
		case <-ctx.Done():
		}
	}
	stop()
	if running := w.engine.Load(); running != nil {
		err = errors.Join(err, running.Close())
	}
	err = errors.Join(err, <-done)
	billing.Wait()
	return err
}

// open seeds the demo, makes what is sold known to Stripe's stand-in, starts the engine
// (which fetches the key set from the server that runs by now) and announces that all of
// it serves.
func (w *world) open(ctx context.Context, server *app.App) error {
	w.options.Progress("seeding the demo tenants")
	people, err := seed(ctx, server)
	if err != nil {
		return fmt.Errorf("seed the demo tenants: %w", err)
	}
	if err := server.SettlePlaces(ctx); err != nil {
		return fmt.Errorf("give the demo tenants their places: %w", err)
	}
	if w.stripe != nil {
		if err := server.SetUpBilling(ctx, w.url+"/webhooks/stripe"); err != nil {
			return fmt.Errorf("set up the stand-in for Stripe: %w", err)
		}
	}
	running, err := w.startEngine(ctx, server)
	if err != nil {
		return fmt.Errorf("start the stand-in for Hasura: %w", err)
	}
	w.engine.Store(running)
	env := w.environment(people)
	if err := env.write(filepath.Join(w.dir, "dev.env")); err != nil {
		return err
	}
	w.options.Ready(env)
	return nil
}

func (w *world) startEngine(ctx context.Context, server *app.App) (*engine.Engine, error) {
	tree, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		return nil, err
	}
	loaded, err := metadata.Load(tree)
	if err != nil {
		return nil, err
	}
	return engine.Start(ctx, engine.Config{
		Metadata: loaded, DatabaseURL: w.cluster.URL("nself_hasura", database), AdminSecret: w.secrets.Admin,
		JWKSURL: w.url + "/.well-known/jwks.json", Issuer: "nself-tenancy", Audience: "hasura",
		Env: w.getenv, Log: server.Log, EventInterval: 200 * time.Millisecond,
	})
}

func (w *world) engineReady(context.Context) error {
	if w.engine.Load() == nil {
		return errors.New("starting")
	}
	return nil
}

func (w *world) graphql(rw http.ResponseWriter, r *http.Request) {
	running := w.engine.Load()
	if running == nil {
		http.Error(rw, "starting", http.StatusServiceUnavailable)
		return
	}
	running.Handler().ServeHTTP(rw, r)
}

// getenv is the environment of the server and of the stand-in for Hasura.
func (w *world) getenv(name string) string {
	switch name {
	case "DATABASE_URL":
		return w.cluster.URL("nself_server", database)
	case "HASURA_DATABASE_URL":
		return w.cluster.URL("nself_hasura", database)
	case "NSELF_WEBHOOK_SECRET":
		return w.secrets.Webhook
	case "NSELF_WEBHOOK_URL":
		return w.url
	case "NSELF_ENCRYPTION_KEY":
		return w.secrets.Encryption
	case "PUBLIC_URL", "HASURA_GRAPHQL_ENDPOINT":
		return w.url
	case "HASURA_GRAPHQL_ADMIN_SECRET":
		return w.secrets.Admin
	case "SMTP_HOST":
		return w.mails.Host()
	case "SMTP_PORT":
		return strconv.Itoa(w.mails.Port())
	case "SMTP_FROM":
		return "ɳSelf Tenancy <no-reply@localhost.example>"
	case "SMTP_TLS":
		return "none"
	case "PORT", "JWT_ISSUER", "JWT_AUDIENCE", "DATABASE_LISTEN_URL", "SMTP_USERNAME", "SMTP_PASSWORD":
		return "" // decided here
	}
	if value, decided := w.billingSetting(name); decided {
		return value
	}
	if value, decided := w.services.setting(name); decided {
		return value
	}
	return w.setting(name)
}

// setting is the operator's own.
func (w *world) setting(name string) string {
	if w.options.Settings == nil {
		return ""
	}
	return w.options.Settings(name)
}
