package prove

import (
	"maps"
	"slices"
	"strings"
)

// table is what a role may do with one table. A root field that the role does not see is
// nil. Fields are known by their shape, as every name may be customised.
type table struct {
	name    string // of the row's type
	row     *kind  // nil where the role may not read rows
	boolExp string // the type of where; "" where there is none
	key     []string

	lists, aggregates, functions   []*field // functions take args; one that takes none is a list like any
	byPK                           *field
	insert, insertOne              *field
	update, updateByPK, updateMany *field
	delete, deleteByPK             *field
	functionMutations              []*field

	columns, relationships, computed []*field // of row; computed return rows and take args
}

// action is a root field that belongs to no table.
type action struct {
	field    *field
	mutation bool
}

// classifier sorts the root fields of a schema.
type classifier struct {
	schema  *schema
	tables  map[string]*table
	actions []action
}

func classify(s *schema) ([]*table, []action) {
	c := &classifier{schema: s, tables: map[string]*table{}}
	for i := range s.query.Fields {
		c.rows(&s.query.Fields[i])
	}
	if s.mutation != nil {
		for i := range s.mutation.Fields {
			c.change(&s.mutation.Fields[i])
		}
	}
	for i := range s.query.Fields {
		c.rest(&s.query.Fields[i])
	}
	names := slices.Sorted(maps.Keys(c.tables))
	var list []*table
	for _, name := range names {
		c.finish(c.tables[name])
		list = append(list, c.tables[name])
	}
	return list, c.actions
}

func (c *classifier) of(name string) *table {
	if c.tables[name] == nil {
		c.tables[name] = &table{name: name}
	}
	return c.tables[name]
}

// isBoolExp reports whether an input is a boolean expression over rows.
func (c *classifier) isBoolExp(i *input) bool {
	if i == nil {
		return false
	}
	k := c.schema.types[i.Type.base().Name]
	return k.input("_and") != nil && k.input("_or") != nil && k.input("_not") != nil
}

// rows takes the query fields that return rows and can be filtered.
func (c *classifier) rows(f *field) {
	where := f.arg("where")
	if !c.isBoolExp(where) {
		return
	}
	if result := c.schema.types[f.Type.base().Name]; result.field("aggregate") != nil && result.field("nodes") != nil {
		return
	}
	t := c.of(f.Type.base().Name)
	t.row, t.boolExp = c.schema.types[t.name], where.Type.base().Name
	if f.arg("args") != nil {
		t.functions = append(t.functions, f)
	} else {
		t.lists = append(t.lists, f)
	}
}

// rest takes the aggregates, the rows by key, and what is an action.
func (c *classifier) rest(f *field) {
	result := c.schema.types[f.Type.base().Name]
	switch {
	case c.isBoolExp(f.arg("where")):
		if nodes := result.field("nodes"); nodes != nil {
			t := c.of(nodes.Type.base().Name)
			if f.arg("args") != nil {
				t.functions = append(t.functions, f)
			} else {
				t.aggregates = append(t.aggregates, f)
			}
		}
	case result != nil && c.tables[result.Name] != nil && !f.Type.list() && len(f.Args) > 0:
		t := c.tables[result.Name]
		t.byPK, t.row = f, result
		t.key = argumentNames(f)
	case f.Name == "no_queries_available" || strings.HasPrefix(f.Name, "__"):
	default:
		c.actions = append(c.actions, action{field: f})
	}
}

func argumentNames(f *field) []string {
	var names []string
	for _, arg := range f.Args {
		names = append(names, arg.Name)
	}
	return names
}

// change sorts one mutation.
func (c *classifier) change(f *field) {
	result := c.schema.types[f.Type.base().Name]
	var t *table
	switch {
	case result == nil || result.Kind != "OBJECT":
	case result.field("affected_rows") != nil || result.field("affectedRows") != nil:
		t = c.of(responseTable(result))
	case c.tables[result.Name] != nil:
		t = c.tables[result.Name]
	}
	switch {
	case t == nil:
		c.actions = append(c.actions, action{field: f, mutation: true})
	case f.arg("objects") != nil:
		t.insert = f
	case f.arg("object") != nil:
		t.insertOne = f
	case f.arg("updates") != nil:
		t.updateMany = f
	case keyArgument(f) != nil:
		t.updateByPK = f
		t.key = inputNames(c.schema.types[keyArgument(f).Type.base().Name])
	case f.Type.list() || f.arg("args") != nil || len(f.Args) == 0:
		t.functionMutations = append(t.functionMutations, f)
	case c.isBoolExp(f.arg("where")) && len(f.Args) > 1:
		t.update = f
	case c.isBoolExp(f.arg("where")):
		t.delete = f
	default:
		t.deleteByPK = f
		t.key = argumentNames(f)
	}
	if t != nil && t.boolExp == "" && c.isBoolExp(f.arg("where")) {
		t.boolExp = f.arg("where").Type.base().Name
	}
}

func keyArgument(f *field) *input {
	if i := f.arg("pk_columns"); i != nil {
		return i
	}
	return f.arg("pkColumns")
}

func inputNames(k *kind) []string {
	var names []string
	for _, i := range k.Inputs {
		names = append(names, i.Name)
	}
	return names
}

// responseTable is the table whose mutations answer with the type.
func responseTable(response *kind) string {
	if returning := response.field("returning"); returning != nil {
		return returning.Type.base().Name
	}
	name, _ := strings.CutSuffix(response.Name, "_mutation_response")
	name, _ = strings.CutSuffix(name, "MutationResponse")
	return name
}

// finish sorts the fields of the row.
func (c *classifier) finish(t *table) {
	if t.row == nil {
		return
	}
	for i := range t.row.Fields {
		f := &t.row.Fields[i]
		base := f.Type.base()
		switch {
		case base.Kind == "SCALAR" || base.Kind == "ENUM":
			if !slices.ContainsFunc(f.Args, input.required) {
				t.columns = append(t.columns, f)
			}
		case slices.ContainsFunc(f.Args, func(i input) bool { return i.Name == "args" }):
			t.computed = append(t.computed, f)
		case c.tables[base.Name] != nil && c.tables[base.Name].row != nil:
			t.relationships = append(t.relationships, f)
		}
	}
}
