// Package request turns a GraphQL document into a plain tree of fields with coerced
// arguments: fragments merged, directives applied, variables put in their place.
// Everything that can be wrong with a request is found here, before anything runs,
// and told in Hasura's words. It knows the schema, and nothing of tables.
package request

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// Input is one GraphQL request. Numbers among the variables are json.Number.
type Input struct {
	Query         string
	OperationName string
	Variables     map[string]any
}

// Operation is the operation to run.
type Operation struct {
	Mutation bool
	Fields   []*Field
}

// Field is one field to answer. Args holds what the client gave: an explicit null is a
// nil entry, an argument left out has none. Values are string, json.Number, bool,
// []any, map[string]any; an enum value is a string.
type Field struct {
	Alias  string
	Name   string
	Parent string // the type that has the field
	Type   *ast.Type
	Args   map[string]any
	Fields []*Field // nil for a leaf
	Path   string
}

// Parse validates the request against the schema and returns its operation. Every
// error is a *qerr.Error.
func Parse(schema *ast.Schema, input Input) (*Operation, error) {
	doc, err := parser.ParseQuery(&ast.Source{Input: input.Query})
	if err != nil {
		return nil, qerr.New(qerr.ValidationFailed, "not a valid graphql query").At("$.query")
	}
	dropRepeats(doc)
	chosen, err := choose(doc, input.OperationName)
	if err != nil {
		return nil, err
	}
	root, err := rootType(schema, chosen)
	if err != nil {
		return nil, err
	}
	if faults := validator.ValidateWithRules(schema, doc, documentRules()); len(faults) > 0 {
		return nil, qerr.New(qerr.ValidationFailed, "%s", faults[0].Message)
	}
	variables, err := coerceVariables(schema, chosen, input.Variables)
	if err != nil {
		return nil, err
	}
	r := &resolver{schema: schema, variables: variables}
	fields, err := r.selections(root, []ast.SelectionSet{chosen.SelectionSet}, "$")
	if err != nil {
		return nil, err
	}
	return &Operation{Mutation: chosen.Operation == ast.Mutation, Fields: fields}, nil
}

func choose(doc *ast.QueryDocument, name string) (*ast.OperationDefinition, error) {
	if name == "" {
		if len(doc.Operations) != 1 {
			return nil, qerr.New(qerr.ValidationFailed, "exactly one operation has to be present in the document when operationName is not specified")
		}
		return doc.Operations[0], nil
	}
	if operation := doc.Operations.ForName(name); operation != nil {
		return operation, nil
	}
	return nil, qerr.New(qerr.ValidationFailed, "no such operation found in the document: %q", name)
}

func rootType(schema *ast.Schema, operation *ast.OperationDefinition) (*ast.Definition, error) {
	switch operation.Operation {
	case ast.Subscription:
		return nil, qerr.New(qerr.UnexpectedPayload, "subscriptions are not supported over HTTP, use websockets instead")
	case ast.Mutation:
		if schema.Mutation == nil {
			return nil, qerr.New(qerr.ValidationFailed, "no mutations exist")
		}
		return schema.Mutation, nil
	}
	return schema.Query, nil
}

// documentRules are the rules about the document's form. What concerns fields,
// arguments and values, the resolver checks itself, for Hasura's messages and paths.
func documentRules() *rules.Rules {
	return rules.NewRules(
		rules.FragmentsOnCompositeTypesRule,
		rules.KnownDirectivesRule,
		rules.KnownFragmentNamesRule,
		rules.KnownTypeNamesRule,
		rules.LoneAnonymousOperationRule,
		rules.MaxIntrospectionDepth,
		rules.NoFragmentCyclesRule,
		rules.NoUndefinedVariablesRule,
		rules.OverlappingFieldsCanBeMergedRule,
		rules.PossibleFragmentSpreadsRule,
		rules.UniqueArgumentNamesRule,
		rules.UniqueDirectivesPerLocationRule,
		rules.UniqueFragmentNamesRule,
		rules.UniqueInputFieldNamesRule,
		rules.UniqueOperationNamesRule,
		rules.UniqueVariableNamesRule,
		rules.VariablesAreInputTypesRule,
	)
}
