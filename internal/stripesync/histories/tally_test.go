package histories_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// tally counts what happened in the histories.
type tally struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	t.counts[what] += int64(n)
}

func (t *tally) of(what string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

// String lists the counts, one a line.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for what, n := range t.counts {
		lines = append(lines, fmt.Sprintf("  %-40s %d", what, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
