package request

import "github.com/vektah/gqlparser/v2/ast"

// dropRepeats takes a plain leaf field away where the same selection already has it: it
// answers nothing new, and the rule about overlapping fields compares each with each.
func dropRepeats(doc *ast.QueryDocument) {
	for _, operation := range doc.Operations {
		operation.SelectionSet = firstOfEach(operation.SelectionSet)
	}
	for _, fragment := range doc.Fragments {
		fragment.SelectionSet = firstOfEach(fragment.SelectionSet)
	}
}

func firstOfEach(set ast.SelectionSet) ast.SelectionSet {
	type leaf struct{ alias, name string }
	seen := map[leaf]bool{}
	kept := set[:0]
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.InlineFragment:
			s.SelectionSet = firstOfEach(s.SelectionSet)
		case *ast.Field:
			s.SelectionSet = firstOfEach(s.SelectionSet)
			key := leaf{s.Alias, s.Name}
			if len(s.SelectionSet)+len(s.Arguments)+len(s.Directives) == 0 {
				if seen[key] {
					continue
				}
				seen[key] = true
			}
		}
		kept = append(kept, selection)
	}
	return kept
}
