package sqlgen

import (
	"fmt"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/request"
)

// checkColumn is the column that tells, row by row, whether a permission's check holds.
const checkColumn = "check__constraint"

// writing is a mutation under construction: the written table, and the rows that come
// back under the name of a common table expression.
type writing struct {
	*builder
	target *scope // in the INSERT, UPDATE or DELETE
	result *scope // of what it returned
}

func (b *builder) writing(t *model.Table) writing {
	return writing{builder: b, target: b.scope(t), result: b.derived(t)}
}

// finish puts the statement together: the mutation in a common table expression, the
// answer selected from it. One row is an object, otherwise a mutation response.
func (w writing) finish(mutation, check, failure string, field *request.Field, one bool) (Statement, error) {
	answer, err := w.answer(field, one)
	if err != nil {
		return Statement{}, err
	}
	statement := w.assemble(mutation, check, failure, answer)
	statement.Path = field.Path
	return statement, nil
}

// assemble writes the mutation, with what the answer needs of its rows, before the answer.
func (w writing) assemble(mutation, check, failure, answer string) Statement {
	returning := w.result.columns(w.target.alias)
	if check != "TRUE" {
		returning += ", (" + check + ") AS " + quote(checkColumn)
	}
	rows := quote(w.result.alias)
	statement := Statement{Args: w.args}
	statement.SQL = fmt.Sprintf("WITH %s AS (%s RETURNING %s) SELECT %s", rows, mutation, returning, answer)
	if check != "TRUE" {
		statement.Checked, statement.Failure = true, failure
		statement.SQL += fmt.Sprintf(", (SELECT coalesce(bool_and(coalesce(%s, false)), true) FROM %s)", quote(w.result.alias, checkColumn), rows)
	}
	return statement
}

func (w writing) answer(field *request.Field, one bool) (string, error) {
	rows := quote(w.result.alias)
	if one {
		object, err := w.object(w.result, field.Fields)
		return fmt.Sprintf("(SELECT %s FROM %s LIMIT 1)", object, rows), err
	}
	return w.response(w.result, field, fmt.Sprintf("(SELECT count(*)::text FROM %s)", rows))
}

// response compiles t_mutation_response over the rows of a scope.
func (b *builder) response(s *scope, field *request.Field, affected string) (string, error) {
	return members(field.Fields, func(part *request.Field) (string, error) {
		switch part.Name {
		case "affected_rows":
			return affected, nil
		case "returning":
			object, err := b.object(s, part.Fields)
			return fmt.Sprintf("(SELECT %s FROM %s)", array(object), s.source()), err
		}
		return literal(`"` + part.Parent + `"`), nil
	})
}

// delete compiles delete_t, and delete_t_by_pk where key is given.
func (b *builder) delete(t *model.Table, field *request.Field, key map[string]any) (Statement, error) {
	w := b.writing(t)
	condition, err := w.rowsToWrite(field.Args["where"], key)
	if err != nil {
		return Statement{}, err
	}
	filter, err := b.filter(w.target, t.Delete(b.session.Caller).Filter)
	if err != nil {
		return Statement{}, err
	}
	mutation := fmt.Sprintf("DELETE FROM %s AS %s WHERE %s", t.Quote(), quote(w.target.alias), and(filter, condition))
	return w.finish(mutation, "TRUE", "", field, key != nil)
}

// rowsToWrite compiles which rows the client names: by key, or by a condition.
func (w writing) rowsToWrite(where any, key map[string]any) (string, error) {
	if key != nil {
		return w.key(w.target, key)
	}
	return w.where(w.target, where)
}
