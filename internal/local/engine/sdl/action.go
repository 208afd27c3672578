package sdl

import (
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/metadata"
)

// actions writes the actions that the caller may call, and the custom types they reach.
func (w *writer) actions() {
	for _, action := range w.model.Actions {
		if !model.MayCall(action, w.caller.Role) {
			continue
		}
		var arguments []string
		for _, argument := range action.Arguments {
			w.reach(argument.Type)
			arguments = append(arguments, describe(argument.Description)+argument.Name+": "+argument.Type)
		}
		w.reach(action.Output)
		field := describe(action.Comment) + action.Name
		if len(arguments) > 0 {
			field += "(" + strings.Join(arguments, ", ") + ")"
		}
		field += ": " + action.Output
		root := Root{Kind: Action, Action: action}
		if action.Query {
			w.query(action.Name, field, root)
		} else {
			w.mutation(action.Name, field, root)
		}
	}
}

// reach writes a custom type and what its fields need.
func (w *writer) reach(typeText string) {
	name := model.BaseType(typeText)
	if w.reached[name] {
		return
	}
	w.reached[name] = true
	types := w.model.Types
	for _, object := range types.Objects {
		if object.Name == name {
			w.custom("type", object)
			return
		}
	}
	for _, input := range types.InputObjects {
		if input.Name == name {
			w.custom("input", input)
			return
		}
	}
	for _, enum := range types.Enums {
		if enum.Name == name {
			var values []string
			for _, value := range enum.Values {
				values = append(values, describe(value.Description)+value.Value)
			}
			w.block("enum", name, enum.Description, values)
			return
		}
	}
	for _, scalar := range types.Scalars {
		if scalar.Name == name {
			w.define(name, describe(scalar.Description)+"scalar "+name)
			return
		}
	}
	w.scalar(name)
}

func (w *writer) custom(kind string, custom metadata.CustomType) {
	var lines []string
	for _, field := range custom.Fields {
		lines = append(lines, describe(field.Description)+field.Name+": "+field.Type)
	}
	w.block(kind, custom.Name, custom.Description, lines)
	for _, field := range custom.Fields {
		w.reach(field.Type)
	}
}
