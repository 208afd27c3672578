package storm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

const asking = "ask"

// askJob is a server with many workers who take from one limit.
type askJob struct {
	URL     string
	Tenant  id.Tenant
	Meter   string
	Ledger  string // a file
	Workers int
	Most    int           // units asked for at once
	Rest    time.Duration // the longest pause between two questions of a worker
	Last    bool          // whether each worker goes on until it is refused, and then ends
}

func (j askJob) run(stop <-chan struct{}) error {
	ctx := context.Background()
	notes, err := openLedger(j.Ledger)
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(j.URL)
	if err != nil {
		return errors.New("not the URL of a database")
	}
	config.MaxConns = 4
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer db.Close()
	decider := quota.New(quota.DeciderConfig{DB: db, Holder: fmt.Sprintf("storm %d", os.Getpid()), Log: slog.New(slog.DiscardHandler)})
	running, end := context.WithCancel(ctx)
	defer end()
	var background sync.WaitGroup
	var ran error
	background.Go(func() { ran = decider.Run(running) })
	var workers errgroup.Group
	for range j.Workers {
		workers.Go(func() error { return j.work(ctx, decider, notes, stop) })
	}
	worked := workers.Wait()
	end()
	background.Wait()
	return errors.Join(worked, ran)
}

// work asks until the storm is over. The question is noted before it is asked and the
// answer after it is known, so that a kill in between shows.
func (j askJob) work(ctx context.Context, decider *quota.Decider, notes ledger, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(j.pause()):
		}
		units := 1 + rand.IntN(j.Most)
		if err := notes.note(asked, units); err != nil {
			return err
		}
		d, err := decider.Take(ctx, quota.Ask{Tenant: j.Tenant, Meter: j.Meter, Amount: decimal.NewFromInt(int64(units))})
		if fault.Is(err, fault.Unavailable) {
			continue // nobody knows: the question stays open
		}
		if err != nil {
			return fmt.Errorf("take: %w", err)
		}
		answer := byte(refused)
		if d.Allowed {
			answer = granted
		}
		if err := notes.note(answer, units); err != nil {
			return err
		}
		if j.Last && !d.Allowed {
			return nil
		}
	}
}

func (j askJob) pause() time.Duration {
	if j.Rest == 0 {
		return 0
	}
	return rand.N(j.Rest)
}
