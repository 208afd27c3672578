package quota

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/id"
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
	queue(batch *pgx.Batch)                // adds its statements
	read(results pgx.BatchResults) error   // reads their answers, all of them
	finish(ctx context.Context, err error) // nil: committed
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
		s.round(jobs)
	}
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

// round has the database do the jobs: what it can take whole, and the others in one
// transaction. Where it refuses one of many, each is done by itself, so that none fails
// for another's sake.
func (s *shard) round(jobs []job) {
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	jobs, err := s.takeWhole(ctx, jobs)
	if err == nil {
		err = s.send(ctx, jobs)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (len(jobs) > 1 || isBusy(err)) {
		for _, one := range jobs {
			one.finish(ctx, s.send(ctx, []job{one}))
		}
		return
	}
	s.decider.noteAway(err)
	for _, one := range jobs {
		one.finish(ctx, err)
	}
}

// lockPatience is how long a round waits for one lock: it holds up all others of its shard.
const lockPatience = "1s"

const boundLocksSQL = `SELECT set_config('lock_timeout', @patience, true)`

// send is one round trip. An error says that nothing of it happened where it is
// Postgres's, and otherwise that nobody knows.
func (s *shard) send(ctx context.Context, jobs []job) error {
	if len(jobs) == 0 {
		return nil
	}
	if s.decider.knownAway() {
		return errAway
	}
	batch := &pgx.Batch{}
	batch.Queue(boundLocksSQL, pgx.NamedArgs{"patience": lockPatience})
	for _, one := range jobs {
		one.queue(batch)
	}
	results := s.decider.config.DB.SendBatch(ctx, batch)
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
	asked time.Time     // before it was asked for
	lasts time.Duration // from when the database answered
}

func (d deadline) over(now time.Time) bool {
	return now.Sub(d.asked) >= d.lasts || now.Round(0).Sub(d.asked.Round(0)) >= d.lasts
}
