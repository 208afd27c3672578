package sqlgen

import (
	"fmt"
	"sort"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/metadata"
)

// condition compiles boolean expressions about the rows of one table.
type condition struct {
	*builder
	*scope
	root *scope // the outermost table, for "$" in column comparisons
	// permission marks an expression of the metadata: session variables stand for
	// their values, related rows are seen whole, and _exists is allowed.
	permission bool
}

// filter compiles an expression of the metadata.
func (b *builder) filter(s *scope, expression metadata.BoolExp) (string, error) {
	return condition{builder: b, scope: s, root: s, permission: true}.compile(expression)
}

// where compiles a client's expression; nil admits every row.
func (b *builder) where(s *scope, expression any) (string, error) {
	object, _ := expression.(map[string]any)
	return condition{builder: b, scope: s, root: s}.compile(object)
}

func (c condition) compile(expression map[string]any) (string, error) {
	keys := make([]string, 0, len(expression))
	for key := range expression {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var parts []string
	for _, key := range keys {
		part, err := c.entry(key, expression[key])
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return and(parts...), nil
}

func (c condition) entry(key string, value any) (string, error) {
	switch key {
	case "_and":
		return c.list(value, " AND ", "TRUE")
	case "_or":
		return c.list(value, " OR ", "FALSE")
	case "_not":
		return c.not(value)
	case "_exists":
		if c.permission {
			return c.exists(value)
		}
	}
	if column := c.columnOf(key); column != nil {
		expression, err := c.expression(column.Name)
		if err != nil {
			return "", err
		}
		return c.operators(expression, column.Type, value)
	}
	if relationship := c.table.Relationship(key); relationship != nil {
		to := c.builder.scope(relationship.To)
		return c.related(key, to, join(c.scope, relationship, to), value)
	}
	if computed := c.table.Computed(key); computed != nil {
		return c.computed(computed, value)
	}
	name, counted := strings.CutSuffix(key, "_aggregate")
	if relationship := c.table.Relationship(name); relationship != nil && counted && !c.permission {
		return c.counted(relationship, value)
	}
	return "", qerr.New(qerr.ValidationFailed, "%q is no column or relationship of table %q", key, c.table.GraphQL)
}

// columnOf finds a column: metadata says its name, a client what GraphQL calls it.
func (c condition) columnOf(key string) *catalog.Column {
	if c.permission {
		return c.table.Column(key)
	}
	return c.table.Field(key)
}

// expression is a column as the author of the condition sees it.
func (c condition) expression(name string) (string, error) {
	if c.permission {
		return c.column(name), nil
	}
	return c.visible(c.scope, name)
}

func (c condition) list(value any, operator, empty string) (string, error) {
	if value == nil {
		return "TRUE", nil
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var parts []string
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return "", qerr.New(qerr.ValidationFailed, "_and and _or take a list of objects")
		}
		part, err := c.compile(object)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return empty, nil
	}
	return "(" + strings.Join(parts, operator) + ")", nil
}

func (c condition) not(value any) (string, error) {
	if value == nil {
		return "TRUE", nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return "", qerr.New(qerr.ValidationFailed, "_not takes an object")
	}
	inner, err := c.compile(object)
	return "(NOT " + inner + ")", err
}

// exists compiles _exists: some row of any tracked table.
func (c condition) exists(value any) (string, error) {
	object, _ := value.(map[string]any)
	inner, ok := object["_where"].(map[string]any)
	target := c.model.Table(tableName(object["_table"]))
	if !ok || target == nil {
		return "", qerr.New(qerr.ValidationFailed, "_exists needs a _table that is tracked and a _where")
	}
	s := c.builder.scope(target)
	found, err := condition{builder: c.builder, scope: s, root: c.root, permission: true}.compile(inner)
	return existsSQL(s, found), err
}

func tableName(value any) metadata.TableName {
	switch value := value.(type) {
	case string:
		return metadata.TableName{Schema: "public", Name: value}
	case map[string]any:
		schema, _ := value["schema"].(string)
		name, _ := value["name"].(string)
		return metadata.TableName{Schema: schema, Name: name}
	}
	return metadata.TableName{}
}

// related compiles a condition on the rows of another scope. A client sees only those
// that the role may read.
func (c condition) related(name string, s *scope, joined string, value any) (string, error) {
	if value == nil {
		return "TRUE", nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return "", qerr.New(qerr.ValidationFailed, "relationship %q takes an object", name)
	}
	parts := []string{joined}
	if !c.permission {
		readable, err := c.readable(s)
		if err != nil {
			return "", err
		}
		parts = append(parts, readable)
	}
	inner, err := condition{builder: c.builder, scope: s, root: c.root, permission: c.permission}.compile(object)
	return existsSQL(s, and(append(parts, inner)...)), err
}

// computed compiles a condition on a computed field that wants no arguments.
func (c condition) computed(field *model.ComputedField, value any) (string, error) {
	call, err := c.invoke(field.Call, c.scope, nil)
	if err != nil {
		return "", err
	}
	if field.To != nil {
		return c.related(field.Name, c.builder.calling(field.To, call), "", value)
	}
	if !c.permission {
		if call, err = c.redacted(c.scope, field.Name, call); err != nil {
			return "", err
		}
	}
	return c.operators(call, field.Returns, value)
}

// counted compiles a condition on how many related rows the caller may read.
func (c condition) counted(relationship *model.Relationship, value any) (string, error) {
	object, _ := value.(map[string]any)
	asked, ok := object["count"].(map[string]any)
	if !ok {
		return "TRUE", nil
	}
	to, readable, err := c.joined(c.scope, relationship)
	if err != nil {
		return "", err
	}
	filter, err := c.where(to, asked["filter"])
	if err != nil {
		return "", err
	}
	count, err := c.countOf(to, asked["arguments"], asked["distinct"])
	if err != nil {
		return "", err
	}
	number := fmt.Sprintf("(SELECT %s FROM %s WHERE %s)", count, to.source(), and(readable, filter))
	return c.operators(number, intType, asked["predicate"])
}

// readable is the filter of the role's select permission.
func (b *builder) readable(s *scope) (string, error) {
	right := s.table.Select(b.session.Caller)
	if right == nil {
		return "FALSE", nil
	}
	return b.filter(s, right.Filter)
}

func existsSQL(s *scope, condition string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s)", s.source(), condition)
}

func join(from *scope, relationship *model.Relationship, to *scope) string {
	var parts []string
	for _, pair := range relationship.Pairs {
		parts = append(parts, to.column(pair.Remote)+" = "+from.column(pair.Own))
	}
	return and(parts...)
}

// operators compiles {_eq: 1, _lt: 2}; in metadata a bare value means _eq.
func (c condition) operators(expression string, t catalog.Type, value any) (string, error) {
	object, ok := value.(map[string]any)
	if !ok {
		if !c.permission {
			return "TRUE", nil // an explicit null asks nothing
		}
		object = map[string]any{"_eq": value}
	}
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var parts []string
	for _, key := range keys {
		part, err := c.operator(expression, t, key, object[key])
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return and(parts...), nil
}
