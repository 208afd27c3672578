package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
)

func TestWhatIsPointlessOrUnwantedIsDropped(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	asked := make(chan queue.Mail, 8)
	config.Deliver = func(_ context.Context, m queue.Mail) (bool, error) {
		asked <- m
		return m.To != "stranger@example.com", nil
	}
	run(t, config)
	w.queue(t, queue.Mail{Kind: queue.SignIn, To: "late@example.com", Until: time.Now().Add(-time.Second), Values: map[string]string{queue.Link: "https://a.example"}})
	w.send(t, "stranger@example.com")
	w.send(t, "ada@example.com")
	w.wait(t, "ada@example.com")
	for _, r := range w.settled(t) {
		if r.State != "completed" || r.Errors != "" {
			t.Errorf("%+v", r)
		}
	}
	if got := w.mails.List(""); len(got) != 1 {
		t.Errorf("%d mails came", len(got))
	}
	if len(asked) != 2 {
		t.Errorf("asked about %d mails; the late one needs no asking", len(asked))
	}
	if log := w.log.String(); strings.Contains(log, "stranger@") || strings.Contains(log, "late@") {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestAMailWaitsUntilItIsKnownWhetherToSendIt(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	tries := 0
	config.Deliver = func(context.Context, queue.Mail) (bool, error) {
		if tries++; tries == 1 {
			return false, errors.New("the database is down")
		}
		return true, nil
	}
	run(t, config)
	w.send(t, "ada@example.com")
	w.wait(t, "ada@example.com")
	if rows := w.settled(t); rows[0].Attempt != 2 || strings.Contains(rows[0].Errors, "database") {
		t.Errorf("%+v", rows)
	}
}

func TestAMailOfAnotherKeyIsKeptForAServerThatHasIt(t *testing.T) {
	w := newWorld(t, nil)
	w.send(t, "ada@example.com")
	if _, err := w.pool.Exec(t.Context(), `UPDATE nself.river_job SET args = '{"sealed": "AAAA"}', max_attempts = 2`); err != nil {
		t.Fatal(err)
	}
	run(t, w.config(t))
	if rows := w.settled(t); rows[0].State != "discarded" || rows[0].Attempt != 2 {
		t.Errorf("%+v", rows)
	}
}

func TestWithoutAMailServerMailsWaitAndTheRestGoesOn(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	config.Mailer = nil
	pruned := make(chan struct{}, 1)
	config.Routines = []Routine{{Name: "links", Every: time.Hour, Run: func(context.Context, pg.DB) (int64, error) { pruned <- struct{}{}; return 0, nil }}}
	w.send(t, "ada@example.com")
	run(t, config)
	<-pruned
	state, err := pg.Scalar[string](t.Context(), w.pool, `SELECT state::text FROM nself.river_job WHERE kind = 'mail'`, nil)
	if err != nil || state != "available" {
		t.Errorf("the mail is %s, %v", state, err)
	}
}
