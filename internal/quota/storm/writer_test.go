package storm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

const (
	writing     = "write"
	batch       = 500 // deliveries recorded at once
	senders     = 3   // of a process, at the same time
	mark        = "%08d\n"
	markLength  = 9
	giveUpAfter = 2 * time.Minute
)

// writeJob is a server that records its share of the plan's deliveries: every batch until
// it is answered, however often the database goes away meanwhile.
type writeJob struct {
	URL   string
	Plan  plan
	Share int    // the batches of which the remainder by Of is this
	Of    int    //
	Done  string // the file that names the batches that were answered
}

func (j writeJob) run(stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	done, err := os.OpenFile(j.Done, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	order := j.Plan.order()
	due, err := j.due(done, (len(order)+batch-1)/batch)
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, j.URL)
	if err != nil {
		return errors.New("not the URL of a database")
	}
	defer db.Close()
	work := make(chan int)
	var all errgroup.Group
	for range senders {
		all.Go(func() error {
			for n := range work {
				if err := j.deliver(ctx, db, order[n*batch:min((n+1)*batch, len(order))]); err != nil {
					cancel()
					return fmt.Errorf("batch %d: %w", n, err)
				}
				if _, err := fmt.Fprintf(done, mark, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, n := range due {
		select {
		case work <- n:
		case <-ctx.Done():
		}
	}
	close(work)
	return all.Wait()
}

// due are the batches of this share that no process before has had answered.
func (j writeJob) due(done *os.File, batches int) ([]int, error) {
	info, err := done.Stat()
	if err != nil {
		return nil, err
	}
	finished := make([]bool, batches)
	for range info.Size() / markLength {
		var n int
		if _, err := fmt.Fscanf(done, mark, &n); err != nil {
			return nil, err
		}
		finished[n] = true
	}
	var due []int
	for n := j.Share; n < batches; n += j.Of {
		if !finished[n] {
			due = append(due, n)
		}
	}
	return due, nil
}

// deliver tries until the batch is recorded. Two that wait for each other would be a bug:
// no order of deliveries may do that.
func (j writeJob) deliver(ctx context.Context, db *pgxpool.Pool, deliveries []int) error {
	batch := make([]usage.Event, len(deliveries))
	for k, i := range deliveries {
		batch[k] = j.Plan.event(i)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		outcomes, err := usage.Record(ctx, db, pgtest.Operator, batch)
		if err == nil {
			return judge(batch, outcomes)
		}
		var said *pgconn.PgError
		if errors.As(err, &said) && said.Code == "40P01" || ctx.Err() != nil || time.Since(began) > giveUpAfter {
			return err
		}
	}
}

// judge demands that exactly what no meter counts is refused.
func judge(batch []usage.Event, outcomes []usage.Outcome) error {
	if len(outcomes) != len(batch) {
		return fmt.Errorf("%d outcomes of %d events", len(outcomes), len(batch))
	}
	wrong := slices.IndexFunc(outcomes, func(o usage.Outcome) bool { return o.Status == usage.Refused && o.Code != "unknown-meter" })
	for k, o := range outcomes {
		if (o.Status == usage.Refused) != (batch[k].Meter == unheard) {
			wrong = k
		}
	}
	if wrong >= 0 {
		return fmt.Errorf("%+v became %+v", batch[wrong], outcomes[wrong])
	}
	return nil
}
