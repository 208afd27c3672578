package purchase_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

// mostRuns is how often the queue takes an operation up in these tests.
const mostRuns = 4

// finish runs an operation as whoever began it and then the queue would, until it ends.
// Runs that crash leave their lease behind.
func (w *world) finish(t *testing.T, d *purchase.Desk, tenant id.Tenant, op id.Operation) {
	t.Helper()
	for range mostRuns {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := d.Finish(context.WithoutCancel(t.Context()), tenant, op); err != nil && !fault.Is(err, fault.Unavailable) {
				t.Errorf("run: %v", err)
			}
		}()
		<-done
		w.free(t, op)
		if w.state(t, op) != "open" {
			return
		}
	}
	t.Fatalf("the operation is open after %d runs", mostRuns)
}

// subscribedOnce demands what one subscription comes to, whatever happened on the way.
func (w *world) subscribedOnce(t *testing.T, team pgtest.Team, op id.Operation) {
	t.Helper()
	if state := w.state(t, op); state != "done" {
		t.Fatalf("the operation is %s", state)
	}
	result, err := w.desk(t, nil).Run(t.Context(), team.ID, op)
	if err != nil || result.State != "done" || result.Subscription == nil || result.Subscription.Status != "active" {
		t.Fatalf("its end is told as %+v, %v", result, err)
	}
	client, customer := w.client(t), w.customer(t, team)
	if all := collect(t, client.Subscriptions(t.Context(), stripeapi.SubscriptionFilter{Customer: customer})); len(all) != 1 {
		t.Errorf("%d subscriptions", len(all))
	}
	owner := scan[string](t, w, `SELECT email FROM auth.users WHERE id = $1`, team.Owner)
	if all := collect(t, client.Customers(t.Context(), stripeapi.CustomerFilter{Email: owner})); len(all) != 1 {
		t.Errorf("%d customers", len(all))
	}
	w.pays(t, team, 9900)
	if plan := w.plan(t, team); plan != "pro" {
		t.Errorf("the plan is %s", plan)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'billing_subscribe'`, team.ID); n != 1 {
		t.Errorf("%d rows in the audit log", n)
	}
}

// callsOf is how many calls an operation makes where nothing goes wrong.
func (w *world) callsOf(t *testing.T, in purchase.Input) int {
	t.Helper()
	team, counted := w.team(t), &trouble{}
	d := w.desk(t, counted)
	op, err := w.begin(t, d, team, in)
	if err != nil {
		t.Fatal(err)
	}
	w.finish(t, d, team.ID, op)
	return counted.calls
}

func TestSubscribeChargesOnceWhateverCallIsLostOrCrashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.callsOf(t, buyPro)
	if calls < 8 {
		t.Fatalf("only %d calls", calls)
	}
	for _, what := range []string{lostAfter, crashBefore, crashAfter} {
		for nth := 1; nth <= calls; nth++ {
			t.Run(fmt.Sprintf("call %d %s", nth, what), func(t *testing.T) {
				t.Parallel()
				team := w.team(t)
				d := w.desk(t, &trouble{nth: nth, what: what})
				op, err := w.begin(t, d, team, buyPro)
				if err != nil {
					t.Fatal(err)
				}
				w.finish(t, d, team.ID, op)
				w.subscribedOnce(t, team, op)
			})
		}
	}
}

func TestSubscribeChargesOnceWhateverStripeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, step := range []string{"customer", "attach", "default", "subscription"} {
		for what, kind := range map[string]stand.FaultKind{
			"429": stand.FaultRateLimit, "409": stand.FaultLockTimeout, "500 not done": stand.FaultErrorUndone, "500 done": stand.FaultErrorDone,
			"dropped before": stand.FaultDropBefore, "dropped after": stand.FaultDropAfter,
		} {
			for _, crashes := range []bool{false, true} {
				if crashes && kind != stand.FaultErrorDone && kind != stand.FaultDropAfter {
					continue // of what was not done nothing is left
				}
				t.Run(fmt.Sprintf("%s %s, crash after it %v", step, what, crashes), func(t *testing.T) {
					t.Parallel()
					team := w.team(t)
					way := &trouble{}
					d := w.desk(t, way)
					op, err := w.begin(t, d, team, buyPro)
					if err != nil {
						t.Fatal(err)
					}
					w.faults.Store(fmt.Sprintf("nself:%s:%s:0", op, step), kind)
					if crashes {
						way.what, way.at = crashAfter, fmt.Sprintf("nself:%s:%s:0", op, step)
					}
					w.finish(t, d, team.ID, op)
					w.subscribedOnce(t, team, op)
				})
			}
		}
	}
}

func TestRunnersOfOneOperationAtOnceChargeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		team := w.team(t)
		d := w.desk(t, nil)
		op, err := w.begin(t, d, team, buyPro)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				runner := w.desk(t, nil)
				if n%2 == 0 {
					if err := runner.Finish(t.Context(), team.ID, op); err != nil && !fault.Is(err, fault.Unavailable) {
						t.Error(err)
					}
					return
				}
				if result, err := runner.Run(t.Context(), team.ID, op); err != nil || result.State != "done" {
					t.Errorf("run: %+v, %v", result, err)
				}
			})
		}
		all.Wait()
		w.subscribedOnce(t, team, op)
	}
}

func TestARunnerThatLostItsLeaseDoesNothingMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	slow := &trouble{hold: make(chan struct{}), held: make(chan struct{})}
	first := w.desk(t, slow)
	op, err := w.begin(t, first, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	slow.at = fmt.Sprintf("nself:%s:subscription:0", op)
	ended := make(chan error, 1)
	go func() { ended <- first.Finish(t.Context(), team.ID, op) }()
	<-slow.held
	w.free(t, op)
	if err := w.desk(t, nil).Finish(t.Context(), team.ID, op); err != nil {
		t.Fatal(err)
	}
	w.subscribedOnce(t, team, op)
	close(slow.hold)
	if err := <-ended; !fault.Is(err, fault.Unavailable) {
		t.Errorf("the first runner ends with %v", err)
	}
	w.subscribedOnce(t, team, op)
}

func TestAnOperationThatIsTooOldMakesNothingAndFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, `UPDATE billing.operations SET created_at = now() - interval '21 hours' WHERE id = $1`, op)
	if err := d.Finish(t.Context(), team.ID, op); err != nil {
		t.Errorf("the queue goes on: %v", err)
	}
	if state := w.state(t, op); state != "failed unavailable" {
		t.Errorf("it is %s", state)
	}
	_, err = d.Run(t.Context(), team.ID, op)
	contains(t, err, "reconcile")
	if _, err := billing.CustomerOf(t.Context(), w.pool, team.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a customer was made: %v", err)
	}
	w.must(t, team, buyPro)
}

func TestWhoeverAskedAndWentAwayStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Run(ctx, team.ID, op); err != nil && !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	w.finish(t, d, team.ID, op)
	w.subscribedOnce(t, team, op)
}

func TestWhatIsOutOfReachGoesOnLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	op, err := w.begin(t, w.desk(t, nil), team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	away := w.desk(t, &trouble{nth: 1, what: awayFromNow})
	_, err = away.Run(t.Context(), team.ID, op)
	if !fault.Is(err, fault.Unavailable) || w.state(t, op) != "open" {
		t.Fatalf("%v, it is %s", err, w.state(t, op))
	}
	contains(t, err, op.String())
	w.finish(t, w.desk(t, nil), team.ID, op) // the lease was given back: nobody waits for it
	w.subscribedOnce(t, team, op)
}

func TestAnOperationEndsWhoseCustomerIsDeletedBeforeItCameIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team, way := w.team(t), &trouble{what: crashAfter}
	d := w.desk(t, way)
	op, err := w.begin(t, d, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_visa"})
	if err != nil {
		t.Fatal(err)
	}
	way.at = fmt.Sprintf("nself:%s:customer:0", op)
	crashed := make(chan struct{})
	go func() { defer close(crashed); _ = d.Finish(context.WithoutCancel(t.Context()), team.ID, op) }()
	<-crashed
	w.free(t, op)
	owner := scan[string](t, w, `SELECT email FROM auth.users WHERE id = $1`, team.Owner)
	made := collect(t, w.client(t).Customers(t.Context(), stripeapi.CustomerFilter{Email: owner}))
	if len(made) != 1 {
		t.Fatalf("%d customers", len(made))
	}
	w.deleteCustomer(t, made[0].ID)
	w.finish(t, d, team.ID, op)
	if state := w.state(t, op); state != "failed wrong-status" {
		t.Errorf("the operation is %s", state)
	}
	w.must(t, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_visa"})
	w.pays(t, team, 9900)
}
