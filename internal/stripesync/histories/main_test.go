package histories_test

import (
	"context"
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/pgtest"
)

var (
	histories = flag.Int("histories", 50, "how many histories are played")
	from      = flag.Uint64("from", 1, "the seed of the first")
	seed      = flag.Uint64("seed", 0, "play the one history of this seed; 0: those of -from and after")
	players   = flag.Int("players", 3*runtime.NumCPU(), "how many histories are played at the same time")
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestEveryHistoryEndsAsInOrder is the property.
func TestEveryHistoryEndsAsInOrder(t *testing.T) {
	first, count := *from, *histories
	if *seed != 0 {
		first, count = *seed, 1
	}
	s := newStage(t)
	var next atomic.Uint64
	next.Store(first - 1)
	var failures atomic.Int64
	var playing sync.WaitGroup
	all := &tally{}
	var ps []*player
	start := time.Now()
	for range min(*players, count) {
		p := s.newPlayer(t)
		ps = append(ps, p)
		playing.Go(func() {
			for n := next.Add(1); n < first+uint64(count) && failures.Load() < 5; n = next.Add(1) { //nolint:gosec // no history number is negative
				err := p.play(n, all)
				if err != nil && strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
					// The machine stood still; what waits for a lock that nobody gives back does so again.
					all.add("played again, elsewhere, after a stall", 1)
					err = newStage(t).newPlayer(t).play(n, all)
				}
				if err != nil {
					failures.Add(1)
					t.Errorf("history %d: %v\nplay it again with: go test ./internal/stripesync/histories -run EveryHistory -seed %d", n, err, n)
				}
			}
		})
	}
	playing.Wait()
	for _, p := range ps {
		all.add("statements", int(p.chaos.statements.Load()))
	}
	took := time.Since(start)
	t.Logf("%d histories in %s, %.0f a second\n%s", all.of("histories"), took.Round(time.Millisecond), float64(all.of("histories"))/took.Seconds(), all)
}
