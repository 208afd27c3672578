package quota

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
)

// mostReports is how many leases one statement reports.
const mostReports = 1000

// told is a report on its way.
type told struct {
	lease *lease
	report
}

const reportLeasesSQL = `
SELECT count(*) FROM billing.report_leases(@tenants, @leases, @numbers, @amounts::text[]::numeric[], @finished)`

func reportArgs(reports []told) pgx.NamedArgs {
	tenants, leases := make([]id.Tenant, len(reports)), make([]id.Lease, len(reports))
	numbers, amounts, finished := make([]int64, len(reports)), make([]string, len(reports)), make([]bool, len(reports))
	for i, r := range reports {
		tenants[i], leases[i], numbers[i] = r.lease.of.tenant, r.report.lease, r.number
		amounts[i], finished[i] = fromUnits(r.amount).String(), r.finished
	}
	return pgx.NamedArgs{"tenants": tenants, "leases": leases, "numbers": numbers, "amounts": amounts, "finished": finished}
}

// Run reports what was used of leases every second, hands back those that nobody asked
// of for ten and those whose limits changed, and records what was allowed while the
// database was away. When ctx ends it hands everything back, for at most ten seconds, and
// returns nil, or an error that says what it could not; from then on every decision is
// strict.
func (d *Decider) Run(ctx context.Context) error {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return d.stop(context.WithoutCancel(ctx))
		case <-d.wake:
		case <-ticker.C:
		}
		d.report(ctx, idleFor)
		d.debts.flush(ctx, d.config.DB, d.config.Log)
	}
}

// stop hands everything back.
func (d *Decider) stop(ctx context.Context) error {
	d.stopped.Store(true)
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	for {
		d.report(ctx, -1)
		d.debts.flush(ctx, d.config.DB, d.config.Log)
		leases, debts := len(d.leases.all()), d.debts.count()
		if leases+debts == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d leases were not handed back, and %d amounts that were allowed are not recorded: the database was out of reach, or kept them waiting", leases, debts)
		case <-time.After(reportEvery / 50):
		}
	}
}

// report sends what leases owe, in as few statements as that takes. Leases that nobody
// asked of for longer than idle are handed back; below 0: all.
func (d *Decider) report(ctx context.Context, idle time.Duration) {
	var due []told
	for _, l := range d.leases.all() {
		if r, owes := l.owed(time.Now(), idle); owes {
			due = append(due, r)
		}
	}
	_ = d.reportIn(ctx, due, mostReports)
}

// fewerReports is into how many parts reports are divided that were refused together.
const fewerReports = 32

// reportIn sends reports, so many in a statement. Of those that are refused together none
// fails for another's sake: they are sent in smaller parts. After a part that got no
// answer nothing is sent any more, and that is the error.
func (d *Decider) reportIn(ctx context.Context, due []told, size int) (lost error) {
	for some := range slices.Chunk(due, size) {
		err := lost
		if err == nil {
			err = d.send(ctx, some)
		}
		if lost == nil && answered(err) && len(some) > 1 {
			lost = d.reportIn(ctx, some, (len(some)+fewerReports-1)/fewerReports)
			continue
		}
		if err != nil && lost == nil && ctx.Err() == nil {
			d.config.Log.Warn("leases of quotas could not be reported; they are tried again", "leases", len(some), "error", err)
		}
		if err != nil && !answered(err) {
			lost = err
		}
		for _, r := range some {
			r.lease.settle(err == nil)
		}
	}
	return lost
}

// send is one round trip. It waits for locks only shortly: a report can wait.
func (d *Decider) send(ctx context.Context, reports []told) error {
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(boundLocksSQL, patience(shortly))
	batch.Queue(reportLeasesSQL, reportArgs(reports))
	return d.config.DB.SendBatch(ctx, batch).Close()
}

// owed is the report that a lease owes, and marks it busy; a lease of which nothing is
// left goes out of the table.
func (l *lease) owed(now time.Time, idle time.Duration) (told, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		return told{}, false
	}
	unasked := now.Sub(l.askedAt) > idle
	if unasked || l.ripe(now) {
		l.retire()
	}
	l.tell()
	if len(l.unsettled) > 0 {
		l.busy = true
		return told{l, l.unsettled[0]}, true
	}
	if unasked && len(l.waiting) == 0 {
		l.decider.leases.remove(l)
	}
	return told{}, false
}

// settle ends what owed began; done: the first report was counted.
func (l *lease) settle(done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done {
		l.unsettled = l.unsettled[1:]
	}
	l.busy = len(l.waiting) > 0
	if l.busy {
		l.decider.shardOf(l.of.tenant).addLease(l)
	}
}
