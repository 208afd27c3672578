package sqlgen

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
)

// clauses are the compiled row arguments of a table field.
type clauses struct {
	where    string
	distinct string
	order    string
	limit    string
	offset   string
}

func (c clauses) tail() string {
	tail := " WHERE " + c.where
	for _, part := range []struct{ keyword, text string }{{"ORDER BY", c.order}, {"LIMIT", c.limit}, {"OFFSET", c.offset}} {
		if part.text != "" {
			tail += " " + part.keyword + " " + part.text
		}
	}
	return tail
}

// rows compiles the rows of a scope into a JSON array as text. joined ties them to a
// row above; it is empty at the root.
func (b *builder) rows(s *scope, field *request.Field, joined string) (string, error) {
	c, err := b.clauses(s, field.Args, joined, true)
	if err != nil {
		return "", err
	}
	object, err := b.object(s, field.Fields)
	if err != nil {
		return "", err
	}
	outer := quote(b.alias())
	return fmt.Sprintf("(SELECT %s FROM (SELECT %s%s AS j FROM %s%s) AS %s)",
		array(outer+".j"), c.distinct, object, s.source(), c.tail(), outer), nil
}

// first compiles the first row of a scope into a JSON object as text, or null.
func (b *builder) first(s *scope, field *request.Field, joined string) (string, error) {
	c, err := b.clauses(s, field.Args, joined, false)
	if err != nil {
		return "", err
	}
	if c.limit == "" {
		c.limit = "1"
	}
	object, err := b.object(s, field.Fields)
	return fmt.Sprintf("(SELECT %s%s FROM %s%s)", c.distinct, object, s.source(), c.tail()), err
}

// array gathers JSON texts into a JSON array. Its input is a subquery already in
// order, which a plain aggregate keeps.
func array(element string) string {
	return "'[' || coalesce(string_agg(" + element + ", ','), '') || ']'"
}

func (b *builder) byPK(t *model.Table, field *request.Field) (string, error) {
	s := b.scope(t)
	condition, err := b.key(s, field.Args)
	if err != nil {
		return "", err
	}
	readable, err := b.readable(s)
	if err != nil {
		return "", err
	}
	object, err := b.object(s, field.Fields)
	return fmt.Sprintf("(SELECT %s FROM %s WHERE %s)", object, s.source(), and(condition, readable)), err
}

// key compiles the equality of the primary key with the given values.
func (b *builder) key(s *scope, values map[string]any) (string, error) {
	var parts []string
	for _, name := range s.table.PrimaryKey.Columns {
		value, err := b.value(values[s.table.NameOf(name)], s.table.Column(name).Type)
		if err != nil {
			return "", err
		}
		column, err := b.visible(s, name)
		if err != nil {
			return "", err
		}
		parts = append(parts, column+" = "+value)
	}
	return and(parts...), nil
}

// clauses compiles where, order_by, distinct_on, limit and offset together with the
// role's filter. capped says whether the permission's own limit holds here.
func (b *builder) clauses(s *scope, args map[string]any, joined string, capped bool) (clauses, error) {
	var c clauses
	where, err := b.where(s, args["where"])
	if err != nil {
		return c, err
	}
	readable, err := b.readable(s)
	if err != nil {
		return c, err
	}
	c.where = and(joined, readable, where)
	if c.order, err = b.orderBy(s, args["order_by"]); err != nil {
		return c, err
	}
	if c.distinct, err = b.distinctOn(s, args["distinct_on"], args["order_by"]); err != nil {
		return c, err
	}
	if c.limit, err = b.limit(s.table, args["limit"], capped); err != nil {
		return c, err
	}
	c.offset, err = b.count(args["offset"])
	return c, err
}

func (b *builder) limit(t *model.Table, given any, capped bool) (string, error) {
	limit, err := b.count(given)
	right := t.Select(b.session.Caller)
	if err != nil || !capped || right == nil || right.Limit == nil {
		return limit, err
	}
	most := strconv.Itoa(*right.Limit)
	if limit == "" {
		return most, nil
	}
	return "least(" + limit + ", " + most + ")", nil
}

func (b *builder) count(given any) (string, error) {
	if given == nil {
		return "", nil
	}
	number, _ := given.(json.Number)
	if n, err := strconv.ParseInt(number.String(), 10, 64); err != nil || n < 0 {
		return "", qerr.New(qerr.ValidationFailed, "expected a non-negative 32-bit integer for type 'Int', but found a number")
	}
	return "(" + b.text(number.String()) + ")::bigint", nil
}

// object compiles selected fields of a row into a JSON object as text.
func (b *builder) object(s *scope, fields []*request.Field) (string, error) {
	return members(fields, func(field *request.Field) (string, error) { return b.member(s, field) })
}

// members writes one member per field, under its alias. An alias is a GraphQL name, so
// it needs no escape in JSON.
func members(fields []*request.Field, compile func(*request.Field) (string, error)) (string, error) {
	if len(fields) == 0 {
		return "'{}'", nil // everything was skipped
	}
	parts := make([]string, 0, len(fields))
	for i, field := range fields {
		value, err := compile(field)
		if err != nil {
			return "", err
		}
		lead := ","
		if i == 0 {
			lead = "{"
		}
		parts = append(parts, literal(lead+`"`+field.Alias+`":`)+" || coalesce("+value+", 'null')")
	}
	return strings.Join(parts, " || ") + " || '}'", nil
}

func (b *builder) member(s *scope, field *request.Field) (string, error) {
	if field.Name == "__typename" {
		return literal(`"` + field.Parent + `"`), nil
	}
	if column := s.table.Field(field.Name); column != nil {
		expression, err := b.visible(s, column.Name)
		if err != nil {
			return "", err
		}
		return b.scalarJSON(expression, field)
	}
	if relationship := s.table.Relationship(field.Name); relationship != nil {
		to := b.scope(relationship.To)
		if relationship.Array {
			return b.rows(to, field, join(s, relationship, to))
		}
		return b.first(to, field, join(s, relationship, to))
	}
	if computed := s.table.Computed(field.Name); computed != nil {
		return b.computed(s, computed, field)
	}
	name, _ := strings.CutSuffix(field.Name, "_aggregate")
	if relationship := s.table.Relationship(name); relationship != nil && relationship.Array {
		to := b.scope(relationship.To)
		return b.aggregate(to, field, join(s, relationship, to))
	}
	return "", qerr.New(qerr.Unexpected, "no column for field %s", field.Name)
}

func (b *builder) scalarJSON(expression string, field *request.Field) (string, error) {
	path, ok := field.Args["path"].(string)
	if !ok {
		return "to_json(" + expression + ")::text", nil
	}
	steps, err := jsonPath(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("(%s #> %s::text[])::text", expression, b.param(steps)), nil
}
