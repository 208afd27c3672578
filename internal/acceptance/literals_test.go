package acceptance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// literal writes arguments as GraphQL does: (a: "x", b: 1); "" for none.
func literal(a args) string {
	if len(a) == 0 {
		return ""
	}
	parts := make([]string, 0, len(a))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		parts = append(parts, fmt.Sprintf("%s: %q", name, fmt.Sprint(a[name])))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// fill puts values into a query, as in fill("… $SLUG …", "$SLUG", "acme").
func fill(query string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(query) }
