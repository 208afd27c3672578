package tenantschema

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// FanOutInput is how the registered files are given to all tenants that lack one.
type FanOutInput struct {
	Canaries []string       // slugs that go first, one by one; a failure there ends the run
	Canary   int            // without Canaries: so many of the oldest tenants go first
	Only     []string       // slugs; empty: everyone
	Parallel int            // tenants at once behind the canaries, at least 1
	MaxWait  time.Duration  // for a lock, while others wait behind; 0: DefaultMaxWait
	Progress func(Progress) // nil, or what is told after each tenant, one call at a time
}

// Progress is how far a run is.
type Progress struct {
	Total, Done, Failed int
	Slug                string         // the tenant that is done last
	Waits               bool           // it is not done: its tables are in use, and it is come back to
	Left                *time.Duration // nil while nothing can be told
}

// Report is what a run did.
type Report struct {
	Tenants  int           `json:"tenants"`  // that lacked a file when it began
	Migrated int           `json:"migrated"` // by this run
	Current  int           `json:"current"`  // that another run was quicker with
	Applied  int           `json:"applied"`  // files, over all of them
	Left     int           `json:"left"`     // never begun, since a canary failed
	Failed   []Failed      `json:"failed"`
	Canaries []string      `json:"canaries"`
	Took     time.Duration `json:"-"`
}

// Failed is a tenant that stays as it was, and why.
type Failed struct {
	Slug    string   `json:"slug"`
	Schema  string   `json:"schema"`
	Failure *Failure `json:"failure"`
}

// FanOut gives every tenant what it lacks of the registered files, each in a transaction
// of its own: the canaries first, then the others at once. A tenant that fails is noted
// in the report and with the tenant, and the others go on. Killed, it leaves nothing to
// mend, and the next run does the rest; of two runs at once each does what the other has
// not. The error is of the run itself: a slug nobody has, a database out of reach.
func FanOut(ctx context.Context, db *pgxpool.Pool, in FanOutInput) (Report, error) {
	began := time.Now()
	report := Report{Failed: []Failed{}, Canaries: []string{}}
	if err := Housed(ctx, db, slices.Concat(in.Only, in.Canaries)); err != nil {
		return report, err
	}
	places, err := Behind(ctx, db)
	if err != nil {
		return report, err
	}
	if len(in.Only) > 0 {
		places = slices.DeleteFunc(places, func(p Place) bool { return !slices.Contains(in.Only, p.Slug) })
	}
	canaries, others := in.first(places)
	for _, c := range canaries {
		report.Canaries = append(report.Canaries, c.Slug)
	}
	report.Tenants = len(places)
	run := fanOut{db: db, in: in, report: &report, began: began}
	err = run.oneByOne(ctx, canaries)
	if err == nil && len(report.Failed) == 0 {
		err = run.atOnce(ctx, others)
	}
	report.Left = report.Tenants - report.Migrated - report.Current - len(report.Failed)
	report.Took = time.Since(began)
	return report, err
}

// first divides the tenants into the canaries and the others.
func (in FanOutInput) first(places []Place) (canaries, others []Place) {
	if len(in.Canaries) == 0 {
		n := min(max(in.Canary, 0), len(places))
		return places[:n], places[n:]
	}
	for _, p := range places {
		if slices.Contains(in.Canaries, p.Slug) {
			canaries = append(canaries, p)
		} else {
			others = append(others, p)
		}
	}
	return canaries, others
}

// fanOut is one run.
type fanOut struct {
	db    *pgxpool.Pool
	in    FanOutInput
	began time.Time

	mu     sync.Mutex // of what follows, and of Progress
	report *Report
}

// oneByOne migrates the canaries; the first failure ends it.
func (run *fanOut) oneByOne(ctx context.Context, canaries []Place) error {
	for _, p := range canaries {
		if err := run.one(ctx, p); err != nil || len(run.report.Failed) > 0 {
			return err
		}
	}
	return nil
}

// atOnce migrates the others, as many at once as the input says.
func (run *fanOut) atOnce(ctx context.Context, places []Place) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(run.in.Parallel, 1))
	for _, p := range places {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return run.one(ctx, p) })
	}
	return group.Wait()
}

func (run *fanOut) one(ctx context.Context, p Place) error {
	applied, failure, err := run.migrate(ctx, p)
	if err != nil {
		return fmt.Errorf("migrate tenant %s: %w", p.Slug, err)
	}
	run.note(p, applied, failure)
	return nil
}

// waits tells of a tenant that is come back to.
func (run *fanOut) waits(p Place) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if r := run.report; run.in.Progress != nil {
		run.in.Progress(Progress{Total: r.Tenants, Done: r.Migrated + r.Current, Failed: len(r.Failed), Slug: p.Slug, Waits: true})
	}
}

func (run *fanOut) note(p Place, applied int, failure *Failure) {
	run.mu.Lock()
	defer run.mu.Unlock()
	r := run.report
	switch {
	case failure != nil:
		r.Failed = append(r.Failed, Failed{p.Slug, p.Schema, failure})
	case applied == 0:
		r.Current++
	default:
		r.Migrated++
		r.Applied += applied
	}
	if run.in.Progress == nil {
		return
	}
	now := Progress{Total: r.Tenants, Done: r.Migrated + r.Current, Failed: len(r.Failed), Slug: p.Slug}
	if ended := now.Done + now.Failed; ended > len(r.Canaries) {
		left := time.Duration(float64(time.Since(run.began)) / float64(ended) * float64(now.Total-ended))
		now.Left = &left
	}
	run.in.Progress(now)
}
