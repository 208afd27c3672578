package quota

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// leaseJob settles what a lease owes and asks for more of it.
type leaseJob struct {
	lease   *lease
	asked   time.Time
	reports []report
	id      id.Lease
	number  int64
	needed  int64 // by those who wait, within the size of a lease
	wanted  int64
	fewest  int64 // that help anybody
	idle    bool  // nobody waits any more
	got     leaseAnswer
	found   bool

	finished bool
}

// leaseAnswer is what billing.lease answers.
type leaseAnswer struct {
	figures
	Left  *decimal.Decimal `db:"left"` // nil: the lease ended, or is of another period
	Rest  *decimal.Decimal `db:"rest"` // nil: no bound
	Lasts time.Duration    `db:"lasts"`
}

// begin is called by whoever does the job, and whoever added it marked the lease busy.
func (l *lease) begin() job {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.ripe(now) {
		l.retire()
	}
	l.tell()
	j := &leaseJob{lease: l, asked: now, reports: append([]report(nil), l.unsettled...), idle: len(l.waiting) == 0}
	if j.idle {
		return j
	}
	if l.id.IsZero() {
		l.id = id.New[id.Lease]()
	}
	l.number++
	j.id, j.number = l.id, l.number
	smallest, sum := l.waiting[0].amount, int64(0)
	for _, w := range l.waiting {
		smallest, sum = min(smallest, w.amount), min(sum+w.amount, mostUnits)
	}
	target := max(l.meter.LeaseSize*billion, smallest)
	j.needed = max(min(sum, target)-l.left, 0)
	j.wanted = max(target-l.left, j.needed)
	j.fewest = max(smallest-l.left, 0)
	return j
}

func (j *leaseJob) of() pair { return j.lease.of }

const leaseSQL = `
SELECT "left", rest, used, held, "limit", enforcement, ends_at, ends_at - now() AS lasts
FROM billing.lease(@tenant_id, @meter, @lease, @number, @holder, @needed::text::numeric, @wanted::text::numeric, @fewest::text::numeric)`

func (j *leaseJob) queue(batch *pgx.Batch) {
	for _, r := range j.reports {
		batch.Queue(reportLeasesSQL, reportArgs([]told{{j.lease, r}}))
	}
	if j.idle {
		return
	}
	batch.Queue(leaseSQL, pgx.NamedArgs{
		"tenant_id": j.lease.of.tenant, "meter": j.lease.of.meter, "lease": j.id, "number": j.number, "holder": j.lease.decider.config.Holder,
		"needed": fromUnits(j.needed).String(), "wanted": fromUnits(j.wanted).String(), "fewest": fromUnits(j.fewest).String(),
	})
}

func (j *leaseJob) read(results pgx.BatchResults) error {
	for range j.reports {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	if j.idle {
		return nil
	}
	rows, _ := results.Query()
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[leaseAnswer])
	if err != nil && !pg.NoRow(err) {
		return err
	}
	j.got, j.found = got, err == nil
	return nil
}

func (j *leaseJob) finish(db pg.DB, err error) {
	if j.finished {
		return
	}
	l, committed := j.lease, err == nil
	if committed && !j.idle && !j.found {
		err = missing(db, l.of)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if committed {
		l.unsettled = l.unsettled[len(j.reports):]
	}
	switch {
	case err == nil:
		l.busy = j.done()
	case committed:
		l.retire()
		fallthrough
	default:
		j.failed(err)
		l.busy = false
	}
	j.finished = true
	if l.busy {
		l.decider.shardOf(l.of.tenant).addLease(l)
	}
}

// done takes in what the database answered. True: some wait for more.
func (j *leaseJob) done() bool {
	l := j.lease
	if j.idle {
		return len(l.waiting) > 0
	}
	if j.got.Left == nil {
		l.retire()
		return len(l.waiting) > 0
	}
	l.last = newTally(j.got.figures)
	l.last.spend(l.spent)
	l.left = bounded(*j.got.Left) - l.spent
	l.opened = l.opened || l.left+l.spent > 0
	l.ends = newDeadline(j.asked, j.got.Lasts)
	if j.got.Rest == nil {
		return l.serve(time.Now(), nil)
	}
	return l.serve(time.Now(), new(bounded(*j.got.Rest)))
}

// failed answers all that wait. What was told stays unsettled, for nobody knows whether
// it was counted, nor whether the database has the lease.
func (j *leaseJob) failed(err error) {
	l := j.lease
	l.opened = !l.id.IsZero()
	for _, w := range l.waiting {
		w.answer.give(l.failure(w, err))
	}
	l.waiting = nil
}

func (l *lease) failure(w *waiter, err error) answer {
	if isAway(err) {
		decided, err := l.decider.during(l.meter, w.ask, l.last.now(), err)
		return answer{decided, err}
	}
	return answer{err: fmt.Errorf("lease %s for tenant %s: %w", l.of.meter, l.of.tenant, explain(err))}
}
