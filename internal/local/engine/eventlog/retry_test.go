package eventlog

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/metadata"
)

const (
	oneDelivered = `SELECT count(*) = 1 FROM hdb_catalog.event_log WHERE delivered AND NOT error AND locked IS NULL AND next_retry_at IS NULL`
	oneFailed    = `SELECT count(*) = 1 FROM hdb_catalog.event_log WHERE error AND NOT delivered AND locked IS NULL AND next_retry_at IS NULL`
	attempts     = `SELECT array_agg(coalesce(status, 0) ORDER BY created_at) FROM hdb_catalog.event_invocation_logs`
)

// expectRetries reads n calls: all of one id, with current_retry from first on.
func expectRetries(t *testing.T, h *hook, first, n, maxRetries int) string {
	t.Helper()
	id := ""
	for i := range n {
		c := h.next(t).body
		if id == "" {
			id = c.ID
		}
		if c.ID != id || c.DeliveryInfo.CurrentRetry != first+i || c.DeliveryInfo.MaxRetries != maxRetries {
			t.Errorf("call %d is %s with %+v, want %s with current_retry %d of %d", i, c.ID, c.DeliveryInfo, id, first+i, maxRetries)
		}
	}
	return id
}

// noMoreCalls holds once the event has come to its end in the database.
func noMoreCalls(t *testing.T, h *hook) {
	t.Helper()
	if n := len(h.calls); n != 0 {
		t.Errorf("%d calls more than expected", n)
	}
}

func withRetries(n, interval int) Target {
	return tenantChanged(func(e *metadata.EventTrigger) {
		e.RetryConf = metadata.RetryConf{NumRetries: n, IntervalSec: interval, TimeoutSec: 1}
	})
}

// test_events.py TestEventRetryConf, with the interval at 0.
func TestFailureIsRetriedUntilRetriesAreSpent(t *testing.T) {
	db, h := newDatabase(t), answering(t, 500)
	start(t, db.config(t, h, withRetries(4, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 5, 4)
	until(t, db.super, oneFailed)
	noMoreCalls(t, h)
	if diff := cmp.Diff([]int32{500, 500, 500, 500, 500}, query[[]int32](t, db.super, attempts)); diff != "" {
		t.Error(diff)
	}
	if tries := query[int32](t, db.super, `SELECT tries FROM hdb_catalog.event_log`); tries != 5 {
		t.Errorf("tries is %d, want 5", tries)
	}
}

func TestOnlySuccessEndsRetries(t *testing.T) {
	for _, status := range []int{302, 304, 400, 404, 409, 503} {
		db := newDatabase(t)
		h := newHook(t, func(w http.ResponseWriter, c call) {
			w.Header().Set("Location", "/elsewhere")
			if c.body.DeliveryInfo.CurrentRetry == 0 {
				w.WriteHeader(status)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
		start(t, db.config(t, h, withRetries(3, 0)))
		execute(t, db.Pool(t, writer), insertAcme)
		expectRetries(t, h, 0, 2, 3)
		until(t, db.super, oneDelivered)
		noMoreCalls(t, h)
		if diff := cmp.Diff([]int32{int32(status), 204}, query[[]int32](t, db.super, attempts)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRetryWaitsForTheInterval(t *testing.T) {
	db, h := newDatabase(t), answering(t, 500)
	start(t, db.config(t, h, withRetries(1, 3600)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 1, 1)
	until(t, db.super, `SELECT tries = 1 AND locked IS NULL AND next_retry_at - created_at BETWEEN '1 hour' AND '61 min' FROM hdb_catalog.event_log`)
}

// A Retry-After asks for one attempt more each time it is sent, retries spent or not.
func TestRetryAfterSchedulesPastTheLastTry(t *testing.T) {
	db := newDatabase(t)
	h := newHook(t, func(w http.ResponseWriter, c call) {
		if c.body.DeliveryInfo.CurrentRetry < 2 {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	start(t, db.config(t, h, withRetries(0, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 3, 0)
	until(t, db.super, oneFailed)
	noMoreCalls(t, h)
}

func TestRetryAfterReplacesTheInterval(t *testing.T) {
	db := newDatabase(t)
	h := newHook(t, func(w http.ResponseWriter, _ call) {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	start(t, db.config(t, h, withRetries(1, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 1, 1)
	until(t, db.super, `SELECT next_retry_at - created_at BETWEEN '2 hours' AND '121 min' FROM hdb_catalog.event_log`)
}

func TestRetryAfterThatIsNoPositiveNumberIsIgnored(t *testing.T) {
	for _, value := range []string{"Wed, 21 Oct 2026 07:28:00 GMT", "0", "-5", "+5", "1.5", "soon", "99999999999999999999"} {
		db := newDatabase(t)
		h := newHook(t, func(w http.ResponseWriter, _ call) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		start(t, db.config(t, h, withRetries(0, 0)))
		execute(t, db.Pool(t, writer), insertAcme)
		expectRetries(t, h, 0, 1, 0)
		until(t, db.super, oneFailed)
		noMoreCalls(t, h)
	}
}

func TestRetryAfterOnSuccessIsIgnored(t *testing.T) {
	db := newDatabase(t)
	h := newHook(t, func(w http.ResponseWriter, _ call) { w.Header().Set("Retry-After", "1") })
	start(t, db.config(t, h, withRetries(3, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 1, 3)
	until(t, db.super, oneDelivered)
}

// The slow handler is still at work when the second copy arrives.
func TestTimeoutSendsASecondCopy(t *testing.T) {
	db := newDatabase(t)
	second := make(chan struct{})
	h := newHook(t, func(_ http.ResponseWriter, c call) {
		if c.body.DeliveryInfo.CurrentRetry == 1 {
			close(second)
			return
		}
		select {
		case <-second:
		case <-time.After(patience):
			t.Error("no second copy while the first was at work")
		}
	})
	start(t, db.config(t, h, withRetries(1, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	expectRetries(t, h, 0, 2, 1)
	until(t, db.super, oneDelivered)
	kind := query[string](t, db.super, `SELECT response->>'type' FROM hdb_catalog.event_invocation_logs WHERE status IS NULL`)
	if kind != "client_error" {
		t.Errorf("the attempt without answer is logged as %q", kind)
	}
}

func TestRedeliverSendsTheSameIDFromTheStart(t *testing.T) {
	db := newDatabase(t)
	var status atomic.Int64
	status.Store(500)
	h := newHook(t, func(w http.ResponseWriter, _ call) { w.WriteHeader(int(status.Load())) })
	log := start(t, db.config(t, h, withRetries(1, 0)))
	execute(t, db.Pool(t, writer), insertAcme)
	id := expectRetries(t, h, 0, 2, 1)
	until(t, db.super, oneFailed)
	for range 2 { // once what failed, once what was delivered
		status.Store(200)
		if err := log.Redeliver(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if again := expectRetries(t, h, 0, 1, 1); again != id {
			t.Errorf("redelivered as %s, want %s", again, id)
		}
		until(t, db.super, oneDelivered)
	}
	if err := log.Redeliver(t.Context(), "no-such-id"); !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestRedeliverRefusesAnEventUnderWay(t *testing.T) {
	db := newDatabase(t)
	answer := make(chan struct{})
	h := newHook(t, func(http.ResponseWriter, call) { <-answer })
	cfg := db.config(t, h, tenantChanged(nil))
	log := start(t, cfg)
	execute(t, db.Pool(t, writer), insertAcme)
	id := h.next(t).body.ID
	err := log.Redeliver(t.Context(), id)
	close(answer)
	if !errors.Is(err, ErrEventBusy) {
		t.Errorf("an event under way: %v", err)
	}
}

func TestAnAttemptThatADeadlockKeptFromTheLogIsNoRefusal(t *testing.T) {
	for code, want := range map[string]bool{"40P01": false, "40001": false, "57P01": false, "42501": true} {
		if got := refused(fmt.Errorf("record the attempt: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%s: refused is %t", code, got)
		}
	}
}
