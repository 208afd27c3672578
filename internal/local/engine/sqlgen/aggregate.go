package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/request"
)

// aggregate compiles t_aggregate. The rows are chosen in an inner select; what is
// computed of them, in the outer. The permission's limit bounds the nodes, not what is
// counted.
func (b *builder) aggregate(t *model.Table, field *request.Field, above *link) (string, error) {
	inner := b.scope(t)
	c, err := b.clauses(inner, field.Args, above, false)
	if err != nil {
		return "", err
	}
	outer := b.scope(t)
	rank := quote(outer.alias, "nself_rank")
	object, err := members(field.Fields, func(part *request.Field) (string, error) {
		switch part.Name {
		case "nodes":
			return b.nodes(outer, part, rank)
		case "aggregate":
			return aggregateFields(outer, part.Fields)
		}
		return literal(`"` + part.Parent + `"`), nil
	})
	if err != nil {
		return "", err
	}
	rows := fmt.Sprintf("SELECT %s%s FROM %s AS %s%s", c.distinct, outer.columns(inner.alias), t.Quote(), quote(inner.alias), c.tail())
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

func aggregateFields(s *scope, fields []*request.Field) (string, error) {
	return members(fields, func(field *request.Field) (string, error) {
		switch field.Name {
		case "__typename":
			return literal(`"` + field.Parent + `"`), nil
		case "count":
			return countOf(s, field.Args) + "::text", nil
		}
		return members(field.Fields, func(column *request.Field) (string, error) {
			if column.Name == "__typename" {
				return literal(`"` + column.Parent + `"`), nil
			}
			return "to_json(" + call(field.Name, s, column.Name) + ")::text", nil
		})
	})
}

func countOf(s *scope, args map[string]any) string {
	list, _ := args["columns"].([]any)
	if len(list) == 0 {
		return "count(*)"
	}
	var columns []string
	for _, column := range list {
		name, _ := column.(string)
		columns = append(columns, s.column(name))
	}
	distinct := ""
	if args["distinct"] == true {
		distinct = "DISTINCT "
	}
	if len(columns) == 1 {
		return "count(" + distinct + columns[0] + ")"
	}
	return "count(" + distinct + "(" + strings.Join(columns, ", ") + "))"
}

// call applies an aggregate function of the schema to a column. Postgres has no min
// and max of uuid before version 18; their text orders alike.
func call(function string, s *scope, column string) string {
	t := s.table.Column(column).Type
	if t.Name == "uuid" {
		return fmt.Sprintf("%s(%s::text)::uuid", function, s.column(column))
	}
	return fmt.Sprintf("%s(%s)", function, s.column(column))
}
