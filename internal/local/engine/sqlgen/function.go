package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/local/engine/sdl"
)

// function compiles a root field of a tracked function. Its rows obey the caller's
// permission on the table that they belong to, and the client's where and order.
func (b *builder) function(root sdl.Root, field *request.Field) (string, error) {
	call, err := b.invoke(root.Function.Call, nil, field.Args["args"])
	if err != nil {
		return "", err
	}
	rows := b.calling(root.Table, call)
	switch {
	case root.Kind == sdl.FunctionAggregate:
		return b.aggregate(rows, field, "")
	case root.Function.SetOf:
		return b.rows(rows, field, "")
	}
	return b.first(rows, field, "")
}

// computed compiles a computed field of a row.
func (b *builder) computed(s *scope, computed *model.ComputedField, field *request.Field) (string, error) {
	call, err := b.invoke(computed.Call, s, field.Args["args"])
	if err != nil {
		return "", err
	}
	if computed.To != nil {
		return b.rows(b.calling(computed.To, call), field, "")
	}
	if call, err = b.redacted(s, computed.Name, call); err != nil {
		return "", err
	}
	return b.scalarJSON(call, field)
}

// invoke writes the call of a function. Arguments go by position until the client
// leaves one to its default; from there on, by name.
func (b *builder) invoke(call model.Call, row *scope, given any) (string, error) {
	values, _ := given.(map[string]any)
	inputs := map[int]model.Input{}
	for _, input := range call.Inputs {
		inputs[input.Position] = input
	}
	var arguments []string
	named := false
	for i, argument := range call.Arguments {
		var value string
		var err error
		switch {
		case call.IsRow(i):
			value = row.row()
		case call.IsSession(i):
			value = "(" + b.sessionText() + ")::" + argument.Type.SQL()
		default:
			client, ok := values[inputs[i].GraphQL]
			if !ok && !argument.Default {
				return "", qerr.New(qerr.NotSupported, "Non default arguments cannot be omitted")
			}
			if !ok {
				named = true
				continue
			}
			value, err = b.value(client, argument.Type)
		}
		if err != nil {
			return "", err
		}
		if named && argument.Name == "" {
			return "", qerr.New(qerr.NotSupported, "Only last set of positional arguments can be omitted")
		}
		if named {
			value = quote(argument.Name) + " => " + value
		}
		arguments = append(arguments, value)
	}
	return fmt.Sprintf("%s(%s)", call.Quote(), strings.Join(arguments, ", ")), nil
}
