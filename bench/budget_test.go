package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

// BenchmarkBudget measures what a budget costs each transaction of a tenant, and what it
// spares the neighbours of one that takes all it can get.
func BenchmarkBudget(b *testing.B) {
	db := pgtest.Database(b)
	server := db.Pool(b, "nself_server")
	noisy, calm := pgtest.NewTeam(b, server), pgtest.NewTeam(b, server)
	b.Run("enter", func(b *testing.B) { entering(b, server, db.Pool(b, "nself_app"), calm) })
	b.Run("neighbour", func(b *testing.B) {
		neighbours(b, street{server: server, app: db.Pool(b, "nself_app"), noisy: noisy, calm: calm})
	})
}

// barelySQL is entering without a budget: the session and the role alone.
const barelySQL = `SELECT set_config('hasura.user', @session, true), set_config('role', 'nself_tenant', true)`

// entering compares transactions that enter a tenant and do nothing else, and such that do
// the least that an action does: they look whether the caller may, enter, and read.
func entering(b *testing.B, server, app *pgxpool.Pool, team pgtest.Team) {
	owner := team.As(member.Owner)
	within := func(db *pgxpool.Pool, enter func(tx pgx.Tx) error) func() error {
		return func() error { return pg.InTx(context.Background(), db, enter) }
	}
	with := func(tx pgx.Tx) error { return pg.EnterTenant(context.Background(), tx, owner) }
	without := func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), barelySQL, pgx.NamedArgs{"session": owner.Setting()})
		return err
	}
	action := func(enter func(tx pgx.Tx) error) func(tx pgx.Tx) error {
		return func(tx pgx.Tx) error {
			if err := errors.Join(token.Admit(context.Background(), tx, owner), enter(tx)); err != nil {
				return err
			}
			_, err := tx.Exec(context.Background(), `SELECT count(*) FROM tenants.tenant_members`)
			return err
		}
	}
	all := compare(b, 200, side{"with its budget", within(server, with)}, side{"without", within(server, without)},
		side{"a service", within(app, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `SELECT tenants.enter($1)`, owner.Setting())
			return err
		})},
		side{"an action with its budget", within(server, action(with))}, side{"an action without", within(server, action(without))})
	b.ReportMetric(100*(all.ratio(0, 1)-1), "%-more-time")
	b.ReportMetric(100*(all.ratio(3, 4)-1), "%-more-of-an-action")
	b.ReportMetric(all.micros(0), "µs")
	b.ReportMetric(all.micros(1), "before-µs")
	b.ReportMetric(all.micros(2), "service-µs")
}

// street is two tenants of one pool of connections.
type street struct {
	server, app *pgxpool.Pool
	noisy, calm pgtest.Team
}

// The noise: as many as that at once, each with a statement that takes some hundredths of a
// second by itself.
const (
	voices   = 16
	shoutSQL = `SELECT count(*) FROM generate_series(1, 100000) AS g (n) WHERE md5(n::text) LIKE 'a%'`
	calls    = 15 // of the neighbour, in each round
)

// neighbours measures how long a neighbour's small transaction takes, its wait for a
// connection of the pool with it: in quiet, beside the noise, and beside the noise with a
// budget. The three take turns.
func neighbours(b *testing.B, s street) {
	var quiet, without, with []time.Duration
	var refused atomic.Int64
	for b.Loop() {
		quiet = append(quiet, s.calling(b)...)
		s.budget(b, budget.SetInput{Connections: new(int), StatementTimeoutMS: new(int)})
		without = append(without, s.beside(b, &refused)...)
		two, short := 2, 50
		s.budget(b, budget.SetInput{Connections: &two, StatementTimeoutMS: &short})
		refused.Store(0)
		with = append(with, s.beside(b, &refused)...)
	}
	if refused.Load() == 0 {
		b.Fatal("the budget refused nothing")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratioAt(without, quiet, 50), "x-quiet-without")
	b.ReportMetric(ratioAt(with, quiet, 50), "x-quiet-with")
	b.ReportMetric(ratioAt(without, with, 50), "x-better-median")
	b.ReportMetric(ratioAt(without, with, 95), "x-better-p95")
	b.ReportMetric(float64(at(quiet, 50).Microseconds()), "quiet-µs")
}

func at(took []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*percent/100]
}

func ratioAt(one, other []time.Duration, percent int) float64 {
	return float64(at(one, percent)) / float64(at(other, percent))
}

// budget sets what the noisy tenant may take; 0 is the default's, which is none here.
func (s street) budget(b *testing.B, in budget.SetInput) {
	b.Helper()
	err := pg.InTx(context.Background(), s.server, func(tx pgx.Tx) error {
		none := 0
		if _, err := budget.SetDefault(context.Background(), tx, pgtest.Operator, budget.SetInput{Connections: &none, StatementTimeoutMS: &none}); err != nil {
			return err
		}
		actor := pgtest.Operator
		actor.Tenant = s.noisy.ID
		_, err := budget.Set(context.Background(), tx, actor, in)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// call is one transaction of a service for a team.
func (s street) call(team pgtest.Team, sql string) error {
	return pg.InTx(context.Background(), s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.Background(), `SELECT tenants.enter($1)`, fmt.Sprintf(`{"x-hasura-tenant-id": %q}`, team.ID)); err != nil {
			return err
		}
		_, err := tx.Exec(context.Background(), sql)
		return err
	})
}

// calling times the neighbour's calls.
func (s street) calling(b *testing.B) []time.Duration {
	b.Helper()
	took := make([]time.Duration, calls)
	for i := range took {
		began := time.Now()
		if err := s.call(s.calm, `SELECT count(*) FROM tenants.tenant_members`); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	return took
}

// beside is calling while the noisy tenant does what it can, and comes again at once where
// it is refused, after the second that the refusal names, shortened to a fiftieth.
func (s street) beside(b *testing.B, refused *atomic.Int64) []time.Duration {
	b.Helper()
	var still atomic.Bool
	var noise sync.WaitGroup
	for range voices {
		noise.Go(func() {
			for !still.Load() {
				if s.call(s.noisy, shoutSQL) != nil {
					refused.Add(1)
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	defer noise.Wait()
	defer still.Store(true)
	time.Sleep(200 * time.Millisecond) // until all of it is there
	return s.calling(b)
}
