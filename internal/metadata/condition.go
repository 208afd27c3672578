package metadata

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Condition spells a permission's boolean expression in one way, whatever way it was
// written: as one conjunction, in order. Hasura turns {"_and": [{"a": …}, {"b": …}]} into
// {"a": …, "b": …} when it exports, and takes session variables in any case.
func Condition(value any) any {
	switch value := value.(type) {
	case BoolExp:
		return Condition(map[string]any(value))
	case map[string]any:
		terms := Conjuncts(value)
		if len(terms) == 1 {
			return terms[0]
		}
		return map[string]any{"_and": terms}
	case string:
		if lower := strings.ToLower(value); strings.HasPrefix(lower, "x-hasura-") {
			return lower
		}
	}
	return value
}

// Conjuncts takes an expression apart into what must all be true, each with one key and
// spelled as by Condition, in an order of their own.
func Conjuncts(expression map[string]any) []any {
	terms := []any{}
	for key, value := range expression {
		switch key {
		case "_and", "$and":
			for _, item := range Objects(value) {
				terms = append(terms, Conjuncts(item)...)
			}
		case "_or", "$or":
			options := []any{}
			for _, item := range Objects(value) {
				options = append(options, Condition(item))
			}
			sortByText(options)
			terms = append(terms, map[string]any{"_or": options})
		case "_exists", "$exists":
			exists, _ := value.(map[string]any)
			terms = append(terms, map[string]any{"_exists": map[string]any{
				"_table": TableText(exists["_table"]), "_where": Condition(exists["_where"])}})
		default:
			terms = append(terms, map[string]any{key: Condition(value)})
		}
	}
	sortByText(terms)
	return terms
}

// Objects are the objects of a list of a document; anything else in it is left out.
func Objects(list any) []map[string]any {
	items, _ := list.([]any)
	var found []map[string]any
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			found = append(found, object)
		}
	}
	return found
}

func sortByText(items []any) {
	slices.SortFunc(items, func(a, b any) int { return cmp.Compare(textOf(a), textOf(b)) })
}

// textOf spells a value with its keys sorted.
func textOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// TableText reads both spellings of a table, an object or a name alone for public, as
// "schema.name".
func TableText(table any) string {
	switch table := table.(type) {
	case map[string]any:
		return fmt.Sprintf("%v.%v", table["schema"], table["name"])
	case string:
		return "public." + table
	}
	return fmt.Sprint(table)
}
