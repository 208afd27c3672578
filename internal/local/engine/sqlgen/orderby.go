package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

var directions = map[string]string{
	"asc": "ASC NULLS LAST", "asc_nulls_last": "ASC NULLS LAST", "asc_nulls_first": "ASC NULLS FIRST",
	"desc": "DESC NULLS FIRST", "desc_nulls_first": "DESC NULLS FIRST", "desc_nulls_last": "DESC NULLS LAST",
}

// orderBy compiles the list of orderings. Within one object the order of keys carries
// no meaning, so it is that of their names.
func (b *builder) orderBy(s *scope, given any) (string, error) {
	list, _ := given.([]any)
	var parts []string
	for _, item := range list {
		object, _ := item.(map[string]any)
		for _, key := range sortedKeys(object) {
			if object[key] == nil {
				continue
			}
			found, err := b.ordering(s, key, object[key], func(expression string) string { return expression })
			if err != nil {
				return "", err
			}
			parts = append(parts, found...)
		}
	}
	return strings.Join(parts, ", "), nil
}

// ordering compiles one key; wrap turns an expression on s into one of the outer row.
func (b *builder) ordering(s *scope, key string, value any, wrap func(string) string) ([]string, error) {
	if direction, ok := value.(string); ok {
		expression, err := b.sortable(s, key)
		return []string{wrap(expression) + " " + directions[direction]}, err
	}
	inner, _ := value.(map[string]any)
	if relationship := s.table.Relationship(key); relationship != nil && !relationship.Array {
		return b.orderThrough(s, relationship, inner, wrap)
	}
	name, _ := strings.CutSuffix(key, "_aggregate")
	if relationship := s.table.Relationship(name); relationship != nil {
		return b.orderByAggregate(s, relationship, inner, wrap)
	}
	return nil, qerr.New(qerr.ValidationFailed, "cannot order by %q", key)
}

// sortable is a column, or a computed field that wants no arguments.
func (b *builder) sortable(s *scope, key string) (string, error) {
	if column := s.table.Field(key); column != nil {
		return b.visible(s, column.Name)
	}
	computed := s.table.Computed(key)
	if computed == nil {
		return "", qerr.New(qerr.ValidationFailed, "cannot order by %q", key)
	}
	call, err := b.invoke(computed.Call, s, nil)
	if err != nil {
		return "", err
	}
	return b.redacted(s, key, call)
}

func (b *builder) orderThrough(s *scope, by *model.Relationship, inner map[string]any, wrap func(string) string) ([]string, error) {
	var parts []string
	for _, key := range sortedKeys(inner) {
		if inner[key] == nil {
			continue
		}
		to, condition, err := b.joined(s, by)
		if err != nil {
			return nil, err
		}
		found, err := b.ordering(to, key, inner[key], func(expression string) string {
			return wrap(fmt.Sprintf("(SELECT %s FROM %s WHERE %s LIMIT 1)", expression, to.source(), condition))
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, found...)
	}
	return parts, nil
}

func (b *builder) orderByAggregate(s *scope, by *model.Relationship, inner map[string]any, wrap func(string) string) ([]string, error) {
	var parts []string
	add := func(value func(*scope) (string, error), direction any) error {
		to, condition, err := b.joined(s, by)
		name, ok := direction.(string)
		if err != nil || !ok {
			return err
		}
		expression, err := value(to)
		parts = append(parts, wrap(fmt.Sprintf("(SELECT %s FROM %s WHERE %s)", expression, to.source(), condition))+" "+directions[name])
		return err
	}
	for _, function := range sortedKeys(inner) {
		if function == "count" {
			if err := add(func(*scope) (string, error) { return "count(*)", nil }, inner[function]); err != nil {
				return nil, err
			}
			continue
		}
		columns, _ := inner[function].(map[string]any)
		for _, column := range sortedKeys(columns) {
			if err := add(func(to *scope) (string, error) { return b.call(function, to, column) }, columns[column]); err != nil {
				return nil, err
			}
		}
	}
	return parts, nil
}

// joined opens the other side of a relationship as the role may read it.
func (b *builder) joined(s *scope, by *model.Relationship) (*scope, string, error) {
	to := b.scope(by.To)
	readable, err := b.readable(to)
	return to, and(join(s, by, to), readable), err
}

// distinctOn compiles distinct_on, whose columns must lead the ordering.
func (b *builder) distinctOn(s *scope, given, orderBy any) (string, error) {
	columns, _ := given.([]any)
	if len(columns) == 0 {
		return "", nil
	}
	wanted := map[string]bool{}
	var quoted []string
	for _, column := range columns {
		name, _ := column.(string)
		wanted[name] = true
		expression, err := b.visible(s, s.table.Field(name).Name)
		if err != nil {
			return "", err
		}
		quoted = append(quoted, expression)
	}
	leading := leadingKeys(orderBy)
	for i, key := range leading {
		if i < len(wanted) && !wanted[key] {
			return "", qerr.New(qerr.ValidationFailed, "\"distinct_on\" columns must match initial \"order_by\" columns")
		}
	}
	return "DISTINCT ON (" + strings.Join(quoted, ", ") + ") ", nil
}

func leadingKeys(orderBy any) []string {
	var keys []string
	list, _ := orderBy.([]any)
	for _, item := range list {
		object, _ := item.(map[string]any)
		for _, key := range sortedKeys(object) {
			if object[key] != nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
