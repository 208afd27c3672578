package prove

import (
	"slices"
	"strings"
)

// depthOfWhere is how many relationships a condition goes along: every pair of tables
// that a permission could join wrongly is within it.
const depthOfWhere = 2

// comparison is the input that compares a column; nil where the role may not compare it.
func (x *explorer) comparison(t *table, column string) *kind {
	in := x.schema.types[t.boolExp].input(column)
	if in == nil {
		return nil
	}
	k := x.schema.types[in.Type.base().Name]
	if k.input("_eq") == nil {
		return nil
	}
	return k
}

// filtered asks for rows by every value of the other tenant's rows.
func (x *explorer) filtered(t *table, list *field) {
	x.everything(t, list)
	for _, r := range x.world.probes(t.name) {
		for _, column := range sortedColumns(r) {
			if compare := x.comparison(t, column); compare != nil && r[column] != nil {
				x.compared(t, list, column, conditions(compare, r[column]), x.world.telling(t.name, column, r[column]))
			}
		}
	}
	x.beside(t, list, t, nil)
}

// everything asks for all rows by conditions that are true of each.
func (x *explorer) everything(t *table, list *field) {
	always := []map[string]any{{}, {"_or": []any{map[string]any{}, map[string]any{"_not": map[string]any{}}}}, {"_not": map[string]any{"_or": []any{}}}}
	for _, column := range t.columns {
		if x.comparison(t, column.Name) != nil {
			always = append(always, map[string]any{"_or": []any{
				map[string]any{column.Name: map[string]any{"_is_null": true}}, map[string]any{column.Name: map[string]any{"_is_null": false}},
			}})
		}
	}
	for _, where := range always {
		args := with(list, map[string]any{"where": where}, map[string]any{"limit": page})
		x.try(attempt{kind: Where, field: list.Name, theirs: query(list, args, t.selection())})
	}
}

// condition is a comparison; exact ones are met by rows with that value alone.
type condition struct {
	exp   map[string]any
	exact bool
}

// conditions are the comparisons with a value that the type offers.
func conditions(compare *kind, value any) []condition {
	var list []condition
	add := func(operator string, operand any, exact bool) {
		if compare.input(operator) != nil {
			list = append(list, condition{map[string]any{operator: operand}, exact})
		}
	}
	add("_eq", value, true)
	add("_in", []any{value}, true)
	text, ok := value.(string)
	if !ok || compare.input("_like") == nil {
		return list
	}
	add("_like", "%"+text+"%", true)
	add("_ilike", strings.ToUpper(text), true)
	add("_similar", text, true)
	add("_regex", text, true)
	add("_iregex", text, true)
	add("_like", "%", false)
	return list
}

// compared tries the conditions on a column as they are, negated twice, and beside one
// that is never true.
func (x *explorer) compared(t *table, list *field, column string, conditions []condition, telling bool) {
	for i, c := range conditions {
		if !telling && i > 0 && c.exact {
			continue // what any tenant may hold tells nothing by being found
		}
		where := map[string]any{column: c.exp}
		forms := []map[string]any{where}
		if i == 0 && telling {
			forms = append(forms, map[string]any{"_not": map[string]any{"_not": where}},
				map[string]any{"_or": []any{where, map[string]any{"_not": map[string]any{}}}},
				map[string]any{"_and": []any{where, map[string]any{}}})
		}
		for _, form := range forms {
			args := with(list, map[string]any{"where": form}, map[string]any{"limit": page})
			x.try(attempt{kind: Where, field: list.Name, barren: telling && c.exact, theirs: query(list, args, t.selection())})
		}
	}
}

// beside asks for rows by the other's values in rows that relationships lead to.
func (x *explorer) beside(t *table, list *field, at *table, path []string) {
	for _, relationship := range at.relationships {
		to := x.table(relationship.Type.base().Name)
		in := x.schema.types[at.boolExp].input(relationship.Name)
		if in == nil || to == nil {
			continue
		}
		further := append(slices.Clone(path), relationship.Name)
		for _, r := range x.world.probes(to.name) {
			for _, column := range sortedColumns(r) {
				if x.comparison(to, column) != nil && x.world.telling(to.name, column, r[column]) {
					x.through(t, list, further, map[string]any{column: map[string]any{"_eq": r[column]}})
				}
			}
		}
		if len(further) < depthOfWhere {
			x.beside(t, list, to, further)
		}
	}
}

// through puts a condition at the end of a path of relationships, as it is and counted
// where the schema counts.
func (x *explorer) through(t *table, list *field, path []string, inner map[string]any) {
	where := inner
	for _, name := range slices.Backward(path) {
		where = map[string]any{name: where}
	}
	args := with(list, map[string]any{"where": where}, map[string]any{"limit": page})
	x.try(attempt{kind: Where, field: list.Name, barren: true, theirs: query(list, args, t.selection())})
	if len(path) > 1 {
		return
	}
	name := path[0] + "_aggregate"
	in := x.schema.types[t.boolExp].input(name)
	if in == nil || x.schema.types[in.Type.base().Name].input("count") == nil {
		return
	}
	counted := map[string]any{name: map[string]any{"count": map[string]any{"filter": inner, "predicate": map[string]any{"_gt": 0}}}}
	args = with(list, map[string]any{"where": counted}, map[string]any{"limit": page})
	x.try(attempt{kind: Where, field: list.Name, barren: true, theirs: query(list, args, t.selection())})
}
