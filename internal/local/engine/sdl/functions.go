package sdl

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
)

// functions writes the root fields of the functions that the caller may call.
func (w *writer) functions() {
	for _, function := range w.model.Functions {
		if !function.MayCall(w.caller) || !w.readsRow(function.To) {
			continue
		}
		arguments := joined(w.callArgument(function.Call), rowArgumentsOf(function.To))
		result := function.To.GraphQL
		if function.SetOf {
			result = "[" + result + "!]!"
		}
		field := fmt.Sprintf("%s%s(%s): %s", describe(function.Comment), function.GraphQL, arguments, result)
		root := Root{Kind: FunctionRows, Table: function.To, Function: function}
		if function.Mutation {
			w.mutation(function.GraphQL, field, root)
			continue
		}
		w.query(function.GraphQL, field, root)
		if function.To.Select(w.caller).Aggregations {
			root.Kind = FunctionAggregate
			w.query(function.Aggregate, fmt.Sprintf("%s(%s): %s_aggregate!", function.Aggregate, arguments, function.To.GraphQL), root)
		}
	}
}

// callArgument writes the type that holds what the client gives a function, and
// returns the argument, or nothing where there is nothing to give.
func (w *writer) callArgument(call model.Call) string {
	var lines []string
	for _, input := range call.Inputs {
		lines = append(lines, input.GraphQL+": "+w.scalar(input.Type.Scalar()))
	}
	if !w.block("input", call.ArgsType, "", lines) {
		return ""
	}
	if call.Required() {
		return "args: " + call.ArgsType + "!"
	}
	return "args: " + call.ArgsType
}

// computed lists the computed fields that the caller may read: scalar ones by
// permission, those of a table by the permission on it.
func (w *writer) computed(t *model.Table, read *model.SelectRight) []*model.ComputedField {
	var open []*model.ComputedField
	for _, field := range t.ComputedFields {
		if field.To == nil && read.Computed[field.Name] || field.To != nil && field.To.Select(w.caller) != nil {
			open = append(open, field)
		}
	}
	return open
}

// comparableFields leaves out the fields that want arguments, which a condition cannot give.
func (w *writer) comparableFields(t *model.Table, read *model.SelectRight) []*model.ComputedField {
	var open []*model.ComputedField
	for _, field := range w.computed(t, read) {
		if len(field.Inputs) == 0 {
			open = append(open, field)
		}
	}
	return open
}

func (w *writer) computedField(field *model.ComputedField) string {
	argument := w.callArgument(field.Call)
	head := describe(field.Comment) + field.Name
	if field.To != nil {
		return fmt.Sprintf("%s(%s): [%s!]", head, joined(argument, rowArgumentsOf(field.To)), field.To.GraphQL)
	}
	path := ""
	if field.Returns.IsJSON() {
		path = "path: String"
	}
	if arguments := joined(argument, path); arguments != "" {
		head += "(" + arguments + ")"
	}
	return head + ": " + w.scalar(field.Returns.Scalar())
}

// joined lists the arguments that are not empty.
func joined(arguments ...string) string {
	var kept []string
	for _, argument := range arguments {
		if argument != "" {
			kept = append(kept, argument)
		}
	}
	return strings.Join(kept, ", ")
}
