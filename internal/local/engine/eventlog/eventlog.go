// Package eventlog is the event-trigger half of the local stand-in for Hasura v2. It
// installs the schema hdb_catalog with its event log and, for each event trigger of the
// metadata, the row triggers that write to it; then it delivers what was written to the
// triggers' webhooks: at least once, concurrently, in no order. Like Hasura it keeps no
// dead letters and never prunes its log. It owns hdb_catalog and nothing else, and so it
// also keeps the metadata document there; what the document means, GraphQL, permissions
// and the metadata API belong to the engine that starts it.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/metadata"
)

// What Hasura v2 uses where nothing else is configured.
const (
	defaultInterval = time.Second      // HASURA_GRAPHQL_EVENTS_FETCH_INTERVAL
	defaultGrace    = time.Minute      // HASURA_GRAPHQL_GRACEFUL_SHUTDOWN_TIMEOUT
	batchSize       = 100              // HASURA_GRAPHQL_EVENTS_FETCH_BATCH_SIZE
	concurrency     = 100              // HASURA_GRAPHQL_EVENTS_HTTP_POOL_SIZE
	databaseTimeout = 10 * time.Second // for each statement of the delivery loop
)

// Faults of Invoke and Redeliver that a caller tells apart with errors.Is.
var (
	ErrUnknownTrigger = errors.New("no such event trigger")
	ErrManualDisabled = errors.New("manual invocation is not enabled for this event trigger")
	ErrUnknownEvent   = errors.New("no such event")
	ErrEventBusy      = errors.New("the event is being delivered at this moment")
)

// Target is one event trigger and the table it watches. Columns are all columns of that
// table, in order: what "*" stands for when the trigger is installed.
type Target struct {
	Table   metadata.TableName
	Columns []string
	Trigger metadata.EventTrigger
}

// Config is what Start needs. Pool, Targets' templates and Env belong together: a webhook
// or header that names an unset variable is refused at the start.
type Config struct {
	Pool     *pgxpool.Pool       // a role with CREATE on the database and TRIGGER on the tables; need own neither
	Targets  []Target            // every declared trigger; any other trigger of ours is removed
	Env      func(string) string // variables of {{TEMPLATES}} and value_from_env
	Log      *slog.Logger        // nil means silence
	Interval time.Duration       // between two fetches; 0 means 1 s
	Grace    time.Duration       // how long Close waits for deliveries under way; 0 means 60 s
	Grantees []string            // roles that write the tables; those that do not exist are passed over
	Client   *http.Client        // nil means one of its own; redirects are never followed
}

// Log is the running event log. Its methods are safe for concurrent use.
type Log struct {
	cfg      Config
	client   *http.Client
	triggers atomic.Pointer[map[string]trigger] // by name; never changed in place

	stop  context.CancelFunc // ends fetching
	hard  context.Context    // deliveries under way live until this one ends
	abort context.CancelFunc

	slots   chan struct{}
	running sync.WaitGroup // the fetch loop and each delivery
	mu      sync.Mutex
	held    map[string]struct{} // ids locked by this process and not yet recorded
	closing sync.Once
}

// Start installs the event log and the triggers of cfg.Targets, removes triggers that are
// no longer declared, and begins to deliver. It may be called again on the same database,
// and by two processes at once. ctx bounds the installation and, when it ends later, stops
// the fetching; Close must be called all the same. The error names the target or the
// statement that failed.
func Start(ctx context.Context, cfg Config) (*Log, error) {
	triggers, err := resolve(cfg.Targets, cfg.Env)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	install := func(tx pgx.Tx) error { return install(ctx, tx, triggers, cfg.Grantees) }
	if err := pgx.BeginFunc(ctx, cfg.Pool, install); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	l := newLog(ctx, cfg, triggers)
	fetching, stop := context.WithCancel(ctx)
	l.stop = stop
	l.running.Go(func() { l.fetch(fetching) })
	return l, nil
}

func newLog(ctx context.Context, cfg Config, triggers []trigger) *Log {
	if cfg.Interval <= 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		cfg:    cfg,
		client: ownClient(cfg.Client),
		slots:  make(chan struct{}, concurrency),
		held:   make(map[string]struct{}),
	}
	l.use(triggers)
	l.hard, l.abort = context.WithCancel(context.WithoutCancel(ctx))
	return l
}

// Change installs other targets in the place of the present ones, in tx. The log goes on
// as it is until the returned function is called, which is to be done once tx is
// committed; deliveries under way end as they began. Of two changes the caller lets one
// finish first.
func (l *Log) Change(ctx context.Context, tx pgx.Tx, targets []Target, grantees []string) (use func(), err error) {
	triggers, err := resolve(targets, l.cfg.Env)
	if err == nil {
		err = install(ctx, tx, triggers, grantees)
	}
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	return func() { l.use(triggers) }, nil
}

func (l *Log) use(triggers []trigger) {
	byName := make(map[string]trigger, len(triggers))
	for _, t := range triggers {
		byName[t.name] = t
	}
	l.triggers.Store(&byName)
}

// Close stops fetching and waits for the deliveries under way, for at most cfg.Grace. Those
// still unanswered then are cut off, and their events unlocked so that the next process
// sends them again with the same current_retry. The error is that of the unlocking; the
// events then stay locked for 30 minutes. A second call does nothing.
func (l *Log) Close() error {
	var err error
	l.closing.Do(func() { err = l.shut() })
	return err
}

func (l *Log) shut() error {
	l.stop()
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	grace := time.NewTimer(l.cfg.Grace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		l.abort()
		<-done
	}
	l.abort()
	l.client.CloseIdleConnections()
	return l.unlockHeld()
}
