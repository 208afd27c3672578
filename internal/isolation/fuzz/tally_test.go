package fuzz

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// tally counts what was run, for the reader of the log and for the guard against a generator that has gone dry.
type tally struct {
	mu           sync.Mutex
	programs     map[way]int
	kinds        map[string]int
	codes        map[string]int
	statements   int
	rows         int // with a mark
	refused      int // what has to be refused, and was
	transactions int
	unbound      int // statements after a session went back to nself_server
	empty        int // statements without a tenant in force
}

func newTally() *tally {
	return &tally{programs: map[way]int{}, kinds: map[string]int{}, codes: map[string]int{}}
}

func (c *tally) add(o op, a answer, aborted bool, at frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements++
	c.rows += a.seen()
	if !at.bound {
		c.unbound++
	} else if at.tenant == nobody {
		c.empty++
	}
	if aborted {
		return
	}
	for _, kind := range o.kinds {
		c.kinds[kind]++
	}
	if a.err != nil {
		c.codes[code(a.err)]++
		if o.want != whatever {
			c.refused++
		}
	}
}

func (c *tally) transaction(of *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transactions++
	if of.hidden {
		c.kinds["by way of PgBouncer"]++
	}
	c.kinds["as "+string(of.login)]++
}

func (c *tally) program(w way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.programs[w]++
}

// missing lists the kinds of statement that never ran.
func (c *tally) missing(wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(kind string) bool { return c.kinds[kind] > 0 })
}

func (c *tally) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d programs %v, %d transactions, %d statements, %d rows seen, %d attempts refused; %d statements with nobody in force, %d as nself_server itself",
		c.programs[direct]+c.programs[bounced]+c.programs[concurrent], c.programs, c.transactions, c.statements, c.rows, c.refused, c.empty, c.unbound)
	for name, counts := range map[string]map[string]int{"kinds": c.kinds, "SQLSTATEs": c.codes} {
		fmt.Fprintf(&text, "\n%s:", name)
		for _, key := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&text, " %s %d ·", key, counts[key])
		}
	}
	return text.String()
}
