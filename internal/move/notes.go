package move

import (
	"fmt"
	"slices"
)

// reads notes where the tenant's rows are read once it has moved: a name of Hasura's that is
// the shared table's stays so.
func (m *matcher) reads() {
	for _, t := range m.plan.Tables {
		if m.plan.To == ToSchema {
			m.plan.Notes = append(m.plan.Notes, fmt.Sprintf("Hasura's %s goes on reading %s: clients of the tenant read %s from the cut-over on", rootField(t.Shared), t.Shared.Table, rootField(t.Own)))
		}
	}
}

// rootField is the name that Hasura gives a table where nobody chose another.
func rootField(s Side) string {
	if s.Table.Schema == "public" {
		return s.Table.Name
	}
	return s.Table.Schema + "_" + s.Table.Name
}

// unindexed are notes of references between moved tables that Postgres looks up row by row
// without an index.
func (p *Plan) unindexed() []string {
	var notes []string
	by := p.places()
	for _, t := range p.Tables {
		for _, s := range []Side{t.Shared, t.Own} {
			for _, r := range slices.DeleteFunc(slices.Clone(s.Shape.References), func(r reference) bool { return r.Indexed }) {
				if _, moved := by[r.To]; moved {
					notes = append(notes, fmt.Sprintf("the foreign key %s of %s has no index: for each row that is removed from the table it refers to, all of %s may be read", r.Name, s.Table, s.Table))
				}
			}
		}
	}
	return notes
}
