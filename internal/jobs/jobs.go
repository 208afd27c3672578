// Package jobs does the work that internal/queue puts off: a door like the handlers, with
// jobs instead of requests coming in, one file for each kind. Any number of servers may
// run it beside one another; a job is one server's at a time. A server that dies at work
// leaves its job to the others.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/nself/tenancy/internal/mailer"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
)

// Config is what the workers work with.
type Config struct {
	DB     *pgxpool.Pool  // as nself_server; a pooler in transaction mode may be between
	Box    *seal.Box      // the one the mails were sealed with
	Mailer *mailer.Mailer // nil where there is no mail: queued ones then wait until somebody can send them

	// Deliver is asked before a mail is sent whether it should be; nil sends all. An error
	// puts the mail off.
	Deliver func(ctx context.Context, m queue.Mail) (bool, error)

	Routines []Routine             // each is done once in its time, by one of the servers
	Tasks    []Task                // what queue.Tasks puts off; none: tasks wait for a server that does them
	Metrics  prometheus.Registerer // nil measures nothing that is seen
	Log      *slog.Logger
}

// tempo is how soon things happen.
type tempo struct {
	poll   time.Duration   // between two looks for work
	pauses []time.Duration // after the first failure, the second …; the last one repeats
	soon   time.Duration   // between two looks for tasks
	tasks  []time.Duration // as pauses, of a task
	rescue time.Duration   // after which a job at work is one whose server died
	drain  time.Duration   // how long work under way may take to end
}

// everyday gives a mail about six hours of tries, and a task about a day; five minutes are
// what mail servers that do not know a sender yet (greylisting) ask for.
var everyday = tempo{
	poll: 500 * time.Millisecond,
	pauses: []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 6 * time.Minute, 20 * time.Minute,
		time.Hour, 4 * time.Hour},
	soon: 100 * time.Millisecond,
	tasks: []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour},
	rescue: 5 * time.Minute,
	drain:  15 * time.Second,
}

const (
	jobTime     = time.Minute // of a job whose worker does not say otherwise
	mailWorkers = 4
	taskWorkers = 8
	taskPause   = 10 * time.Millisecond // between two fetches while there is work; River's own would hold 8 workers to 80 tasks a second
)

// Runner works until it is stopped.
type Runner struct {
	client *river.Client[pgx.Tx]
}

// Start begins to work. The end of ctx does not end it: Stop does.
func Start(ctx context.Context, config Config) (*Runner, error) {
	return start(ctx, config, everyday)
}

func start(ctx context.Context, config Config, tempo tempo) (*Runner, error) {
	client, err := river.NewClient(riverpgxv5.New(config.DB), settings(config, tempo))
	if err != nil {
		return nil, fmt.Errorf("set up the workers: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start the workers: %w", err)
	}
	return &Runner{client: client}, nil
}

func settings(config Config, tempo tempo) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, &mailWorker{config: config})
	river.AddWorker(workers, newRoutineWorker(config))
	river.AddWorker(workers, newTaskWorker(config, policy(tempo.tasks)))
	queues := map[string]river.QueueConfig{upkeepQueue: {MaxWorkers: 1}, promptQueue: {MaxWorkers: 1}, slowQueue: {MaxWorkers: slowWorkers}}
	if config.Mailer != nil {
		queues[queue.MailQueue] = river.QueueConfig{MaxWorkers: mailWorkers}
	}
	if len(config.Tasks) > 0 {
		queues[queue.TaskQueue] = river.QueueConfig{MaxWorkers: taskWorkers, FetchPollInterval: tempo.soon, FetchCooldown: taskPause}
	}
	return &river.Config{
		Schema:  queue.Schema,
		Workers: workers, Queues: queues, PeriodicJobs: rounds(config.Routines),
		PollOnly: true, FetchPollInterval: tempo.poll, FetchCooldown: min(tempo.poll, river.FetchCooldownDefault),
		JobTimeout: jobTime, RescueStuckJobsAfter: tempo.rescue, SoftStopTimeout: tempo.drain,
		RetryPolicy: policy(tempo.pauses),
		// nself_server owns no index, so it may not rebuild one.
		ReindexerIndexNames: []string{},
		Logger:              slog.New(warnings{config.Log.Handler()}),
	}
}

// Stop takes no more work, waits for what is under way, and returns an error where ctx
// ends first; what was not finished then is another server's in a while.
func (r *Runner) Stop(ctx context.Context) error {
	if err := r.client.Stop(ctx); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}

// policy spaces the tries of a job. A little chance keeps what failed together from
// coming back together.
type policy []time.Duration

// NextRetry is when the job that just failed is tried again.
func (p policy) NextRetry(job *rivertype.JobRow) time.Time {
	pause := p[min(max(job.Attempt, 1), len(p))-1]
	return time.Now().UTC().Add(pause + time.Duration(rand.Int64N(int64(pause)/10+1))) //nolint:gosec // G404: not a secret
}

// warnings lets through what River warns of: what became of a job its worker tells.
type warnings struct{ slog.Handler }

// Enabled reports whether a level is worth a line.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the limit on what comes of it.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the limit on what comes of it.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
