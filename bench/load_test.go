package bench

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is many who ask at the same time, each one question after the other.
type load struct {
	askers, each int
	ask          func(asker, n int) error
	every        int // of so many questions one is timed; 0: each

	mu   sync.Mutex
	took []time.Duration
}

func (l *load) run() error {
	var all errgroup.Group
	for asker := range l.askers {
		all.Go(func() error {
			var took []time.Duration
			for n := range l.each {
				if l.every > 1 && n%l.every != 0 {
					if err := l.ask(asker, n); err != nil {
						return err
					}
					continue
				}
				began := time.Now()
				if err := l.ask(asker, n); err != nil {
					return err
				}
				took = append(took, time.Since(began))
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.took = append(l.took, took...)
			return nil
		})
	}
	return all.Wait()
}

func (l *load) side(name string) side { return side{name, l.run} }

// questions are how many one run asks.
func (l *load) questions() float64 { return float64(l.askers * l.each) }

// percentile is the time within which so many percent of the answers came, in µs.
func (l *load) percentile(percent int) float64 {
	slices.Sort(l.took)
	return float64(l.took[(len(l.took)-1)*percent/100].Nanoseconds()) / 1000
}

// rate is how many questions a second a side answers, by the median of its rounds.
func (all timings) rate(one int, l *load) float64 { return l.questions() / all.micros(one) * 1e6 }

// faster is by how much one load is answered faster than another, by the median of the
// ratios of the rounds.
func (all timings) faster(one int, l *load, other int, o *load) float64 {
	return all.ratio(other, one) * l.questions() / o.questions()
}

// reportLatency is of all rounds, the ones to warm up included.
func (l *load) reportLatency(b *testing.B, prefix string) {
	b.Helper()
	b.ReportMetric(l.percentile(50), prefix+"p50-µs")
	b.ReportMetric(l.percentile(99), prefix+"p99-µs")
}
