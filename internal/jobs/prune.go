package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/pg"
)

// Prune takes away rows that are of no use any more.
type Prune struct {
	Name string // of what, for the log
	Run  func(ctx context.Context, db pg.DB) (int64, error)
}

const (
	pruneEvery = time.Hour
	pruneTime  = 10 * time.Minute
)

// PruneJob is one round.
type PruneJob struct{}

// Kind is River's name for the job.
func (PruneJob) Kind() string { return "prune" }

// InsertOpts keeps a second server, or one that starts again, from another round in the
// same hour.
func (PruneJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: upkeepQueue, MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByPeriod: pruneEvery}}
}

func hourlyPrune() *river.PeriodicJob {
	round := func() (river.JobArgs, *river.InsertOpts) { return PruneJob{}, nil }
	return river.NewPeriodicJob(river.PeriodicInterval(pruneEvery), round, &river.PeriodicJobOpts{RunOnStart: true})
}

type pruneWorker struct {
	river.WorkerDefaults[PruneJob]
	config Config
}

// Timeout is how long a round may take.
func (w *pruneWorker) Timeout(*river.Job[PruneJob]) time.Duration { return pruneTime }

// Work does all, whatever becomes of one.
func (w *pruneWorker) Work(ctx context.Context, job *river.Job[PruneJob]) error {
	failed := 0
	for _, prune := range w.config.Prune {
		log := w.config.Log.With("job", job.ID, "rows_of", prune.Name)
		rows, err := prune.Run(ctx, w.config.DB)
		switch {
		case err != nil:
			failed++
			log.ErrorContext(ctx, "prune", "error", err)
		case rows > 0:
			log.InfoContext(ctx, "prune", "rows", rows)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(w.config.Prune)) // the log has the causes
	}
	return nil
}
