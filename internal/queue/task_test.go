package queue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
)

func newTasks(t *testing.T) *queue.Tasks {
	t.Helper()
	tasks, err := queue.NewTasks()
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

func TestTasksAreQueuedWithTheCommitAlone(t *testing.T) {
	db := pgtest.Database(t)
	server, tasks := db.Pool(t, "nself_server"), newTasks(t)
	later := time.Now().Add(30 * time.Second)
	push := func(end error) error {
		return inTx(t, server, func(tx pgx.Tx) error {
			if err := tasks.Push(t.Context(), tx, queue.Task{Name: "fetch", ID: "cus_1"}, queue.Task{Name: "finish", ID: "a/b", At: later}); err != nil {
				t.Error(err)
			}
			return end
		})
	}
	regret := errors.New("regret")
	if err := push(regret); !errors.Is(err, regret) || len(jobs(t, server)) != 0 {
		t.Errorf("after a rollback: %v, %v", err, jobs(t, server))
	}
	if err := push(nil); err != nil {
		t.Fatal(err)
	}
	got := jobs(t, server)
	if len(got) != 2 || !strings.Contains(got[0], `"cus_1"`) || !strings.Contains(got[0], `"available"`) || !strings.Contains(got[1], `"scheduled"`) {
		t.Errorf("after a commit: %v", got)
	}
}

func TestATenantQueuesNoTask(t *testing.T) {
	db := pgtest.Database(t)
	server, tasks := db.Pool(t, "nself_server"), newTasks(t)
	team := pgtest.NewTeam(t, server)
	err := inTx(t, server, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, team.As(member.Owner)); err != nil {
			return err
		}
		return tasks.Push(t.Context(), tx, queue.Task{Name: "finish", ID: "a/b"})
	})
	if err == nil || len(jobs(t, server)) != 0 {
		t.Errorf("%v, queued: %v", err, jobs(t, server))
	}
}

func TestATaskThatLacksWhatItNeedsIsNotQueued(t *testing.T) {
	tx, tasks := pgtest.Tx(t, "nself_server"), newTasks(t)
	for _, lacking := range []queue.Task{{Name: "fetch"}, {ID: "cus_1"}} {
		if err := tasks.Push(t.Context(), tx, queue.Task{Name: "fetch", ID: "cus_1"}, lacking); err == nil {
			t.Errorf("%+v was queued", lacking)
		}
	}
	if err := tasks.Push(t.Context(), tx); err != nil {
		t.Errorf("none: %v", err)
	}
	if got := jobs(t, tx); len(got) != 0 {
		t.Errorf("queued: %v", got)
	}
}
