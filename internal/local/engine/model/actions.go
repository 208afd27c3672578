package model

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

var builtin = map[string]bool{"Int": true, "Float": true, "String": true, "Boolean": true, "ID": true}

// addActions keeps the actions whose types all exist and which this engine can serve.
func (m *Model) addActions(declared []metadata.Action) {
	types := newTypeNames(m)
	for _, object := range m.Types.Objects {
		if len(object.Relationships) > 0 {
			m.Report("custom_types", object.Name, "relationships of action types are not served by this stand-in", object)
		}
	}
	for _, action := range declared {
		if err := types.check(action); err != nil {
			m.Report("action", action.Name, err.Error(), action)
			continue
		}
		m.Actions = append(m.Actions, action)
	}
}

// MayCall reports whether the role may call the action.
func MayCall(action metadata.Action, role string) bool {
	for _, allowed := range action.Roles {
		if allowed == role {
			return true
		}
	}
	return role == AdminRole
}

// typeNames knows what each type name of an action may stand for.
type typeNames struct {
	inputs, outputs map[string]bool
	scalars         map[string]bool // of Postgres
	fields          map[string][]metadata.Argument
}

func newTypeNames(m *Model) typeNames {
	names := typeNames{
		inputs: map[string]bool{}, outputs: map[string]bool{},
		scalars: m.Catalog.Scalars, fields: map[string][]metadata.Argument{},
	}
	for _, object := range m.Types.Objects {
		names.outputs[object.Name] = true
		names.fields[object.Name] = object.Fields
	}
	for _, input := range m.Types.InputObjects {
		names.inputs[input.Name] = true
		names.fields[input.Name] = input.Fields
	}
	for _, enum := range m.Types.Enums {
		names.inputs[enum.Name], names.outputs[enum.Name] = true, true
	}
	for _, scalar := range m.Types.Scalars {
		names.inputs[scalar.Name], names.outputs[scalar.Name] = true, true
	}
	return names
}

func (n typeNames) check(action metadata.Action) error {
	if action.Handler == "" {
		return fmt.Errorf("the action has no handler")
	}
	if action.Kind != "synchronous" {
		return fmt.Errorf("the action is %s: this stand-in serves synchronous actions only", action.Kind)
	}
	seen := map[string]bool{}
	for _, argument := range action.Arguments {
		if err := n.reach(argument.Type, n.inputs, seen); err != nil {
			return fmt.Errorf("argument %s: %w", argument.Name, err)
		}
	}
	if err := n.reach(action.Output, n.outputs, seen); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// reach checks the type and everything below it.
func (n typeNames) reach(typeText string, allowed, seen map[string]bool) error {
	name := BaseType(typeText)
	if seen[name] || builtin[name] {
		return nil
	}
	seen[name] = true
	if !allowed[name] && !n.scalars[name] {
		return fmt.Errorf("the type: %q is not defined in custom types or is not allowed here", name)
	}
	for _, field := range n.fields[name] {
		if err := n.reach(field.Type, allowed, seen); err != nil {
			return fmt.Errorf("%s.%s: %w", name, field.Name, err)
		}
	}
	return nil
}

// BaseType strips list and non-null marks: "[Tenant!]!" is Tenant.
func BaseType(typeText string) string { return strings.Trim(typeText, "[]! ") }
