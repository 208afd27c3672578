package prove

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// foreignMax bounds how many of the other's values one argument is tried with.
const foreignMax = 8

// idName is how arguments of text that hold an identifier are called.
var idName = regexp.MustCompile(`(?i)(id|ids|slug|email|tenant|user|member|owner|org|organization|account|workspace|customer|token)$`)

// holdsIdentifier reports whether an argument could carry one of the other tenant's ids.
func holdsIdentifier(in input) bool {
	switch base := in.Type.base().Name; {
	case base == "uuid" || base == "ID":
		return true
	case isText(base):
		return idName.MatchString(in.Name)
	case base == "Int" || base == "bigint":
		return strings.HasSuffix(plain(in.Name), "id")
	}
	return false
}

// strict reports whether it can carry nothing else: what an address is used for cannot be
// known, what an id is used for can.
func strict(in input) bool {
	base := in.Type.base().Name
	name := plain(in.Name)
	return base == "uuid" || base == "ID" || strings.HasSuffix(name, "id") || name == "tenant"
}

// foreign are values of the other tenant that an argument may be meant for: those its
// name speaks of, otherwise every id there is.
func (w *world) foreign(in input) []any {
	var meant, any []any
	for _, c := range w.theirs.callers {
		if value, ok := c.claims.of(in.Name); ok {
			meant = append(meant, typed(value, in.Type))
		} else if value, ok := c.claims.of(in.Name + "_id"); ok {
			meant = append(meant, typed(value, in.Type))
		}
		for _, name := range slices.Sorted(maps.Keys(c.claims.session)) {
			if value := c.claims.session[name]; uuidShape.MatchString(value) && holdsIdentifier(in) {
				any = append(any, value)
			}
		}
	}
	for _, name := range w.theirs.tableNames() {
		for _, r := range w.probes(name) {
			near, far := w.fitting(in, name, r)
			meant, any = append(meant, near...), append(any, far...)
		}
	}
	if len(meant) == 0 {
		meant = any
	}
	return distinct(meant)
}

// fitting are the values of a row that the argument may mean: a column of that name or a
// key of that table, and otherwise keys.
func (w *world) fitting(in input, name string, r row) (near, far []any) {
	asked, base := plain(in.Name), in.Type.base().Name
	for _, column := range sortedColumns(r) {
		value := r[column]
		_, text := value.(string)
		inKey := slices.Contains(w.key(name), column)
		switch {
		case value == nil || text == (base == "Int" || base == "bigint"):
		case base == "uuid" && !uuidShape.MatchString(textOf(value)):
		case plain(column) == asked && column != "id", strings.HasSuffix(asked, plain(column)) && !strings.HasSuffix(plain(column), "id"):
			near = append(near, value)
		case inKey && strings.HasSuffix(asked, "id") && strings.Contains(plain(name), strings.TrimSuffix(asked, "id")) && asked != "id":
			near = append(near, value)
		case inKey && (base == "uuid" || base == "ID"), isText(base) && !holdsIdentifier(in) && unique(value):
			far = append(far, value)
		}
	}
	return near, far
}

func distinct(values []any) []any {
	var list []any
	for _, value := range values {
		if len(list) < foreignMax && !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	return list
}
