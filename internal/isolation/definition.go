package isolation

import "strings"

// cutOutsideQuotes is strings.Cut that does not look into quoted identifiers.
func cutOutsideQuotes(text, at string) (before, after string, found bool) {
	quoted := false
	for i := range len(text) {
		if text[i] == '"' {
			quoted = !quoted
		}
		if !quoted && strings.HasPrefix(text[i:], at) {
			return text[:i], text[i+len(at):], true
		}
	}
	return text, "", false
}

// wholeIndex is an index's definition for the partitions as well: Postgres writes that of
// a partitioned table as of the table ONLY.
func wholeIndex(definition string) string {
	before, after, found := cutOutsideQuotes(definition, " ON ONLY ")
	if !found {
		return definition
	}
	return before + " ON " + after
}

// openingWith puts a column first in the first list of a definition: of a key, of a
// reference, of an index.
func openingWith(definition, column string) string {
	before, after, _ := cutOutsideQuotes(definition, "(")
	return before + "(" + Quote(column) + ", " + after
}
