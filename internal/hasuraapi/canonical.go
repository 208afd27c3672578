package hasuraapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// defaults are the values Hasura leaves out when it exports, or writes out though they
// were not given.
var defaults = map[string]any{
	"timeout":                "30", // of an action, in seconds
	"timeout_sec":            "60", // of an event trigger
	"kind":                   "synchronous",
	"forward_client_headers": false,
	"allow_aggregations":     false,
	"backend_only":           false,
	"enable_manual":          false,
	"is_enum":                false,
}

// same reports whether two objects of metadata mean the same to Hasura.
func same(a, b map[string]any) bool {
	return encoded(canonical("", a)) == encoded(canonical("", b))
}

// encoded spells a value in one way: keys sorted.
func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// canonical brings the value under key to one spelling: defaults, nulls and empty lists
// left out, lists whose order means nothing sorted.
func canonical(key string, value any) any {
	switch key {
	case "filter", "check":
		return condition(value)
	case "set":
		return value // presets: a null in it is a value
	}
	switch value := value.(type) {
	case map[string]any:
		return canonicalObject(value)
	case []any:
		return canonicalList(key, value)
	}
	return value
}

func canonicalObject(object map[string]any) any {
	kept := map[string]any{}
	for key, value := range object {
		if key == "ignored_client_headers" && object["forward_client_headers"] != true {
			continue // says nothing where no header is forwarded
		}
		value = canonical(key, value)
		if fallback, known := defaults[key]; known && fmt.Sprint(fallback) == fmt.Sprint(value) {
			continue
		}
		if !empty(value) {
			kept[key] = value
		}
	}
	return kept
}

func canonicalList(key string, items []any) any {
	kept := make([]any, len(items))
	for i, item := range items {
		kept[i] = canonical("", item)
	}
	_, ofATable := ofTable[key]
	if ofATable || slices.Contains([]string{"columns", "payload", "permissions", "role_set"}, key) {
		sortEncoded(kept)
	}
	return kept
}

func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return false
}

func sortEncoded(items []any) {
	slices.SortFunc(items, func(a, b any) int { return cmp.Compare(encoded(a), encoded(b)) })
}

// condition spells a permission's boolean expression as one conjunction. Hasura turns
// {"_and": [{"a": …}, {"b": …}]} into {"a": …, "b": …} when it exports.
func condition(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	terms := conjuncts(object)
	sortEncoded(terms)
	if len(terms) == 1 {
		return terms[0]
	}
	return map[string]any{"_and": terms}
}

func conjuncts(object map[string]any) []any {
	terms := []any{}
	for key, value := range object {
		switch key {
		case "_and", "$and":
			for _, item := range objects(value) {
				terms = append(terms, conjuncts(item)...)
			}
		case "_or", "$or":
			options := []any{}
			for _, item := range objects(value) {
				options = append(options, condition(item))
			}
			sortEncoded(options)
			terms = append(terms, map[string]any{"_or": options})
		case "_exists", "$exists":
			exists, _ := value.(map[string]any)
			terms = append(terms, map[string]any{"_exists": map[string]any{
				"_table": tableName(exists["_table"]), "_where": condition(exists["_where"])}})
		default:
			terms = append(terms, map[string]any{key: condition(value)})
		}
	}
	return terms
}
