package bench

import (
	"slices"
	"testing"
	"time"
)

const (
	fewest   = 9               // rounds of a comparison, where they do not take too long: a median of less says little
	patience = 6 * time.Second // how long rounds are added for that
	warmUps  = 7               // Postgres settles on a statement's plan at its sixth run
)

// side is one of several ways to do the same.
type side struct {
	name string
	do   func() error
}

// timings are the rounds of a comparison: one duration for each side in each.
type timings [][]time.Duration

// compare lets the sides take turns, times times in a row each, and in every round
// another of them begins.
func compare(b *testing.B, times int, sides ...side) timings {
	b.Helper()
	for _, s := range sides {
		for began, n := time.Now(), 0; n < warmUps && time.Since(began) < patience/10; n++ {
			attempt(b, s)
		}
	}
	var all timings
	for b.Loop() {
		all = append(all, all.next(b, times, sides))
	}
	for began := time.Now(); len(all) < fewest && time.Since(began) < patience; {
		all = append(all, all.next(b, times, sides))
	}
	b.ReportMetric(0, "ns/op") // of a round, which means nothing
	return all
}

func (all timings) next(b *testing.B, times int, sides []side) []time.Duration {
	b.Helper()
	took := make([]time.Duration, len(sides))
	for i := range sides {
		turn := (i + len(all)) % len(sides)
		began := time.Now()
		for range times {
			attempt(b, sides[turn])
		}
		took[turn] = time.Since(began) / time.Duration(times)
	}
	return took
}

func attempt(b *testing.B, s side) {
	b.Helper()
	if err := s.do(); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
}

// ratio is the median, over the rounds, of how long one side took in times of another.
func (all timings) ratio(one, other int) float64 {
	ratios := make([]float64, len(all))
	for i, took := range all {
		ratios[i] = float64(took[one]) / float64(took[other])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// micros is the median of a side's time in µs.
func (all timings) micros(one int) float64 {
	times := make([]time.Duration, len(all))
	for i, took := range all {
		times[i] = took[one]
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1000
}
