// Package sqlgen compiles one root field into one SQL statement whose single row is
// the field's JSON. Values and session variables travel as parameters, identifiers are
// quoted, and JSON is written by Postgres, so that numbers of any size pass untouched.
// Permissions of the caller's role are compiled into every level. It runs nothing.
package sqlgen

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/local/engine/sdl"
)

// Session is the session variables that permissions refer to, keys in lower case.
type Session struct {
	Caller    model.Caller
	Variables map[string]string
	JSON      string // Variables as one JSON object
}

// Statement is one SQL statement. It returns one row: the JSON text (null where there
// is no object), and, where Checked, a boolean that is false when a row broke the
// permission's check, upon which the transaction must be rolled back.
type Statement struct {
	SQL     string
	Args    []any
	Checked bool
	Failure string // the message when the check fails
	Path    string // of the field, for errors
}

// Compile compiles a root field. An update of many is as many statements, whose
// results form a list.
func Compile(m *model.Model, session Session, root sdl.Root, field *request.Field) ([]Statement, error) {
	if root.Kind == sdl.UpdateMany {
		return updateMany(m, session, root.Table, field)
	}
	b := newBuilder(m, session)
	statement, err := b.root(root, field)
	if err != nil {
		return nil, located(err, field)
	}
	return []Statement{statement}, nil
}

func (b *builder) root(root sdl.Root, field *request.Field) (Statement, error) {
	t := root.Table
	switch root.Kind {
	case sdl.Select:
		return b.query(field)(b.rows(b.scope(t), field, ""))
	case sdl.SelectAggregate:
		return b.query(field)(b.aggregate(b.scope(t), field, ""))
	case sdl.SelectByPK:
		return b.query(field)(b.byPK(t, field))
	case sdl.FunctionRows, sdl.FunctionAggregate:
		return b.query(field)(b.function(root, field))
	case sdl.Insert, sdl.InsertOne:
		return b.insert(t, field, root.Kind == sdl.InsertOne)
	case sdl.Update:
		return b.update(t, field, field.Args, nil)
	case sdl.UpdateByPK:
		key, _ := field.Args["pk_columns"].(map[string]any)
		return b.update(t, field, field.Args, key)
	case sdl.Delete:
		return b.delete(t, field, nil)
	case sdl.DeleteByPK:
		return b.delete(t, field, field.Args)
	}
	return Statement{}, qerr.New(qerr.Unexpected, "no statement for field %s", field.Name)
}

// query wraps a compiled expression into a statement.
func (b *builder) query(field *request.Field) func(expression string, err error) (Statement, error) {
	return func(expression string, err error) (Statement, error) {
		return Statement{SQL: "SELECT " + expression, Args: b.args, Path: field.Path}, err
	}
}

// builder holds the parameters of one statement.
type builder struct {
	model   *model.Model
	session Session
	dry     bool // session variables need not exist: only the form is checked
	args    []any
	jsonArg string
	aliases int
}

func newBuilder(m *model.Model, session Session) *builder {
	return &builder{model: m, session: session}
}

// param adds a parameter and returns its place as text.
func (b *builder) param(value any) string {
	b.args = append(b.args, value)
	return fmt.Sprintf("$%d", len(b.args))
}

func (b *builder) text(value string) string { return b.param(value) + "::text" }

func (b *builder) alias() string {
	b.aliases++
	return fmt.Sprintf("t%d", b.aliases)
}

func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes a constant that comes from the schema, never from a client's value.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func and(conditions ...string) string {
	var kept []string
	for _, condition := range conditions {
		if condition != "" && condition != "TRUE" {
			kept = append(kept, condition)
		}
	}
	switch len(kept) {
	case 0:
		return "TRUE"
	case 1:
		return kept[0]
	}
	return "(" + strings.Join(kept, " AND ") + ")"
}

// sessionVariable returns a session variable as SQL text.
func (b *builder) sessionVariable(name string) (string, error) {
	name = strings.ToLower(name)
	if _, ok := b.session.Variables[name]; !ok && !b.dry {
		return "", qerr.New(qerr.NotFound, "missing session variable: %q", name)
	}
	return fmt.Sprintf("((%s)::json ->> %s)", b.sessionText(), literal(name)), nil
}

// sessionText is all session variables as one JSON object.
func (b *builder) sessionText() string {
	if b.jsonArg == "" {
		b.jsonArg = b.param(b.session.JSON)
	}
	return b.jsonArg + "::text"
}

// isSessionVariable reports whether a permission's value names a session variable.
func isSessionVariable(value any) (string, bool) {
	text, ok := value.(string)
	return text, ok && len(text) > len("x-hasura-") && strings.EqualFold(text[:len("x-hasura-")], "x-hasura-")
}
