package prove

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

func integer(value any) int {
	n, ok := value.(json.Number)
	if !ok {
		return 0
	}
	whole, err := n.Int64()
	if err != nil {
		return 0
	}
	return int(whole)
}

// begin fills the object with what marks the row: every text, the session's own values
// under their names, and the keys of rows that a relationship says are pointed at.
func (w *planting) begin() {
	w.object = row{}
	for _, in := range w.input.Inputs {
		kind := in.Type.base()
		own, isOwn := w.caller.claims.of(in.Name)
		switch {
		case kind.Kind != "SCALAR" && kind.Kind != "ENUM":
		case isOwn:
			w.object[in.Name] = typed(own, in.Type)
		case kind.Kind == "SCALAR" && isText(kind.Name) && !in.Type.list():
			w.object[in.Name] = scalar(kind.Name, in.Name)
			w.fresh[in.Name] = true
		case w.pointed(in.Name) != "":
			w.nextCandidate(in.Name)
		}
	}
}

// pointed is the table that a column named like a relationship points at: contact_id at
// what contact is. "" where there is none.
func (w *planting) pointed(column string) string {
	stem, ok := strings.CutSuffix(plain(column), "id")
	if !ok || stem == "" || w.table.row == nil {
		return ""
	}
	for _, relationship := range w.table.relationships {
		if !relationship.Type.list() && plain(relationship.Name) == stem {
			return relationship.Type.base().Name
		}
	}
	return ""
}

var (
	quoted     = regexp.MustCompile(`"([^"]+)"`)
	notNull    = regexp.MustCompile(`null value in column "([^"]+)"`)
	constraint = regexp.MustCompile(`violates (foreign key|check|unique|exclusion) constraint "([^"]+)"`)
)

// repair changes the object after a refusal. It reports false where nothing is left to
// try.
func (w *planting) repair(message string) bool {
	if match := notNull.FindStringSubmatch(message); match != nil {
		return w.fill(match[1])
	}
	match := constraint.FindStringSubmatch(message)
	switch {
	case match == nil && strings.Contains(message, "Uniqueness violation") || match != nil && match[1] == "unique":
		w.object = (&plant{object: w.object, fresh: keys(w.fresh)}).copy()
		return true
	case match != nil && match[1] == "foreign key":
		column := w.columnIn(match[2])
		return column != "" && w.nextCandidate(column)
	case match != nil:
		return w.shed(w.columnIn(match[2]))
	}
	for _, name := range quoted.FindAllStringSubmatch(message, -1) {
		if _, ok := w.object[name[1]]; ok {
			return w.shed(name[1])
		}
	}
	return w.shed("")
}

func keys(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// columnIn is the longest offered column whose name is in a constraint's.
func (w *planting) columnIn(constraint string) string {
	longest := ""
	for _, in := range w.input.Inputs {
		if len(in.Name) > len(longest) && strings.Contains(plain(constraint), plain(in.Name)) {
			longest = in.Name
		}
	}
	return longest
}

// fill gives a required column its value.
func (w *planting) fill(column string) bool {
	in := w.input.input(column)
	delete(w.fresh, column)
	if in == nil {
		return false // the preset of a permission, or a trigger, should have
	}
	if w.refused[column] {
		return w.borrow(column)
	}
	if strings.HasSuffix(plain(column), "id") && plain(column) != "id" && w.nextCandidate(column) {
		return true
	}
	w.object[column] = generated(w.caller.schema, column, in.Type)
	numbered := slices.Contains(w.table.key, column) && slices.Contains(wideNumbers, in.Type.base().Name)
	if numbered { // any row may have a small one
		w.object[column] = number()
	}
	if numbered || identifying(w.object[column]) {
		w.fresh[column] = true
	}
	return true
}

// wideNumbers are the scalars that hold any number that is made up.
var wideNumbers = []string{"Int", "bigint", "Float", "float8", "numeric"}

// nextCandidate points a column at the next of the side's rows it may mean.
func (w *planting) nextCandidate(column string) bool {
	candidates := w.candidates(column)
	n := w.tried[column]
	if n >= len(candidates) {
		return w.drop(column)
	}
	w.tried[column] = n + 1
	w.object[column], w.points[column] = candidates[n].key, candidates[n].table
	delete(w.fresh, column)
	return true
}

// candidate is a planted row that a column may point at.
type candidate struct {
	table string
	key   any
}

// candidates are keys of planted rows, those first that the column's name speaks of.
func (w *planting) candidates(column string) []candidate {
	in := w.input.input(column)
	if in == nil {
		return nil
	}
	var near, far []candidate
	stem := strings.TrimSuffix(plain(column), "id")
	target := w.pointed(column)
	for _, name := range keysOf(w.side.planted) {
		value, ok := w.keyOf(w.side.planted[name], in.Type.base().Name)
		switch {
		case !ok:
		case name == target || target == "" && stem != "" && strings.Contains(plain(name), stem):
			near = append(near, candidate{name, value})
		default:
			far = append(far, candidate{name, value})
		}
	}
	return append(near, far...)
}

func keysOf(planted map[string]*plant) []string {
	var names []string
	for name := range planted {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// keyOf is the value of a planted row's key that fits the scalar.
func (w *planting) keyOf(p *plant, scalar string) (any, bool) {
	for _, c := range w.side.callers {
		t := c.table(p.table)
		if t == nil {
			continue
		}
		for _, name := range t.key {
			_, own := c.claims.of(name)
			column := t.column(name)
			if value, ok := p.row[name]; ok && !own && column != nil && column.Type.base().Name == scalar {
				return value, true
			}
		}
	}
	return nil, false
}

// drop leaves a column out.
func (w *planting) drop(column string) bool {
	_, there := w.object[column]
	delete(w.object, column)
	delete(w.fresh, column)
	delete(w.points, column)
	return there
}

// shed leaves out a column whose made-up value the database would not have; without a
// column, every text that need not be there.
func (w *planting) shed(column string) bool {
	if column != "" {
		w.refused[column] = true
		return w.drop(column)
	}
	changed := false
	for _, name := range keys(w.fresh) {
		seen := w.table.column(name)
		if !w.refused[name] && (seen == nil || seen.Type.nullable()) {
			w.refused[name] = true
			changed = w.drop(name) || changed
		}
	}
	return changed
}

// borrow takes the value of a row that is there: valid by being so.
func (w *planting) borrow(column string) bool {
	_, there := w.object[column]
	for _, one := range w.valid {
		if value := one.row[column]; value != nil && !there {
			w.object[column] = value
			return true
		}
	}
	return false
}
