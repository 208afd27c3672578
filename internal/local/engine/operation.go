package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/nself/tenancy/internal/local/engine/action"
	"github.com/nself/tenancy/internal/local/engine/auth"
	"github.com/nself/tenancy/internal/local/engine/introspect"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/nested"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/local/engine/sdl"
	"github.com/nself/tenancy/internal/local/engine/sqlgen"
)

// operation is one GraphQL operation under way.
type operation struct {
	engine  *Engine
	state   *state
	session auth.Session
	client  *http.Request
	trace   trace
	query   string
	cookies []string // from actions, for the client
}

// step is one root field with what it takes to answer it: exactly one of statements,
// nested, action and constant.
type step struct {
	field      *request.Field
	statements []sqlgen.Statement
	list       bool // the statements' results form a list
	nested     bool // an insert whose statements follow from each other's results
	action     bool
	root       sdl.Root
	constant   json.RawMessage
}

// onDatabase reports whether the step runs on the database, inside a transaction where
// it is a mutation.
func (s step) onDatabase() bool { return s.statements != nil || s.nested }

// run answers the operation with the JSON of "data". Everything is compiled before
// anything runs, so that a fault in the last field leaves the first undone.
func (o *operation) run(ctx context.Context, input request.Input) (json.RawMessage, error) {
	schema, err := o.state.schema(o.caller())
	if err != nil {
		return nil, err
	}
	o.query = input.Query
	parsed, err := request.Parse(schema.Schema, input)
	if err != nil {
		return nil, err
	}
	roots := schema.Queries
	if parsed.Mutation {
		roots = schema.Mutations
	}
	steps := make([]step, 0, len(parsed.Fields))
	for _, field := range parsed.Fields {
		next, err := o.plan(schema, roots, field)
		if err != nil {
			return nil, err
		}
		steps = append(steps, next)
	}
	if parsed.Mutation {
		return o.mutate(ctx, steps)
	}
	return o.read(ctx, steps)
}

func (o *operation) plan(schema *sdl.Schema, roots map[string]sdl.Root, field *request.Field) (step, error) {
	planned := step{field: field}
	switch field.Name {
	case "__typename":
		planned.constant = json.RawMessage(fmt.Sprintf("%q", field.Parent))
		return planned, nil
	case "__schema", "__type":
		constant, err := introspect.Answer(schema.Schema, field)
		planned.constant = constant
		return planned, err
	case "no_queries_available":
		planned.constant = json.RawMessage(`"There are no queries available to the current role."`)
		return planned, nil
	}
	planned.root = roots[field.Name]
	if planned.root.Kind == sdl.Action {
		planned.action = true
		return planned, nil
	}
	if nested.Wanted(planned.root, field) {
		planned.nested = true
		return planned, nil
	}
	planned.list = planned.root.Kind == sdl.UpdateMany
	var err error
	planned.statements, err = sqlgen.Compile(o.state.model, o.compiling(), planned.root, field)
	return planned, err
}

// caller is as whom the operation runs.
func (o *operation) caller() model.Caller {
	return model.Caller{Role: o.session.Role, Backend: o.session.Backend() && o.session.Role != model.AdminRole}
}

func (o *operation) compiling() sqlgen.Session {
	return sqlgen.Session{Caller: o.caller(), Variables: o.session.Variables, JSON: o.session.JSON()}
}

// read answers queries one by one, each its own statement on whatever connection is
// free, with no transaction and no session setting around it.
func (o *operation) read(ctx context.Context, steps []step) (json.RawMessage, error) {
	results := make([]json.RawMessage, len(steps))
	for i, s := range steps {
		var err error
		if s.statements != nil {
			results[i], err = o.runStatements(ctx, o.engine.pool, s)
		} else {
			results[i], err = o.answer(ctx, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return data(steps, results), nil
}

// mutate answers mutations in order. Neighbouring fields on the database share one
// transaction; an action between two of them ends it, and what was committed stays.
func (o *operation) mutate(ctx context.Context, steps []step) (json.RawMessage, error) {
	results := make([]json.RawMessage, len(steps))
	for i := 0; i < len(steps); {
		if !steps[i].onDatabase() {
			result, err := o.answer(ctx, steps[i])
			if err != nil {
				return nil, err
			}
			results[i] = result
			i++
			continue
		}
		end := i
		for end < len(steps) && steps[end].onDatabase() {
			end++
		}
		if err := o.transact(ctx, steps[i:end], results[i:end]); err != nil {
			return nil, err
		}
		i = end
	}
	return data(steps, results), nil
}

// answer answers a field that needs no statement.
func (o *operation) answer(ctx context.Context, s step) (json.RawMessage, error) {
	if !s.action {
		return s.constant, nil
	}
	answered, err := o.engine.actions.Do(ctx, action.Call{
		Action: s.root.Action, Types: o.state.model.Types, Field: s.field, Variables: o.session.Variables,
		Query: o.query, Client: o.client, Trace: o.trace.headers(),
	})
	if err != nil {
		return nil, err
	}
	o.cookies = append(o.cookies, answered.Cookies...)
	return answered.JSON, nil
}

func data(steps []step, results []json.RawMessage) json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, s := range steps {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:", s.field.Alias)
		out.Write(results[i])
	}
	out.WriteByte('}')
	return out.Bytes()
}
