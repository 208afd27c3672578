package prove

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report is what was tried and what came of it.
type Report struct {
	Endpoint string `json:"endpoint"`
	ReadOnly bool   `json:"read_only"`
	Actions  bool   `json:"actions"` // those that change things were called
	Roles    []Role `json:"roles"`
	Attempts int    `json:"attempts"`
	Leaks    []Leak `json:"leaks"`
	Skipped  []Skip `json:"skipped"`
	// SharedTables are those that Options.Shared accepts and that could not be proved.
	SharedTables []string `json:"shared_tables"`
	// Unproved are tables in which a leak might have looked like what was seen.
	Unproved []Unproved `json:"unproved"`
	// Planted are the rows that were planted, on both sides.
	Planted []Planted `json:"planted"`
	// Left are rows planted, or made by an attempt that got through, that could not be taken away again.
	Left []string `json:"left"`
	// Faults are what kept attempts from being made.
	Faults []string `json:"faults"`
}

// Role is what was tried in one role. A role that sees no root field at all has no
// tallies.
type Role struct {
	Name        string  `json:"name"`
	SeesNothing bool    `json:"sees_nothing"`
	Tallies     []Tally `json:"tallies"`
}

// Tally counts the attempts of one kind at one root field. Refused ones were answered
// with an error; the others were answered without a row of the other tenant, or leaked.
type Tally struct {
	Kind     Kind   `json:"kind"`
	Field    string `json:"field"`
	Attempts int    `json:"attempts"`
	Refused  int    `json:"refused"`
	Leaks    int    `json:"leaks"`
}

// Leak is an attempt that got through, with the request that shows it.
type Leak struct {
	Role      string         `json:"role"`
	Kind      Kind           `json:"kind"`
	Field     string         `json:"field"`
	Finding   string         `json:"finding"`
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
}

// Skip is what was not tried, and why.
type Skip struct {
	Role   string `json:"role"`
	Kind   Kind   `json:"kind"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Planted counts the rows that were planted in one table, one after the other where an
// attempt used one up. But for those that Left names, all were taken away again.
type Planted struct {
	Tenant string `json:"tenant"` // own, the one that tries; other
	Table  string `json:"table"`
	Rows   int    `json:"rows"`
}

// OK reports whether everything was tried that there is to try and would have shown a
// leak, and nothing leaked.
func (r *Report) OK() bool {
	return len(r.Leaks)+len(r.Faults)+len(r.Left)+len(r.Unproved) == 0
}

// Of sums a role's tallies of one kind; of every kind where kind is "".
func (r Role) Of(kind Kind) Tally {
	sum := Tally{Kind: kind}
	for _, tally := range r.Tallies {
		if kind == "" || tally.Kind == kind {
			sum.Attempts += tally.Attempts
			sum.Refused += tally.Refused
			sum.Leaks += tally.Leaks
		}
	}
	return sum
}

func (r *Report) begin(c *caller) {
	r.Roles = append(r.Roles, Role{Name: c.name, SeesNothing: c.seesNothing(), Tallies: []Tally{}})
}

// count adds an attempt of the role begun last.
func (r *Report) count(role string, a attempt, refused bool, found string) {
	tallies := &r.Roles[len(r.Roles)-1].Tallies
	at := slices.IndexFunc(*tallies, func(t Tally) bool { return t.Kind == a.kind && t.Field == a.field })
	if at < 0 {
		at = len(*tallies)
		*tallies = append(*tallies, Tally{Kind: a.kind, Field: a.field})
	}
	tally := &(*tallies)[at]
	tally.Attempts++
	r.Attempts++
	switch {
	case found != "":
		tally.Leaks++
		r.leak(Leak{role, a.kind, a.field, found, a.theirs.Document, a.theirs.Variables})
	case refused:
		tally.Refused++
	}
}

// chosen reports whether whoever runs this left out all there is to try in a role.
func (r *Report) chosen(role string) bool {
	return !slices.ContainsFunc(r.Skipped, func(s Skip) bool {
		return s.Role == role && s.Reason != onlyReads && s.Reason != noActions
	}) && slices.ContainsFunc(r.Skipped, func(s Skip) bool { return s.Role == role })
}

func (r *Report) leak(l Leak) { r.Leaks = append(r.Leaks, l) }

func (r *Report) skip(s Skip) {
	if !slices.Contains(r.Skipped, s) {
		r.Skipped = append(r.Skipped, s)
	}
}

// planted counts what a side planted.
func (r *Report) planted(tenant string, s *side) {
	for _, table := range slices.Sorted(maps.Keys(s.sown)) {
		r.Planted = append(r.Planted, Planted{tenant, table, s.sown[table]})
	}
}

func (r *Report) left(row string) { r.Left = append(r.Left, row) }

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// finish sorts the report, and finds fault with attempts that were never made.
func (r *Report) finish() {
	for i := range r.Roles {
		role := &r.Roles[i]
		slices.SortFunc(role.Tallies, func(a, b Tally) int {
			if a.Kind != b.Kind {
				return slices.Index(Kinds, a.Kind) - slices.Index(Kinds, b.Kind)
			}
			return strings.Compare(a.Field, b.Field)
		})
		if !role.SeesNothing && len(role.Tallies) == 0 && !r.chosen(role.Name) {
			r.fault("%s: nothing could be tried", role.Name)
		}
	}
	if r.Attempts == 0 && len(r.Faults) == 0 {
		r.fault("nothing was tried at all: no role of the token sees a root field that could be")
	}
	slices.SortStableFunc(r.Leaks, func(a, b Leak) int {
		return strings.Compare(a.Role+"\x00"+a.Field+"\x00"+string(a.Kind), b.Role+"\x00"+b.Field+"\x00"+string(b.Kind))
	})
	for _, list := range []*[]string{&r.SharedTables, &r.Left, &r.Faults} {
		if *list == nil {
			*list = []string{}
		}
	}
	if r.Unproved == nil {
		r.Unproved = []Unproved{}
	}
	if r.Leaks == nil {
		r.Leaks = []Leak{}
	}
	if r.Planted == nil {
		r.Planted = []Planted{}
	}
	if r.Skipped == nil {
		r.Skipped = []Skip{}
	}
}
