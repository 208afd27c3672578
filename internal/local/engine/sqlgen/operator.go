package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// comparisons take a value of the column's own type.
var comparisons = map[string]string{
	"_eq": "=", "_neq": "<>", "_gt": ">", "_lt": "<", "_gte": ">=", "_lte": "<=",
}

// columnComparisons compare with another column of the row, or of the root ("$").
var columnComparisons = map[string]string{
	"_ceq": "=", "_cne": "<>", "_cneq": "<>", "_cgt": ">", "_clt": "<", "_cgte": ">=", "_clte": "<=",
}

var textOperators = map[string]string{
	"_like": "LIKE", "_nlike": "NOT LIKE", "_ilike": "ILIKE", "_nilike": "NOT ILIKE",
	"_similar": "SIMILAR TO", "_nsimilar": "NOT SIMILAR TO",
	"_regex": "~", "_iregex": "~*", "_nregex": "!~", "_niregex": "!~*",
}

var containment = map[string]string{"_contains": "@>", "_contained_in": "<@"}

var keyLists = map[string]string{"_has_keys_any": "?|", "_has_keys_all": "?&"}

// These take their meaning from pg_catalog alone.
var (
	textType = catalog.Type{Schema: "pg_catalog", Name: "text"}
	boolType = catalog.Type{Schema: "pg_catalog", Name: "bool"}
	intType  = catalog.Type{Schema: "pg_catalog", Name: "int4"}
)

// operator compiles one comparison of expression, which has the type t.
func (c condition) operator(expression string, t catalog.Type, name string, value any) (string, error) {
	if sql, ok := columnComparisons[name]; ok && c.permission {
		return c.compareColumn(expression, sql, value)
	}
	if value == nil {
		return c.null(expression, t, name)
	}
	switch {
	case name == "_is_null":
		return c.isNull(expression, value)
	case name == "_in" || name == "_nin":
		return c.in(expression, t, name, value)
	case name == "_cast" && t.IsJSONB():
		return c.cast(expression, value)
	case name == "_has_key" && t.IsJSONB():
		return c.binary(expression, "?", value, textType)
	case keyLists[name] != "" && t.IsJSONB():
		return c.keys(expression, keyLists[name], value)
	case containment[name] != "" && (t.IsJSONB() || t.Elem != nil):
		return c.binary(expression, containment[name], value, t)
	case textOperators[name] != "" && t.IsText():
		pattern := textType
		if t.Name == "citext" {
			pattern = t
		}
		return c.binary(expression, textOperators[name], value, pattern)
	case name == "_neq" && c.permission:
		return c.binary(expression, "IS DISTINCT FROM", value, t)
	case comparisons[name] != "":
		return c.binary(expression, comparisons[name], value, t)
	}
	return "", qerr.New(qerr.ValidationFailed, "operator %q does not apply to type %q", name, t.Scalar())
}

// null handles an explicit null: an error of the client, as Hasura holds it, for a
// variable left empty would otherwise match nothing or everything.
func (c condition) null(expression string, t catalog.Type, name string) (string, error) {
	switch {
	case c.permission && name == "_eq":
		return expression + " IS NULL", nil
	case c.permission && name == "_neq":
		return expression + " IS NOT NULL", nil
	}
	return "", qerr.New(qerr.ValidationFailed, "unexpected null value for type '%s'", t.Scalar())
}

func (c condition) binary(expression, operator string, value any, t catalog.Type) (string, error) {
	operand, err := c.operand(value, t)
	return fmt.Sprintf("(%s %s %s)", expression, operator, operand), err
}

func (c condition) operand(value any, t catalog.Type) (string, error) {
	if c.permission {
		return c.permissionValue(value, t)
	}
	return c.value(value, t)
}

func (c condition) isNull(expression string, value any) (string, error) {
	if isTrue, ok := value.(bool); ok {
		if isTrue {
			return "(" + expression + " IS NULL)", nil
		}
		return "(" + expression + " IS NOT NULL)", nil
	}
	operand, err := c.operand(value, boolType)
	return fmt.Sprintf("((%s IS NULL) = %s)", expression, operand), err
}

// in compiles _in and _nin. In metadata the list may be a session variable that holds
// a Postgres array literal, or have session variables among its elements.
func (c condition) in(expression string, t catalog.Type, name string, value any) (string, error) {
	form := "(%s = ANY (%s))"
	if name == "_nin" {
		form = "(%s <> ALL (%s))"
	}
	if variable, ok := isSessionVariable(value); ok && c.permission {
		list, err := c.sessionVariable(variable)
		return fmt.Sprintf(form, expression, list+"::"+t.SQL()+"[]"), err
	}
	list, ok := value.([]any)
	if !ok {
		return "", qerr.New(qerr.ValidationFailed, "%s takes a list", name)
	}
	if !c.permission {
		operand, err := c.values(list, t)
		return fmt.Sprintf(form, expression, operand), err
	}
	var elements []string
	for _, item := range list {
		element, err := c.permissionValue(item, t)
		if err != nil {
			return "", err
		}
		elements = append(elements, element)
	}
	return fmt.Sprintf(form, expression, "ARRAY["+strings.Join(elements, ", ")+"]::"+t.SQL()+"[]"), nil
}

func (c condition) keys(expression, operator string, value any) (string, error) {
	if variable, ok := isSessionVariable(value); ok && c.permission {
		list, err := c.sessionVariable(variable)
		return fmt.Sprintf("(%s %s %s::text[])", expression, operator, list), err
	}
	list, ok := value.([]any)
	if !ok {
		return "", qerr.New(qerr.ValidationFailed, "_has_keys_any and _has_keys_all take a list")
	}
	operand, err := c.values(list, textType)
	return fmt.Sprintf("(%s %s %s)", expression, operator, operand), err
}

// cast compares a jsonb value as text.
func (c condition) cast(expression string, value any) (string, error) {
	object, _ := value.(map[string]any)
	text, ok := object["String"].(map[string]any)
	if !ok {
		return "TRUE", nil
	}
	var parts []string
	for _, name := range sortedKeys(text) {
		part, err := c.operator("("+expression+")::text", textType, name, text[name])
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return and(parts...), nil
}

func (c condition) compareColumn(expression, operator string, value any) (string, error) {
	from := c.scope
	if path, ok := value.([]any); ok && len(path) == 2 && path[0] == "$" {
		from, value = c.root, path[1]
	}
	name, _ := value.(string)
	if from.table.Column(name) == nil {
		return "", qerr.New(qerr.ValidationFailed, "column %q does not exist in table %q", name, from.table.GraphQL)
	}
	return fmt.Sprintf("(%s %s %s)", expression, operator, from.column(name)), nil
}
