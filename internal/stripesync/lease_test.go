package stripesync_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/stripesync"
)

const cancelsSQL = `SELECT cancel_at_period_end FROM billing.subscriptions WHERE stripe_id = $1`

// again is another event about the object of the one that is given.
func again(e stripesync.Event, event string) stripesync.Event {
	e.ID = event
	return e
}

func TestAWorkerThatStoodStillPastItsLeaseAppliesNothing(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	updated := w.about(t, "customer.subscription.created")
	w.accept(t, again(updated, "evt_first"))
	fetched, let := make(chan struct{}), make(chan struct{})
	w.delay("subscriptions/"+sub.ID, func() { close(fetched); <-let })
	stalled := make(chan error)
	go func() { stalled <- w.Object(t.Context(), sub.ID) }()
	<-fetched // it holds what was so before the change

	w.setCancel(t, sub.ID, true)
	w.accept(t, again(updated, "evt_second"))
	if err := w.Object(t.Context(), sub.ID); !fault.Is(err, fault.Unavailable) {
		t.Errorf("while the lease holds, another follows: %v", err)
	}
	w.exec(t, `UPDATE billing.stripe_objects SET leased_until = now() - interval '1 second' WHERE object_id = $1`, sub.ID)
	if err := w.Object(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	close(let)
	if err := <-stalled; err != nil {
		t.Errorf("the stalled worker: %v", err)
	}
	if !one[bool](t, w, cancelsSQL, sub.ID) || w.outcomes["subscription late"] != 1 {
		t.Errorf("the stale fact was applied; outcomes %v", w.outcomes)
	}
	w.wantState(t, sub.ID, "applied")
}

func TestAStalledWorkerLosesToOneThatStillHoldsTheLease(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	path := "subscriptions/" + sub.ID
	updated := w.about(t, "customer.subscription.created")
	w.accept(t, again(updated, "evt_first"))
	fetched, let := make(chan struct{}, 2), []chan struct{}{make(chan struct{}), make(chan struct{})}
	ends := make(chan error)
	for i := range let {
		w.delay(path, func() { fetched <- struct{}{}; <-let[i] })
		go func() { ends <- w.Object(t.Context(), sub.ID) }()
		<-fetched
		w.setCancel(t, sub.ID, true)
		w.exec(t, `UPDATE billing.stripe_objects SET leased_until = now() - interval '1 second' WHERE object_id = $1 AND $2`, sub.ID, i == 0)
	}
	close(let[0])
	if err := <-ends; !fault.Is(err, fault.Unavailable) {
		t.Errorf("the first finds the second at work: %v", err)
	}
	if one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("the first applied what it fetched")
	}
	close(let[1])
	if err := <-ends; err != nil || !one[bool](t, w, cancelsSQL, sub.ID) {
		t.Errorf("the second: %v", err)
	}
	w.wantState(t, sub.ID, "applied")
}

func TestAHintBetweenFetchAndApplyHasTheObjectFetchedAgain(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	updated := w.about(t, "customer.subscription.created")
	w.accept(t, again(updated, "evt_first"))
	w.delay("subscriptions/"+sub.ID, func() {
		w.setCancel(t, sub.ID, true)
		w.accept(t, again(updated, "evt_second"))
	})
	if err := w.Object(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	if !one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("what the second hint was about is not here")
	}
	w.wantState(t, sub.ID, "applied")
	if rest := one[int](t, w, `SELECT hints - applied FROM billing.stripe_objects WHERE object_id = $1`, sub.ID); rest != 0 {
		t.Errorf("%d hints are unanswered", rest)
	}
}

func TestOfManyWorkersOneFetchesAtATime(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	var at, most, fetches atomic.Int32
	w.mu.Lock()
	w.fault = func(c stripe.Call) stripe.Fault {
		if strings.HasSuffix(c.Path, sub.ID) {
			fetches.Add(1)
			if n := at.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(5 * time.Millisecond)
			at.Add(-1)
		}
		return stripe.Fault{}
	}
	w.mu.Unlock()
	w.accept(t, again(w.about(t, "customer.subscription.created"), "evt_again"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.Object(t.Context(), sub.ID); err != nil && !fault.Is(err, fault.Unavailable) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 || fetches.Load() != 1 {
		t.Errorf("%d fetched at once, %d in all, for one hint", most.Load(), fetches.Load())
	}
}

func TestNowWaitsForWhoeverIsAtItAndSeesWhatIsNew(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.accept(t, again(w.about(t, "customer.subscription.created"), "evt_again"))
	fetched, let := make(chan struct{}), make(chan struct{})
	w.delay("subscriptions/"+sub.ID, func() { close(fetched); <-let })
	other := make(chan error)
	go func() { other <- w.Object(t.Context(), sub.ID) }()
	<-fetched
	w.setCancel(t, sub.ID, true)
	time.AfterFunc(100*time.Millisecond, func() { close(let) })
	if err := w.Now(t.Context(), stripesync.Subscription, sub.ID, sub.Customer); err != nil {
		t.Fatal(err)
	}
	if !one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("Now returned before what it hinted at was here")
	}
	if err := <-other; err != nil && !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestNowThatFailsLeavesTheObjectToItsJob(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	w.setCancel(t, sub.ID, true)
	w.failing(stripe.FaultErrorUndone)
	if err := w.Now(t.Context(), stripesync.Subscription, sub.ID, sub.Customer); err == nil {
		t.Error("Now applied what Stripe did not tell")
	}
	w.failing(stripe.FaultNone)
	w.work(t)
	if !one[bool](t, w, cancelsSQL, sub.ID) {
		t.Error("the job did not go on")
	}
}

func TestALeaseIsGivenBackByOneThatPanicsOrIsCancelled(t *testing.T) {
	w := newWorld(t)
	_, sub := w.subscribed(t)
	path := "subscriptions/" + sub.ID
	w.accept(t, again(w.about(t, "customer.subscription.created"), "evt_again"))
	w.delay(path, func() { panic("in the midst") })
	func() {
		defer func() { _ = recover() }()
		_ = w.Object(t.Context(), sub.ID)
	}()
	if held := one[bool](t, w, `SELECT lease IS NOT NULL FROM billing.stripe_objects WHERE object_id = $1`, sub.ID); held {
		t.Error("one that panicked keeps the lease")
	}
	if err := w.Object(t.Context(), sub.ID); err != nil {
		t.Error(err)
	}
}

func TestSweepPushesWhatNobodyFollows(t *testing.T) {
	w := newWorld(t)
	for object, columns := range map[string]string{
		"in_lost":   `hinted_at = now() - interval '3 minutes'`,
		"in_new":    `hinted_at = now()`,
		"in_held":   `hinted_at = now() - interval '3 minutes', leased_until = now() + interval '1 minute'`,
		"in_busy":   `hinted_at = now() - interval '9 minutes', leased_until = now() - interval '1 minute'`,
		"in_left":   `hinted_at = now() - interval '9 minutes', leased_until = now() - interval '3 minutes'`,
		"in_failed": `hinted_at = now() - interval '3 minutes', tries = 1`,
		"in_parked": `hinted_at = now() - interval '3 minutes', state = 'parked', reason = 'r'`,
	} {
		w.accept(t, hint("evt_"+object, object))
		w.exec(t, `UPDATE billing.stripe_objects SET `+columns+` WHERE object_id = $1`, object)
	}
	w.pushed = nil
	for round, want := range []int64{2, 0, 1, 1, 0} {
		if n, err := w.Sweep(t.Context(), w.pool); n != want || err != nil {
			t.Errorf("round %d pushed %d, %v; want %d", round, n, err, want)
		}
		w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = hinted_at - interval '3 minutes' WHERE object_id <> 'in_new'`)
	}
	slices.Sort(w.pushed)
	if got := strings.Join(w.pushed, " "); got != "in_failed in_left in_lost in_lost" {
		t.Errorf("it pushed %q", got)
	}
}

func TestOneWhoIsPutOffHasOneJobAndFailsInTheEnd(t *testing.T) {
	w := newWorld(t)
	w.accept(t, hint("evt_1", "in_1"))
	w.failing(stripe.FaultRateLimit)
	for _, minutes := range []int{0, 3, 3} {
		w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = hinted_at - $1 * interval '1 minute'`, minutes)
		if err := w.Object(t.Context(), "in_1"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("within its time: %v", err)
		}
		if n, err := w.Sweep(t.Context(), w.pool); n != 0 || err != nil {
			t.Errorf("%d jobs more, %v", n, err)
		}
	}
	w.exec(t, `UPDATE billing.stripe_objects SET hinted_at = hinted_at - interval '5 minutes'`)
	if err := w.Object(t.Context(), "in_1"); err == nil || fault.Is(err, fault.Unavailable) {
		t.Errorf("after its time: %v", err)
	}
	if tries := one[int](t, w, `SELECT tries FROM billing.stripe_objects`); tries != 1 {
		t.Errorf("%d tries are counted", tries)
	}
}
