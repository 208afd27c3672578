package purchase_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/tenant"
)

// ages makes an operation as old as that.
func (w *world) ages(t *testing.T, op id.Operation, interval string) {
	t.Helper()
	w.exec(t, `UPDATE billing.operations SET created_at = created_at - $2::interval, updated_at = updated_at - $2::interval WHERE id = $1`, op, interval)
}

func (w *world) sweeps(t *testing.T) {
	t.Helper()
	w.queued.ops = nil
	if _, err := w.desk(t, nil).Sweep(t.Context(), w.pool); err != nil {
		t.Fatal(err)
	}
}

// unread answers no read.
type unread struct{ to http.RoundTripper }

func (u unread) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return u.to.RoundTrip(r)
	}
	body := io.NopCloser(strings.NewReader(`{"error":{"type":"invalid_request_error","message":"Expired API Key"}}`))
	return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Request: r, Body: body}, nil
}

func TestAnOperationThatIsTooOldFailsWhateverItMeets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	d := w.deskOver(t, unread{w.stripe.Transport()})
	op, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(t.Context(), team.ID, op); err == nil || w.state(t, op) != "open" {
		t.Fatalf("young it is %s, %v", w.state(t, op), err)
	}
	w.ages(t, op, "21 hours")
	if err := d.Finish(t.Context(), team.ID, op); err != nil || w.state(t, op) != "failed unavailable" {
		t.Errorf("old it is %s, %v", w.state(t, op), err)
	}
	w.must(t, team, buyPro)
	w.pays(t, team, 9900)
}

func TestAnOperationThatCannotBeReadIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bury := range []bool{false, true} {
		team := w.team(t)
		d := w.desk(t, nil)
		op, err := w.begin(t, d, team, buyPro)
		if err != nil {
			t.Fatal(err)
		}
		w.exec(t, `UPDATE billing.operations SET results = '{"customer": 5}' WHERE id = $1`, op)
		if err := d.Finish(t.Context(), team.ID, op); err == nil {
			t.Fatal("it was read")
		}
		w.free(t, op)
		w.ages(t, op, "23 hours")
		if bury {
			err = d.Bury(t.Context(), team.ID, op, errors.New("no more tries"))
		} else {
			w.sweeps(t)
		}
		if err != nil || w.state(t, op) != "failed unavailable" {
			t.Errorf("bury %v: it is %s, %v", bury, w.state(t, op), err)
		}
		w.must(t, team, buyPro)
	}
}

func TestSweepHasTakenUpWhatNobodyGoesOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk(t, nil)
	begin := func() id.Operation {
		op, err := w.begin(t, d, w.team(t), buyPro)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	_, left, crashed, held := begin(), begin(), begin(), begin()
	w.ages(t, left, "3 minutes")
	const leaseSQL = `UPDATE billing.operations SET lease = gen_random_uuid(), leased_until = now() + $2::interval WHERE id = $1`
	w.exec(t, leaseSQL, crashed, "-1 second")
	w.exec(t, leaseSQL, held, "1 minute")
	w.ages(t, held, "10 minutes")
	w.sweeps(t)
	if len(w.queued.ops) != 2 || w.queued.ops[0] == w.queued.ops[1] {
		t.Errorf("pushed %v", w.queued.ops)
	}
	for _, op := range w.queued.ops {
		if op != left && op != crashed {
			t.Errorf("%s was pushed", op)
		}
	}
	w.sweeps(t)
	if len(w.queued.ops) != 0 {
		t.Errorf("pushed again: %v", w.queued.ops)
	}
}

func (w *world) deletes(t *testing.T, team pgtest.Team) {
	t.Helper()
	operator := pgtest.Operator
	operator.Tenant = team.ID
	if _, err := tenant.Delete(t.Context(), w.pool, operator, team.Slug, pgtest.Defaults); err != nil {
		t.Fatal(err)
	}
}

func TestADeletedTenantIsChargedNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code = 'pro'`)
	team := w.clocked(t, "pro")
	w.deletes(t, team)
	w.exec(t, `DELETE FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2`, team.ID, team.Guest)
	w.begun(t, func(d *purchase.Desk) (int64, error) { return d.Seats(t.Context(), w.pool) }, 0)
	w.sweeps(t)
	if s := w.main(t, team); !s.CancelAtPeriodEnd {
		t.Fatalf("%+v", s)
	}
	w.sweeps(t)
	if len(w.queued.ops) != 0 {
		t.Errorf("begun again: %v", w.queued.ops)
	}
	w.passes(t, team, 32*day)
	w.pays(t, team, 4*9900)
}

func TestARestoredTenantGoesOnUnlessItCanceledItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team, leaving := w.team(t), w.team(t)
	w.must(t, team, buyPro)
	w.must(t, leaving, buyPro)
	w.must(t, leaving, purchase.Cancel{AtPeriodEnd: true})
	for _, one := range []pgtest.Team{team, leaving} {
		w.deletes(t, one)
		w.sweeps(t)
		operator := pgtest.Operator
		operator.Tenant = one.ID
		if _, err := tenant.Restore(t.Context(), w.pool, operator); err != nil {
			t.Fatal(err)
		}
		w.sweeps(t)
	}
	if w.main(t, team).CancelAtPeriodEnd || !w.main(t, leaving).CancelAtPeriodEnd {
		t.Errorf("%+v, %+v", w.main(t, team), w.main(t, leaving))
	}
}

func TestWhatADeletedTenantUsedBeforeIsBilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.used(t, team)
	w.deletes(t, team)
	w.begun(t, func(d *purchase.Desk) (int64, error) { return d.Overages(t.Context(), w.pool) }, 1)
}

func TestAPortalMakesNoCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	op, err := w.begin(t, w.desk(t, nil), team, purchase.Portal{})
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, `UPDATE billing.customers SET deleted_at = now() WHERE tenant_id = $1`, team.ID)
	if _, err := w.desk(t, nil).Run(t.Context(), team.ID, op); !fault.Is(err, fault.NoSubscription) {
		t.Errorf("%v", err)
	}
}

func TestTheLastTryMovesNoKeyOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	away := w.deskOver(t, unanswered{w.stripe.Transport()})
	if err := away.Finish(t.Context(), team.ID, op); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	if n := scan[int64](t, w, `SELECT (results -> 'customer' ->> 'generation')::bigint FROM billing.operations WHERE id = $1`, op); n != 2 {
		t.Errorf("the key is at its generation %d after five answers of 5xx, want 2: each is asked twice", n)
	}
	w.finish(t, d, team.ID, op)
	w.subscribedOnce(t, team, op)
}

// unanswered answers each write with 503.
type unanswered struct{ to http.RoundTripper }

func (u unanswered) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return u.to.RoundTrip(r)
	}
	body := io.NopCloser(strings.NewReader(`{"error":{"type":"api_error","message":"Try again"}}`))
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Request: r, Body: body}, nil
}
