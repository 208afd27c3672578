package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/request"
)

// aggregate compiles t_aggregate over the rows of a scope. They are chosen in an inner
// select; what is computed of them, in the outer. The permission's limit bounds the
// nodes, not what is counted.
func (b *builder) aggregate(inner *scope, field *request.Field, joined string) (string, error) {
	c, err := b.clauses(inner, field.Args, joined, false)
	if err != nil {
		return "", err
	}
	outer := b.derived(inner.table)
	rank := quote(outer.alias, "nself_rank")
	object, err := members(field.Fields, func(part *request.Field) (string, error) {
		switch part.Name {
		case "nodes":
			return b.nodes(outer, part, rank)
		case "aggregate":
			return b.aggregateFields(outer, part.Fields)
		}
		return literal(`"` + part.Parent + `"`), nil
	})
	if err != nil {
		return "", err
	}
	rows := fmt.Sprintf("SELECT %s%s FROM %s%s", c.distinct, outer.columns(inner.alias), inner.source(), c.tail())
	between := quote(b.alias())
	return fmt.Sprintf("(SELECT %s FROM (SELECT %s.*, row_number() OVER () AS nself_rank FROM (%s) AS %s) AS %s)",
		object, between, rows, between, quote(outer.alias)), nil
}

func (b *builder) nodes(s *scope, field *request.Field, rank string) (string, error) {
	object, err := b.object(s, field.Fields)
	if err != nil {
		return "", err
	}
	most := ""
	if right := s.table.Select(b.session.Caller); right != nil && right.Limit != nil {
		most = fmt.Sprintf(" FILTER (WHERE %s <= %d)", rank, *right.Limit)
	}
	return fmt.Sprintf("'[' || coalesce(string_agg(%s, ',' ORDER BY %s)%s, '') || ']'", object, rank, most), nil
}

func (b *builder) aggregateFields(s *scope, fields []*request.Field) (string, error) {
	return members(fields, func(field *request.Field) (string, error) {
		switch field.Name {
		case "__typename":
			return literal(`"` + field.Parent + `"`), nil
		case "count":
			count, err := b.countOf(s, field.Args["columns"], field.Args["distinct"])
			return count + "::text", err
		}
		return members(field.Fields, func(column *request.Field) (string, error) {
			if column.Name == "__typename" {
				return literal(`"` + column.Parent + `"`), nil
			}
			value, err := b.call(field.Name, s, column.Name)
			return "to_json(" + value + ")::text", err
		})
	})
}

// countOf counts rows, or those in which the named columns are not all null.
func (b *builder) countOf(s *scope, named, distinct any) (string, error) {
	list, _ := named.([]any)
	if len(list) == 0 {
		return "count(*)", nil
	}
	var columns []string
	for _, item := range list {
		name, _ := item.(string)
		column, err := b.visible(s, s.table.Field(name).Name)
		if err != nil {
			return "", err
		}
		columns = append(columns, column)
	}
	once := ""
	if distinct == true {
		once = "DISTINCT "
	}
	if len(columns) == 1 {
		return "count(" + once + columns[0] + ")", nil
	}
	return "count(" + once + "(" + strings.Join(columns, ", ") + "))", nil
}

// call applies an aggregate function of the schema to a column. Postgres has no min
// and max of uuid before version 18; their text orders alike.
func (b *builder) call(function string, s *scope, name string) (string, error) {
	column := s.table.Field(name)
	expression, err := b.visible(s, column.Name)
	if column.Type.Name == "uuid" {
		return fmt.Sprintf("%s(%s::text)::uuid", function, expression), err
	}
	return fmt.Sprintf("%s(%s)", function, expression), err
}
