package move

import "slices"

// order sorts the tables into groups so that a group refers to itself and to those before
// it alone, as either side's foreign keys have it.
func (p *Plan) order() {
	parents := p.parents()
	placed := make([]bool, len(p.Tables))
	var left []int
	for at := range p.Tables {
		left = append(left, at)
		p.Tables[at].Circle = slices.Contains(parents[at], at)
	}
	for len(left) > 0 {
		free := slices.DeleteFunc(slices.Clone(left), func(at int) bool {
			return slices.ContainsFunc(parents[at], func(parent int) bool { return parent != at && !placed[parent] })
		})
		if len(free) == 0 {
			p.Groups = append(p.Groups, left) // a circle, and what hangs on it
			return
		}
		for _, at := range free {
			p.Groups = append(p.Groups, []int{at})
			placed[at] = true
		}
		left = slices.DeleteFunc(left, func(at int) bool { return placed[at] })
	}
}

// parents are, for each table, the tables that it refers to.
func (p *Plan) parents() [][]int {
	by := map[uint32]int{}
	for at, t := range p.Tables {
		by[t.Shared.Shape.OID], by[t.Own.Shape.OID] = at, at
	}
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

// atOnce reports whether the tables of a group are copied in one statement: their rows
// refer to one another, and a part of them would refer to what is not there.
func (p *Plan) atOnce(group []int) bool {
	return len(group) > 1 || p.Tables[group[0]].Circle
}

// backwards are the groups with those that refer to others first.
func (p *Plan) backwards() [][]int {
	groups := slices.Clone(p.Groups)
	slices.Reverse(groups)
	return groups
}
