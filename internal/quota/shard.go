package quota

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// mostInRound bounds the asks that one round trip decides.
const mostInRound = 1000

// pair is what is decided together: one meter of one tenant.
type pair struct {
	tenant id.Tenant
	meter  string
}

// before is the order in which everybody locks totals.
func (p pair) before(other pair) int {
	one, _ := p.tenant.UUIDValue()
	two, _ := other.tenant.UUIDValue()
	return cmp.Or(bytes.Compare(one.Bytes[:], two.Bytes[:]), cmp.Compare(p.meter, other.meter))
}

// job is the part of a round that is about one pair.
type job interface {
	of() pair
	queue(batch *pgx.Batch)              // adds its statements
	read(results pgx.BatchResults) error // reads their answers, all of them
	finish(db pg.DB, err error)          // nil: committed, and db can be asked; again: nothing
}

// shard sends the asks of some tenants to the database, one round trip at a time: what
// comes meanwhile waits and goes together, in one transaction. While nothing is asked no
// goroutine runs.
type shard struct {
	decider *Decider
	mu      sync.Mutex
	strict  []*strictAsk
	leases  []*lease
	running bool
}

func (s *shard) addStrict(ask *strictAsk) {
	s.mu.Lock()
	s.strict = append(s.strict, ask)
	s.start()
	s.mu.Unlock()
}

// addLease is for a lease that is marked busy, by whoever calls.
func (s *shard) addLease(l *lease) {
	s.mu.Lock()
	s.leases = append(s.leases, l)
	s.start()
	s.mu.Unlock()
}

func (s *shard) start() {
	if !s.running {
		s.running = true
		go s.run()
	}
}

func (s *shard) run() {
	for {
		jobs := s.next()
		if len(jobs) == 0 {
			return
		}
		s.guarded(jobs)
	}
}

// guarded is a round of which a panic ends no more than its jobs.
func (s *shard) guarded(jobs []job) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.decider.config.Log.Error("a round of quota decisions panicked", "panic", panicked, "stack", string(debug.Stack()))
			for _, one := range jobs {
				one.finish(nil, fmt.Errorf("a round of quota decisions panicked: %v", panicked))
			}
		}
	}()
	s.round(jobs)
}

// next takes what waits, as jobs in the order of their pairs. None: the shard rests.
func (s *shard) next() []job {
	s.mu.Lock()
	strict := s.strict[:min(len(s.strict), mostInRound)]
	leases := s.leases[:min(len(s.leases), mostInRound)]
	s.strict, s.leases = s.strict[len(strict):], s.leases[len(leases):]
	s.running = len(strict)+len(leases) > 0
	s.mu.Unlock()
	jobs := groupStrict(s.decider, strict)
	for _, l := range leases {
		jobs = append(jobs, l.begin())
	}
	sortJobs(jobs)
	return jobs
}

func sortJobs(jobs []job) {
	slices.SortStableFunc(jobs, func(a, b job) int { return a.of().before(b.of()) })
}

// round has the database do the jobs, over one connection: what it can take whole, and
// the others in one transaction. Where it refuses one of many, each is done by itself, so
// that none fails for another's sake.
func (s *shard) round(jobs []job) {
	conn, err := s.connect()
	if err == nil {
		defer conn.Release()
		jobs, err = s.takeWhole(conn, jobs)
	}
	if err == nil {
		err = s.send(conn, jobs, lockPatience)
	}
	if answered(err) && (len(jobs) > 1 || isBusy(err)) {
		s.oneByOne(conn, jobs)
		return
	}
	err = s.decider.judge(err)
	for _, one := range jobs {
		one.finish(conn, err)
	}
}

// oneByOne sends each job by itself. Each has its own time, but after one that got no
// answer none is sent any more.
func (s *shard) oneByOne(conn *pgxpool.Conn, jobs []job) {
	var lost error
	for _, one := range jobs {
		err := lost
		if err == nil {
			err = s.send(conn, []job{one}, shortly)
		}
		if lost == nil && silent(err) {
			err = s.decider.judge(err)
			lost = err
		}
		one.finish(conn, err)
	}
}

// connect is the connection of a round. Waiting for it is no outage: the pool may be full.
func (s *shard) connect() (*pgxpool.Conn, error) {
	if s.decider.knownAway() {
		return nil, errAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	return s.decider.config.DB.Acquire(ctx)
}

// send is one round trip, which waits for each lock so long. An error says that nothing of
// it happened where it was answered, and otherwise that nobody knows.
func (s *shard) send(conn *pgxpool.Conn, jobs []job, locks string) error {
	if len(jobs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(boundLocksSQL, patience(locks))
	for _, one := range jobs {
		one.queue(batch)
	}
	results := conn.SendBatch(ctx, batch)
	if _, err := results.Exec(); err != nil {
		_ = results.Close() // says the same
		return err
	}
	for _, one := range jobs {
		if err := one.read(results); err != nil {
			_ = results.Close() // says the same
			return err
		}
	}
	return results.Close()
}

// deadline is when a span that the database told ends here. Of two clocks the monotonic
// one stands still while the machine sleeps, and the other may be set: either ends it.
type deadline struct {
	asked time.Time     // before it was asked for, by the monotonic clock
	wall  time.Time     // the same, by the other
	lasts time.Duration // from when the database answered
}

func newDeadline(asked time.Time, lasts time.Duration) deadline {
	return deadline{asked, asked.Round(0), lasts}
}

func (d deadline) over(now time.Time) bool {
	return now.Sub(d.asked) >= d.lasts || now.Round(0).Sub(d.wall) >= d.lasts
}
