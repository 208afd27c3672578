package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// TaskQueue is the queue that tasks wait in.
const TaskQueue = "billing"

// TaskTries is how often a task is tried, the first time included.
const TaskTries = 10

// Task is something to do about one thing that its worker finds by its id.
type Task struct {
	Name string    // says which of the workers does it (internal/jobs)
	ID   string    // of what it is about; it stands in the queue in clear
	At   time.Time // not before; zero: at once
}

// Tasks queues tasks. The same one may wait any number of times: doing it again has to be
// harmless.
type Tasks struct {
	client *river.Client[pgx.Tx]
}

// NewTasks makes what queues tasks.
func NewTasks() (*Tasks, error) {
	inserter, err := client()
	if err != nil {
		return nil, err
	}
	return &Tasks{client: inserter}, nil
}

// Push queues tasks in the caller's transaction, which runs as nself_server, with one
// statement for all of them. Nothing is done where it rolls back.
func (t *Tasks) Push(ctx context.Context, tx pgx.Tx, tasks ...Task) error {
	if len(tasks) == 0 {
		return nil
	}
	rows := make([]river.InsertManyParams, len(tasks))
	for i, task := range tasks {
		if task.Name == "" || task.ID == "" {
			return fmt.Errorf("a task %q about %q lacks its name or what it is about", task.Name, task.ID)
		}
		rows[i] = river.InsertManyParams{Args: TaskJob{Name: task.Name, ID: task.ID}, InsertOpts: &river.InsertOpts{ScheduledAt: task.At}}
	}
	if _, err := t.client.InsertManyTx(ctx, tx, rows); err != nil {
		return fmt.Errorf("queue %d tasks, first %s: %w", len(tasks), tasks[0].Name, err)
	}
	return nil
}

// TaskJob is a task as it stands in the queue.
type TaskJob struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Kind is River's name for the job.
func (TaskJob) Kind() string { return "task" }

// InsertOpts is how River treats the job.
func (TaskJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: TaskQueue, MaxAttempts: TaskTries}
}
