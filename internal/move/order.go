package move

import "slices"

// order sorts the tables into groups so that a group refers to itself and to those before
// it alone, as either side's foreign keys have it. Tables are in one group only where each
// refers to every other, through whatever tables.
func (p *Plan) order() {
	s := &sorter{parents: p.parents(), at: make([]int, len(p.Tables)), low: make([]int, len(p.Tables))}
	for table := range p.Tables {
		p.Tables[table].Circle = slices.Contains(s.parents[table], table)
		if s.at[table] == 0 {
			s.visit(table)
		}
	}
	p.Groups = s.groups
}

// sorter finds strongly connected tables, those that are referred to first (Tarjan).
type sorter struct {
	parents [][]int
	at, low []int // when a table was found, from 1, and the earliest that it leads to
	found   int
	open    []int // found, and of no group yet
	groups  [][]int
}

func (s *sorter) visit(table int) {
	s.found++
	s.at[table], s.low[table] = s.found, s.found
	s.open = append(s.open, table)
	for _, parent := range s.parents[table] {
		if s.at[parent] == 0 {
			s.visit(parent)
			s.low[table] = min(s.low[table], s.low[parent])
		} else if slices.Contains(s.open, parent) {
			s.low[table] = min(s.low[table], s.at[parent])
		}
	}
	if s.low[table] == s.at[table] {
		first := slices.Index(s.open, table)
		s.groups = append(s.groups, slices.Clone(s.open[first:]))
		s.open = s.open[:first]
	}
}

// parents are, for each table, the tables that it refers to.
func (p *Plan) parents() [][]int {
	by := p.places()
	parents := make([][]int, len(p.Tables))
	for at, t := range p.Tables {
		for _, r := range slices.Concat(t.Shared.Shape.References, t.Own.Shape.References) {
			if parent, moved := by[r.To]; moved {
				parents[at] = append(parents[at], parent)
			}
		}
	}
	return parents
}

// places are the tables of either side, by their place in Tables.
func (p *Plan) places() map[uint32]int {
	by := map[uint32]int{}
	for at, t := range p.Tables {
		by[t.Shared.Shape.OID], by[t.Own.Shape.OID] = at, at
	}
	return by
}

// atOnce reports whether the tables of a group are copied in one statement: their rows
// refer to one another, and a part of them would refer to what is not there.
func (p *Plan) atOnce(group []int) bool {
	return !p.Silent && p.circle(group)
}

func (p *Plan) circle(group []int) bool {
	return len(group) > 1 || p.Tables[group[0]].Circle
}

// backwards are the groups with those that refer to others first.
func (p *Plan) backwards() [][]int {
	groups := slices.Clone(p.Groups)
	slices.Reverse(groups)
	return groups
}
