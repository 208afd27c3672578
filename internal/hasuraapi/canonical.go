package hasuraapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/metadata"
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
		return metadata.Condition(value)
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
