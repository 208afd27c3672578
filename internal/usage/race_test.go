package usage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

// race runs the workers at once until each has ended, and fails at the first error.
func race(t *testing.T, workers ...func(ctx context.Context) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	for _, work := range workers {
		group.Go(func() error { return work(ctx) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// deliver records events in batches of random size and order, and counts the accepted.
func deliver(db *pgxpool.Pool, events []usage.Event, accepted *[]int) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		order := rand.Perm(len(events))
		for len(order) > 0 {
			n := min(len(order), 1+rand.IntN(200))
			batch := make([]usage.Event, n)
			for i, place := range order[:n] {
				batch[i] = events[place]
			}
			order = order[n:]
			outcomes, err := usage.Record(ctx, db, pgtest.Operator, batch)
			if err != nil {
				return err
			}
			for i, o := range outcomes {
				if o.Status == usage.Refused {
					return fmt.Errorf("%+v is refused: %s", batch[i], o.Reason)
				}
				if o.Status == usage.Accepted {
					*accepted = append(*accepted, 1)
				}
			}
		}
		return nil
	}
}

func TestEventsDeliveredByManyAtOnceAreCountedOnce(t *testing.T) {
	d := pgtest.Database(t)
	db := d.Pool(t, "nself_server")
	define(t, db, "peak", usage.Max)
	define(t, db, "faces", usage.Unique)
	var events []usage.Event
	var teams []pgtest.Team
	for range 5 {
		team := pgtest.NewTeam(t, db)
		teams = append(teams, team)
		for i := range 300 {
			at := time.Now().Add(-time.Duration(i) * time.Second)
			events = append(events,
				usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: fmt.Sprint("c", i), Amount: number("0.1"), At: at},
				usage.Event{Tenant: team.ID, Meter: "peak", Key: fmt.Sprint("p", i), Amount: number(fmt.Sprint(i))},
				usage.Event{Tenant: team.ID, Meter: "faces", Key: fmt.Sprint("f", i), Amount: number("1"), Value: fmt.Sprint(i % 50)})
		}
	}
	accepted := make([][]int, 6)
	var workers []func(context.Context) error
	for i := range accepted {
		server := db
		if i%2 == 1 {
			server = d.Pool(t, "nself_server") // as another process would
		}
		workers = append(workers, deliver(server, events, &accepted[i]))
	}
	race(t, workers...)
	total := 0
	for _, a := range accepted {
		total += len(a)
	}
	if total != len(events) {
		t.Errorf("%d accepted of %d different events", total, len(events))
	}
	for _, team := range teams {
		if got := used(t, db, team.ID, "compute_hours") + " " + used(t, db, team.ID, "peak") + " " + used(t, db, team.ID, "faces"); got != "30 299 50" {
			t.Errorf("used %s", got)
		}
	}
	balanced(t, db)
}

// Batches name the same tenants and meters in opposite order, while others take from them
// and levels change: nobody may wait for somebody who waits.
func TestNobodyWaitsForSomebodyWhoWaits(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	define(t, db, "calls", usage.Count)
	define(t, db, "faces", usage.Unique)
	tenants := make([]id.Tenant, 20)
	for i := range tenants {
		tenants[i] = pgtest.NewTeam(t, db).ID
	}
	meters := []string{"calls", "compute_hours", "faces", "api_requests"}
	batch := func(worker, round int, turned bool) []usage.Event {
		var events []usage.Event
		for i := range 400 {
			place := i
			if turned {
				place = 399 - i
			}
			e := usage.Event{Tenant: tenants[place%20], Meter: meters[place%4], Key: fmt.Sprint(round, ":", place), Amount: number("1")}
			if e.Meter == "faces" {
				e.Value = fmt.Sprint(place % 7)
			}
			if place%3 == 0 {
				e.Key += fmt.Sprint(":", worker)
			}
			events = append(events, e)
		}
		return events
	}
	recorder := func(worker int) func(context.Context) error {
		return func(ctx context.Context) error {
			for round := range 8 {
				if _, err := usage.Record(ctx, db, pgtest.Operator, batch(worker, round, worker%2 == 1)); err != nil {
					return fmt.Errorf("record: %w", err)
				}
			}
			return nil
		}
	}
	taker := func(meter, value string) func(context.Context) error {
		return func(ctx context.Context) error {
			for i := range 200 {
				_, err := db.Exec(ctx, `SELECT billing.take(@tenant, @meter, ARRAY[1, 1], ARRAY[@value, @value])`,
					pgx.NamedArgs{"tenant": tenants[i%20], "meter": meter, "value": value + fmt.Sprint(i%9)})
				if err != nil {
					return fmt.Errorf("take: %w", err)
				}
			}
			return nil
		}
	}
	mover := func(ctx context.Context) error {
		for i := range 100 {
			err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
				moved := object(tenants[i%20], "UPDATE", 3, 3)
				moved.New = object(tenants[(i*7+1)%20], "INSERT", -1, 3).New
				return usage.Apply(ctx, tx, moved)
			})
			if err != nil {
				return fmt.Errorf("apply: %w", err)
			}
		}
		return nil
	}
	race(t, recorder(0), recorder(1), recorder(2), taker("calls", ""), taker("faces", "x"), mover, mover)
	deadlocks, err := pg.Scalar[int64](t.Context(), db, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`, nil)
	if err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
	if _, err := usage.Reconcile(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	drifts, err := usage.Drifts(t.Context(), db)
	for _, d := range drifts {
		if d.Meter != "storage" { // which no rows are behind here
			t.Errorf("the total of %s is %s, and its events make %s", d.Meter, d.Total, d.Counted)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// While a period is being closed events for it arrive: each is counted before, or refused.
func TestNothingIsCountedInAPeriodOnceItIsClosed(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	define(t, db, "calls", usage.Count)
	for range 10 {
		team := pgtest.NewTeam(t, db)
		plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES
			(@tenant, now() - interval '40 days', now() - interval '10 days'), (@tenant, now() - interval '10 days', now() + interval '20 days')`,
			pgx.NamedArgs{"tenant": team.ID})
		late := func(ctx context.Context) error {
			for i := range 15 {
				_, err := usage.Record(ctx, db, pgtest.Operator, []usage.Event{
					{Tenant: team.ID, Meter: []string{"compute_hours", "api_requests", "calls"}[i%3], Key: fmt.Sprint(i), Amount: number("1"), At: time.Now().AddDate(0, 0, -20)}})
				if err != nil {
					return err
				}
			}
			return nil
		}
		counted := func(ctx context.Context) (used decimal.Decimal, err error) {
			return pg.Scalar[decimal.Decimal](ctx, db, `SELECT coalesce(sum(t.used), 0) FROM billing.usage_totals t
				JOIN billing.usage_periods p ON p.tenant_id = t.tenant_id AND p.starts_at = t.period_start
				WHERE t.tenant_id = @tenant AND p.closed_at IS NOT NULL`, pgx.NamedArgs{"tenant": team.ID})
		}
		var final decimal.Decimal
		closer := func(ctx context.Context) error {
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			for closed := int64(0); closed == 0; {
				var err error
				if closed, err = usage.ClosePeriods(ctx, db); err != nil {
					return err
				}
			}
			var err error
			final, err = counted(ctx)
			return err
		}
		race(t, late, closer)
		if after, err := counted(t.Context()); err != nil || !after.Equal(final) {
			t.Errorf("%s when it was closed, %s later, %v", final, after, err)
		}
	}
	balanced(t, db)
}

// countInto runs a routine and keeps what it says.
func countInto(t *testing.T, into *int64, db pg.DB, routine func(context.Context, pg.DB) (int64, error)) func(context.Context) error {
	t.Helper()
	return func(ctx context.Context) (err error) {
		*into, err = routine(ctx, db)
		return err
	}
}
