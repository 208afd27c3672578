package isolation

import "strings"

// clearing are the actions that set every column of a reference, the tenant's among them,
// unless they list which.
var clearing = []string{" ON DELETE SET NULL", " ON DELETE SET DEFAULT"}

// clears reports whether the reference sets all its columns when what it refers to goes or
// changes.
func (f foreignKey) clears() bool {
	for _, action := range clearing {
		if _, after, found := cutOutsideQuotes(f.Definition, action); found && !strings.HasPrefix(after, " (") {
			return true
		}
	}
	return f.clearsOnUpdate()
}

// clearsOnUpdate goes by pg_constraint.confupdtype; no list of columns is possible there.
func (f foreignKey) clearsOnUpdate() bool { return f.OnUpdate == "n" || f.OnUpdate == "d" }

// composite is the reference with the tenant columns first, clearing its own columns alone.
func (f foreignKey) composite(own, theirs string) string {
	head, tail, _ := cutOutsideQuotes(f.Definition, " REFERENCES ")
	definition := openingWith(head, own) + " REFERENCES " + openingWith(tail, theirs)
	cleared := make([]string, len(f.Columns))
	for i, column := range f.Columns {
		cleared[i] = Quote(column)
	}
	for _, action := range clearing {
		before, after, found := cutOutsideQuotes(definition, action)
		if found && !strings.HasPrefix(after, " (") {
			definition = before + action + " (" + strings.Join(cleared, ", ") + ")" + after
		}
	}
	return definition
}
