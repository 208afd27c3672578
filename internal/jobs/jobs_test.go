package jobs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/pgbouncer"
	"github.com/nself/tenancy/internal/queue"
)

func answer(code int, enhanced smtp.EnhancedCode, to string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: "about <" + to + ">"}
}

func TestAQueuedMailReachesTheMailbox(t *testing.T) {
	w := newWorld(t, nil)
	run(t, w.config(t))
	w.send(t, "ada@example.com")
	got := w.wait(t, "ada@example.com")
	if got.Subject != "Your link to sign in" || len(got.Links) != 1 || got.Links[0] != "https://auth.moon.example/auth/verify?token=hush" {
		t.Errorf("%+v", got)
	}
	if rows := w.settled(t); len(rows) != 1 || rows[0].State != "completed" {
		t.Errorf("%+v", rows)
	}
}

func TestATemporaryFailureIsTriedAgainAsTheSameMail(t *testing.T) {
	var mu sync.Mutex
	tries := 0
	w := newWorld(t, func(to string) error {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries < 4 {
			return answer(451, smtp.EnhancedCode{4, 3, 0}, to)
		}
		return nil
	})
	run(t, w.config(t))
	w.send(t, "ada@example.com")
	w.wait(t, "ada@example.com")
	if rows := w.settled(t); len(rows) != 1 || rows[0].State != "completed" || rows[0].Attempt != 4 {
		t.Errorf("%+v", rows)
	}
	if all := w.mails.List(""); len(all) != 1 {
		t.Errorf("%d mails came", len(all))
	}
	if log := w.log.String(); strings.Contains(log, "ada@") || strings.Contains(log, "hush") || !strings.Contains(log, "451 4.3.0") {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestARefusedRecipientIsNotTriedAgain(t *testing.T) {
	w := newWorld(t, func(to string) error { return answer(550, smtp.EnhancedCode{5, 1, 1}, to) })
	run(t, w.config(t))
	w.send(t, "nobody@example.com")
	rows := w.settled(t)
	if len(rows) != 1 || rows[0].State != "cancelled" || rows[0].Attempt != 1 || !strings.Contains(rows[0].Errors, "550 5.1.1") {
		t.Errorf("%+v", rows)
	}
	for where, text := range map[string]string{"the queue": rows[0].Errors, "the log": w.log.String()} {
		if strings.Contains(text, "nobody@") || strings.Contains(text, "hush") {
			t.Errorf("%s names the address or the link: %s", where, text)
		}
	}
}

func TestAMailIsGivenUpAfterItsTries(t *testing.T) {
	w := newWorld(t, func(to string) error { return answer(450, smtp.EnhancedCode{4, 2, 1}, to) })
	run(t, w.config(t))
	w.send(t, "busy@example.com")
	if rows := w.settled(t); len(rows) != 1 || rows[0].State != "discarded" || rows[0].Attempt != queue.MailTries {
		t.Errorf("%+v", rows)
	}
	if log := w.log.String(); strings.Count(log, "mail given up") != 1 {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestAServerOutOfReachIsTemporary(t *testing.T) {
	w := newWorld(t, nil)
	config := w.config(t)
	if err := w.mails.Stop(); err != nil {
		t.Fatal(err)
	}
	run(t, config)
	w.send(t, "ada@example.com")
	if rows := w.settled(t); len(rows) != 1 || rows[0].State != "discarded" || !strings.Contains(rows[0].Errors, "out of reach") {
		t.Errorf("%+v", rows)
	}
}

func TestTwoRunnersSendEachMailOnce(t *testing.T) {
	w := newWorld(t, nil)
	const mails = 30
	for i := range mails {
		w.send(t, fmt.Sprintf("n%d@example.com", i))
	}
	run(t, w.config(t))
	run(t, w.config(t))
	w.settled(t)
	for i := range mails {
		if got := w.mails.List(fmt.Sprintf("n%d@example.com", i)); len(got) != 1 {
			t.Errorf("n%d got %d mails", i, len(got))
		}
	}
}

func TestWhatADeadServerLeftIsSentByAnother(t *testing.T) {
	w := newWorld(t, nil)
	w.send(t, "ada@example.com")
	const die = `UPDATE nself.river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '1 hour', attempted_by = '{the dead}'`
	if _, err := w.pool.Exec(t.Context(), die); err != nil {
		t.Fatal(err)
	}
	run(t, w.config(t))
	w.wait(t, "ada@example.com")
	if rows := w.settled(t); len(rows) != 1 || rows[0].State != "completed" || rows[0].Attempt != 2 {
		t.Errorf("%+v", rows)
	}
}

func TestARunnerThatStopsFinishesWhatItBegan(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(string) error { close(begun); <-finish; return nil })
	runner := run(t, w.config(t))
	w.send(t, "ada@example.com")
	<-begun
	stopped := make(chan error)
	go func() { stopped <- runner.Stop(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-stopped:
		t.Errorf("stopped over the work: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(finish)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if rows := w.settled(t); len(w.mails.List("")) != 1 || rows[0].State != "completed" {
		t.Errorf("%d mails came; %+v", len(w.mails.List("")), rows)
	}
}

func TestTheQueueWorksBehindAPoolerInTransactionMode(t *testing.T) {
	w := newWorld(t, nil)
	bouncer, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: []string{w.db.URL("nself_server")}, PoolSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Close() })
	url, err := bouncer.URL(w.db.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if !bouncer.FollowsPrepared() {
		settings.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	pooled, err := pgxpool.NewWithConfig(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pooled.Close)
	w.pool = pooled
	run(t, w.config(t))
	for i := range 5 {
		w.send(t, fmt.Sprintf("n%d@example.com", i))
	}
	for i := range 5 {
		w.wait(t, fmt.Sprintf("n%d@example.com", i))
	}
	w.settled(t)
	if log := w.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log says:\n%s", log)
	}
}
