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
		varied := false
		for _, column := range sortedColumns(r) {
			compare := x.comparison(t, column)
			if compare == nil || r[column] == nil {
				continue
			}
			c := comparing{explorer: x, table: t, list: list, column: column, telling: x.world.telling(t.name, column, r[column])}
			found := conditions(compare, r[column])
			if varied || !c.telling || !isTextValue(r[column]) {
				c.try(found[0], map[string]any{column: found[0].exp})
				continue
			}
			varied = true
			c.all(found)
		}
	}
	x.beside(t, list, t, nil)
}

// everything asks for all rows by conditions that are true of each.
func (x *explorer) everything(t *table, list *field) {
	always := []map[string]any{{}, {"_or": []any{map[string]any{}, map[string]any{"_not": map[string]any{}}}}, {"_not": map[string]any{"_or": []any{}}}}
	for _, column := range t.columns {
		if compare := x.comparison(t, column.Name); compare != nil {
			always = append(always, map[string]any{"_or": []any{
				map[string]any{column.Name: isNull(compare, true)}, map[string]any{column.Name: isNull(compare, false)},
			}})
			break
		}
	}
	for _, where := range always {
		args := with(list, map[string]any{"where": where}, map[string]any{"limit": page})
		x.try(attempt{kind: Where, field: list.Name, theirs: query(list, args, t.selection())})
	}
}

// isNull compares with null, under the name of the naming convention.
func isNull(compare *kind, null bool) map[string]any {
	if compare.input("_isNull") != nil {
		return map[string]any{"_isNull": null}
	}
	return map[string]any{"_is_null": null}
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

// comparing asks a list for rows by one column. A permission's filter is added whatever the
// operator, so values are tried in every column, and operators in one of each row.
type comparing struct {
	*explorer
	table   *table
	list    *field
	column  string
	telling bool // the value names rows of the other tenant alone
}

// all tries every condition, and the first one negated twice and beside others.
func (c comparing) all(conditions []condition) {
	for i, one := range conditions {
		where := map[string]any{c.column: one.exp}
		c.try(one, where)
		if i == 0 {
			c.try(one, map[string]any{"_not": map[string]any{"_not": where}})
			c.try(one, map[string]any{"_or": []any{where, map[string]any{"_not": map[string]any{}}}})
			c.try(one, map[string]any{"_and": []any{where, map[string]any{}}})
		}
	}
}

// try asks for the rows that meet the condition in the form it is given.
func (c comparing) try(one condition, form map[string]any) {
	args := with(c.list, map[string]any{"where": form}, map[string]any{"limit": page})
	c.explorer.try(attempt{kind: Where, field: c.list.Name, barren: c.telling && one.exact, theirs: query(c.list, args, c.table.selection())})
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
	if x.schema.types[t.boolExp].input(name) == nil {
		name = path[0] + "Aggregate"
	}
	in := x.schema.types[t.boolExp].input(name)
	if in == nil || x.schema.types[in.Type.base().Name].input("count") == nil {
		return
	}
	counted := map[string]any{name: map[string]any{"count": map[string]any{"filter": inner, "predicate": map[string]any{"_gt": 0}}}}
	args = with(list, map[string]any{"where": counted}, map[string]any{"limit": page})
	x.try(attempt{kind: Where, field: list.Name, barren: true, theirs: query(list, args, t.selection())})
}
