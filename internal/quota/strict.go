package quota

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// strictAsk waits for the database to decide it.
type strictAsk struct {
	ctx    context.Context
	meter  usage.Meter
	ask    Ask
	answer answers
}

type answer struct {
	decision Decision
	err      error
}

// answers takes one: who asked may have gone.
type answers chan answer

func newAnswers() answers { return make(answers, 1) }

// give answers who was not answered yet.
func (to answers) give(a answer) {
	select {
	case to <- a:
	default:
	}
}

func (d *Decider) takeStrict(ctx context.Context, meter usage.Meter, ask Ask) (Decision, error) {
	asked := &strictAsk{ctx: ctx, meter: meter, ask: ask, answer: newAnswers()}
	d.shardOf(ask.Tenant).addStrict(asked)
	select {
	case told := <-asked.answer:
		return told.decision, told.err
	case <-ctx.Done():
		return Decision{}, ctx.Err()
	}
}

// strictJob is the asks of one pair.
type strictJob struct {
	decider *Decider
	asks    []*strictAsk
	got     taken
	found   bool

	finished bool
}

// groupStrict makes a job of the asks of each pair, in the order they came. Those whose
// callers are gone are left out.
func groupStrict(d *Decider, asks []*strictAsk) []job {
	var jobs []job
	byPair := map[pair]*strictJob{}
	for _, asked := range asks {
		if err := asked.ctx.Err(); err != nil {
			asked.answer.give(answer{err: err})
			continue
		}
		of := pair{asked.ask.Tenant, asked.ask.Meter}
		if byPair[of] == nil {
			byPair[of] = &strictJob{decider: d}
			jobs = append(jobs, byPair[of])
		}
		byPair[of].asks = append(byPair[of].asks, asked)
	}
	return jobs
}

func (j *strictJob) of() pair { return pair{j.asks[0].ask.Tenant, j.asks[0].ask.Meter} }

func (j *strictJob) queue(batch *pgx.Batch) {
	asks := make([]Ask, len(j.asks))
	for i, asked := range j.asks {
		asks[i] = asked.ask
	}
	batch.Queue(takeSQL, takeArgs(asks[0].Tenant, asks[0].Meter, asks))
}

func (j *strictJob) read(results pgx.BatchResults) error {
	rows, _ := results.Query()
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[taken])
	if err != nil && !pg.NoRow(err) {
		return err
	}
	j.got, j.found = got, err == nil
	return nil
}

func (j *strictJob) finish(db pg.DB, err error) {
	if j.finished {
		return
	}
	if err == nil && !j.found {
		err = missing(db, j.of())
	}
	for i, asked := range j.asks {
		asked.answer.give(j.answer(i, asked, err))
	}
	j.finished = true
}

// missing is why a round found nothing of a pair.
func missing(db pg.DB, of pair) error {
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	return absent(ctx, db, of.tenant, of.meter)
}

func (j *strictJob) answer(i int, asked *strictAsk, err error) answer {
	switch {
	case err == nil:
		return answer{decision: j.got.decide(asked.meter, j.got.Granted[i])}
	case isAway(err):
		decided, err := j.decider.during(asked.meter, asked.ask, unknown, err)
		return answer{decided, err}
	}
	return answer{err: fmt.Errorf("take %s of %s for tenant %s: %w", asked.ask.Amount, asked.ask.Meter, asked.ask.Tenant, explain(err))}
}
