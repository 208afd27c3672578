package billing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/usage"
)

// office is a database in which others settle, too.
type office struct {
	*billing.Book
	server, super *pgxpool.Pool
}

func newOffice(t *testing.T) office {
	t.Helper()
	db := pgtest.Database(t)
	o := office{server: db.Pool(t, "nself_server"), super: db.Superuser(t)}
	o.Book, _ = newBook(t)
	if _, err := o.super.Exec(t.Context(), catalogueSQL); err != nil {
		t.Fatal(err)
	}
	return o
}

// owing is a tenant whose payment failed a while ago.
func (o office) owing(t *testing.T, ago time.Duration) pgtest.Team {
	t.Helper()
	team := pgtest.NewTeam(t, o.server)
	at := time.Now().Add(-ago)
	err := pg.InTx(t.Context(), o.server, func(tx pgx.Tx) error {
		s := subscription("sub_1", "past_due")
		s.LatestInvoice = "in_1"
		if err := o.ApplyCustomer(t.Context(), tx, team.ID, billing.Customer{ID: "cus_" + team.Slug, CreatedAt: at}); err != nil {
			return err
		}
		if _, err := o.ApplySubscription(t.Context(), tx, team.ID, s); err != nil {
			return err
		}
		if err := o.ApplyInvoice(t.Context(), tx, team.ID, invoice("in_1", "sub_1", "open", at)); err != nil {
			return err
		}
		_, err := o.Settle(t.Context(), tx, team.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

func (o office) statusOf(t *testing.T, team pgtest.Team) tenant.Status {
	t.Helper()
	found, err := tenant.Get(t.Context(), o.server, team.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found.Status
}

// pass has the time that is left to the accounts pass.
func (o office) pass(t *testing.T, d time.Duration) {
	t.Helper()
	const passSQL = `
WITH i AS (UPDATE billing.invoices SET created_at = created_at - $1::interval, finalized_at = finalized_at - $1::interval)
UPDATE billing.accounts SET due_at = due_at - $1::interval`
	if _, err := o.super.Exec(t.Context(), passSQL, d); err != nil {
		t.Fatal(err)
	}
}

func TestSweepSuspendsWhoseGraceRanOut(t *testing.T) {
	o := newOffice(t)
	old, fresh := o.owing(t, 6*day), o.owing(t, time.Hour)
	if n, err := o.Sweep(t.Context(), o.server); n != 0 || err != nil {
		t.Errorf("swept %d before anything was due, %v", n, err)
	}
	o.pass(t, 20*time.Hour)
	if n, err := o.Sweep(t.Context(), o.server); n != 0 || err != nil {
		t.Errorf("swept %d before anything was due, %v", n, err)
	}
	o.pass(t, 4*time.Hour)
	for _, want := range []int64{2, 0} { // one is suspended, of the other a reminder is due
		if n, err := o.Sweep(t.Context(), o.server); n != want || err != nil {
			t.Errorf("swept %d, want %d, %v", n, want, err)
		}
	}
	if o.statusOf(t, old) != tenant.Suspended || o.statusOf(t, fresh) != tenant.Active {
		t.Errorf("%s and %s", o.statusOf(t, old), o.statusOf(t, fresh))
	}
}

func TestSweepGoesOnPastAnAccountThatFails(t *testing.T) {
	o := newOffice(t)
	broken, sound := o.owing(t, 6*day+23*time.Hour), o.owing(t, 6*day+22*time.Hour)
	if _, err := o.super.Exec(t.Context(), fmt.Sprintf(`ALTER TABLE billing.effects ADD CHECK (tenant_id <> '%s') NOT VALID`, broken.ID)); err != nil {
		t.Fatal(err)
	}
	o.pass(t, day)
	n, err := o.Sweep(t.Context(), o.server)
	if n != 1 || err == nil || !strings.Contains(err.Error(), broken.ID.String()) {
		t.Errorf("swept %d, %v", n, err)
	}
	if o.statusOf(t, broken) != tenant.Active || o.statusOf(t, sound) != tenant.Suspended {
		t.Errorf("%s and %s", o.statusOf(t, broken), o.statusOf(t, sound))
	}
}

// Who settle, suspend, change the cycle and sweep at the same time neither wait for each
// other forever nor do anything twice.
func TestManyWhoSettleOneAccountDoEachThingOnce(t *testing.T) {
	o := newOffice(t)
	team := o.owing(t, 6*day+23*time.Hour)
	o.pass(t, 2*time.Hour)
	inside := pgtest.Operator
	inside.Tenant = team.ID
	group, ctx := errgroup.WithContext(t.Context())
	for n := range 6 {
		group.Go(func() error {
			for range 5 {
				err := pg.InTx(ctx, o.server, func(tx pgx.Tx) error {
					s := subscription("sub_1", "past_due")
					s.LatestInvoice, s.AnchorAt = "in_1", start.Add(time.Duration(n)*time.Hour)
					if _, err := o.ApplySubscription(ctx, tx, team.ID, s); err != nil {
						return err
					}
					_, err := o.Settle(ctx, tx, team.ID)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for n := range 10 {
			anchor := start.Add(time.Duration(n) * time.Minute)
			if _, err := usage.SetCycle(ctx, o.server, inside, team.ID, &anchor); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for range 10 {
			if _, err := o.Sweep(ctx, o.server); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	const oftenSQL = `
SELECT (SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'suspend_tenant')
	+ (SELECT count(*) FROM billing.effects WHERE tenant_id = $1 AND key = 'suspended:sub_1:in_1')`
	var often int
	if err := o.super.QueryRow(t.Context(), oftenSQL, team.ID).Scan(&often); err != nil || often != 2 {
		t.Errorf("suspended and told %d times, want one each: %v", often, err)
	}
}
