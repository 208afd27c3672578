package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/queue"
)

// Task does what was queued under its name (queue.Tasks). Several servers may be at one
// thing at once, and it may come again when it is done.
type Task struct {
	Name string

	// Run does it. The fault unavailable with the detail retryAfter, a number of seconds,
	// asks to come back then, which counts as no try; any other error as one.
	Run func(ctx context.Context, id string) error

	// GiveUp notes that the last try failed, and why; nil: the log tells.
	GiveUp func(ctx context.Context, id string, cause error) error
}

const (
	taskTime   = 2 * time.Minute // of one try
	giveUpTime = 10 * time.Second
)

type taskWorker struct {
	river.WorkerDefaults[queue.TaskJob]
	log    *slog.Logger
	tasks  map[string]Task
	pauses policy
}

func newTaskWorker(config Config, pauses policy) *taskWorker {
	tasks := map[string]Task{}
	for _, task := range config.Tasks {
		tasks[task.Name] = task
	}
	return &taskWorker{log: config.Log, tasks: tasks, pauses: pauses}
}

// Timeout is how long a try may take.
func (w *taskWorker) Timeout(*river.Job[queue.TaskJob]) time.Duration { return taskTime }

// NextRetry is when the task that just failed is tried again.
func (w *taskWorker) NextRetry(job *river.Job[queue.TaskJob]) time.Time {
	return w.pauses.NextRetry(job.JobRow)
}

// errTask stands in the queue for an error whose own words may name anything.
var errTask = errors.New("the task failed; the log has the cause")

// Work tries once.
func (w *taskWorker) Work(ctx context.Context, job *river.Job[queue.TaskJob]) error {
	task, known := w.tasks[job.Args.Name]
	if !known {
		return fmt.Errorf("this server has no task %.40q; another version's may", job.Args.Name)
	}
	log := w.log.With("job", job.ID, "task", task.Name, "about", job.Args.ID)
	err := try(ctx, task, job.Args.ID)
	if err == nil {
		return nil
	}
	if pause, asked := putOff(ctx, err); asked {
		log.DebugContext(ctx, "task put off", "error", err, "for", pause.String())
		return river.JobSnooze(pause)
	}
	log = log.With("error", err, "try", job.Attempt, "of", job.MaxAttempts)
	if job.Attempt < job.MaxAttempts {
		log.WarnContext(ctx, "task failed; it will be tried again")
		return errTask
	}
	log.ErrorContext(ctx, "task given up: this was the last try")
	if task.GiveUp == nil {
		return errTask
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTime)
	defer cancel()
	if err := task.GiveUp(noting, job.Args.ID, err); err != nil {
		log.ErrorContext(ctx, "that a task was given up could not be noted", "because", err)
	}
	return errTask
}

// try makes an error of a panic, so that a task that always panics is given up as well.
func try(ctx context.Context, task Task, id string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return task.Run(ctx, id)
}

// putOff tells for how long, where the error is no failure: what it is about is another's
// just now, or this server stops.
func putOff(ctx context.Context, err error) (time.Duration, bool) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return 0, true
	}
	busy, is := errors.AsType[*fault.Fault](err)
	if !is || busy.Code != fault.Unavailable {
		return 0, false
	}
	switch seconds := busy.Details["retryAfter"].(type) {
	case int:
		return max(0, time.Duration(seconds)*time.Second), true
	case int64:
		return max(0, time.Duration(seconds)*time.Second), true
	}
	return 0, false
}
