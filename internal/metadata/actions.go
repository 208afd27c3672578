package metadata

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

const (
	actionsFile          = "actions.yaml"
	defaultActionTimeout = 30 // seconds, as Hasura's
)

// actionsYAML is actions.yaml: everything about an action but its signature.
type actionsYAML struct {
	Actions     []actionYAML    `yaml:"actions"`
	CustomTypes customTypesYAML `yaml:"custom_types"`
}

type actionYAML struct {
	Name        string               `yaml:"name"`
	Comment     *string              `yaml:"comment"`
	Definition  actionDefinitionYAML `yaml:"definition"`
	Permissions []rolePermission     `yaml:"permissions"`
}

type actionDefinitionYAML struct {
	Kind                 string   `yaml:"kind"`
	Handler              string   `yaml:"handler"`
	Headers              []Header `yaml:"headers"`
	Timeout              *int     `yaml:"timeout"`
	ForwardClientHeaders *bool    `yaml:"forward_client_headers"`
}

type rolePermission struct {
	Role string `yaml:"role"`
}

type customTypesYAML struct {
	Enums        []customTypeYAML `yaml:"enums"`
	InputObjects []customTypeYAML `yaml:"input_objects"`
	Objects      []customTypeYAML `yaml:"objects"`
	Scalars      []customTypeYAML `yaml:"scalars"`
}

type customTypeYAML struct {
	Name          string             `yaml:"name"`
	Description   string             `yaml:"description"`
	Relationships []TypeRelationship `yaml:"relationships"`
}

// readActionsYAML returns the typed file and its plain form, from which the JSON
// document takes what it passes on untouched.
func readActionsYAML(r *reader) (actionsYAML, map[string]any, error) {
	var typed actionsYAML
	node, err := r.read(actionsFile)
	if err != nil || node == nil {
		return typed, nil, err
	}
	if err := r.strict(node, actionsFile, "actions", &typed); err != nil {
		return typed, nil, err
	}
	plain, err := plainOf(node)
	if err != nil {
		return typed, nil, fmt.Errorf("%s: %w", actionsFile, err)
	}
	object, _ := plain.(map[string]any)
	return typed, object, nil
}

// join completes the actions and custom types of the SDL with what actions.yaml says
// about them. A name that only actions.yaml knows is a fault, as it is to the CLI.
func (f actionsYAML) join(actions []Action, types *CustomTypes) error {
	byName := map[string]*Action{}
	for i := range actions {
		actions[i].Kind = "synchronous"
		actions[i].TimeoutSec = defaultActionTimeout
		byName[actions[i].Name] = &actions[i]
	}
	var faults []error
	for _, entry := range f.Actions {
		action, ok := byName[entry.Name]
		if !ok {
			faults = append(faults, fmt.Errorf("%s: action %q is not present in %s", actionsFile, entry.Name, sdlFile))
			continue
		}
		entry.fill(action)
		faults = append(faults, checkHeaders(actionsFile, "action "+entry.Name, entry.Definition.Headers))
	}
	return errors.Join(append(faults, f.CustomTypes.join(types))...)
}

func (entry actionYAML) fill(action *Action) {
	definition := entry.Definition
	if definition.Kind != "" {
		action.Kind = definition.Kind
	}
	if definition.Timeout != nil {
		action.TimeoutSec = *definition.Timeout
	}
	if entry.Comment != nil {
		action.Comment = *entry.Comment
	}
	action.Handler = definition.Handler
	action.Headers = definition.Headers
	action.ForwardClientHeaders = definition.ForwardClientHeaders != nil && *definition.ForwardClientHeaders
	for _, permission := range entry.Permissions {
		action.Roles = append(action.Roles, permission.Role)
	}
}

func (f customTypesYAML) join(types *CustomTypes) error {
	known := map[string]bool{}
	for _, name := range types.names() {
		known[name] = true
	}
	objects := map[string]*CustomType{}
	for i := range types.Objects {
		objects[types.Objects[i].Name] = &types.Objects[i]
	}
	var faults []error
	for _, entries := range [][]customTypeYAML{f.Enums, f.InputObjects, f.Objects, f.Scalars} {
		for _, entry := range entries {
			if !known[entry.Name] {
				faults = append(faults, fmt.Errorf("%s: custom type %q is not present in %s", actionsFile, entry.Name, sdlFile))
			}
			if object := objects[entry.Name]; object != nil {
				object.Relationships = entry.Relationships
			}
		}
	}
	return errors.Join(faults...)
}

// plainOf turns a node into the values that encoding/json writes.
func plainOf(node *yaml.Node) (any, error) {
	if node == nil {
		return nil, nil
	}
	var value any
	err := node.Decode(&value)
	return value, err
}
