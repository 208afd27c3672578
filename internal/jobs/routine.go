package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/pg"
)

// Routine is work that comes round again and again. One of the servers does it, at its
// start and then once in every Every (at least a minute), but Run has to be safe beside
// another server's: one that lost the database may not have stopped yet. Run returns how
// many rows it was about.
type Routine struct {
	Name  string // for the log, the metrics and the queue
	Every time.Duration
	Limit time.Duration // of one round, for one that may outlast its Every; 0: until the next is due
	Run   func(ctx context.Context, db pg.DB) (int64, error)
}

// What comes round often has a queue of its own, so that it waits for nothing that takes
// long; what may take longer than its pauses has another.
const (
	upkeepQueue = "upkeep"
	promptQueue = "prompt"
	slowQueue   = "slow"
	slowWorkers = 4
	promptEvery = 10 * time.Minute // and below
	longestTime = 30 * time.Minute
	upkeepTries = 5 // with everyday pauses nine minutes
	promptTries = 2 // the next round is near
)

// prompt tells which of the queues a routine waits in.
func (r Routine) prompt() bool { return r.Every <= promptEvery }

// round is one of the routine as River is to treat it: a second server, or one that
// starts again, adds no other in the same time.
func (r Routine) round() (river.JobArgs, *river.InsertOpts) {
	opts := &river.InsertOpts{
		Queue: upkeepQueue, MaxAttempts: upkeepTries, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: r.Every},
	}
	switch {
	case r.Limit > 0:
		opts.Queue, opts.MaxAttempts = slowQueue, promptTries
	case r.prompt():
		opts.Queue, opts.MaxAttempts = promptQueue, promptTries
	}
	return RoutineJob{Name: r.Name}, opts
}

func rounds(routines []Routine) []*river.PeriodicJob {
	periodic := make([]*river.PeriodicJob, len(routines))
	for i, r := range routines {
		periodic[i] = river.NewPeriodicJob(river.PeriodicInterval(r.Every), r.round, &river.PeriodicJobOpts{RunOnStart: true})
	}
	return periodic
}

// RoutineJob is one round of a routine.
type RoutineJob struct {
	Name string `json:"name"`
}

// Kind is River's name for the job.
func (RoutineJob) Kind() string { return "routine" }

type routineWorker struct {
	river.WorkerDefaults[RoutineJob]
	config   Config
	routines map[string]Routine
	metrics  metrics
}

func newRoutineWorker(config Config) *routineWorker {
	routines := map[string]Routine{}
	for _, r := range config.Routines {
		routines[r.Name] = r
	}
	return &routineWorker{config: config, routines: routines, metrics: newMetrics(config.Metrics)}
}

// Timeout is how long a round may take: the routine's limit, or until the next is due, and
// never past half an hour.
func (w *routineWorker) Timeout(job *river.Job[RoutineJob]) time.Duration {
	if r, known := w.routines[job.Args.Name]; known {
		if r.Limit > 0 {
			return min(r.Limit, longestTime)
		}
		return min(r.Every, longestTime)
	}
	return 0 // the client's own
}

// errInTheLog stands in the queue for an error whose own words may name anything.
var errInTheLog = errors.New("the round failed; the log has the cause")

// Work does one round.
func (w *routineWorker) Work(ctx context.Context, job *river.Job[RoutineJob]) error {
	routine, known := w.routines[job.Args.Name]
	if !known {
		return fmt.Errorf("this server has no routine %.40q; another version's may", job.Args.Name)
	}
	failed := true // also where it panics, which River turns into an error
	defer func() { w.metrics.ran(routine.Name, failed) }()
	log := w.config.Log.With("job", job.ID, "routine", routine.Name)
	rows, err := routine.Run(ctx, w.config.DB)
	w.metrics.rows.WithLabelValues(routine.Name).Add(float64(rows)) // also those before a failure
	if err != nil {
		return gaveUp(ctx, log.With("error", err, "rows", rows), job)
	}
	failed = false
	if rows > 0 {
		log.InfoContext(ctx, "routine done", "rows", rows)
	}
	return nil
}

// gaveUp says what becomes of a round that failed.
func gaveUp(ctx context.Context, log *slog.Logger, job *river.Job[RoutineJob]) error {
	log = log.With("try", job.Attempt, "of", job.MaxAttempts)
	if job.Attempt >= job.MaxAttempts {
		log.ErrorContext(ctx, "routine given up until its next round")
	} else {
		log.WarnContext(ctx, "routine failed; it will be tried again")
	}
	return errInTheLog
}
