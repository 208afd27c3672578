package model

import (
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/metadata"
)

// Call is a function with what the engine puts into its arguments, and what is left
// for the client.
type Call struct {
	*catalog.Function
	Inputs   []Input // what the client gives, in the function's order
	ArgsType string  // the GraphQL type that holds them

	row, session int // positions among Arguments, -1 for none
}

// Input is an argument that the client gives.
type Input struct {
	catalog.Argument
	GraphQL  string // its own name, or arg_<n> for one without
	Position int
}

// Function is a tracked function: a root field.
type Function struct {
	Call
	GraphQL   string // the root field
	Aggregate string // the root field that aggregates
	To        *Table
	Mutation  bool

	roles map[string]bool
}

// ComputedField is a function over the row that holds it.
type ComputedField struct {
	Call
	Name    string
	Comment string
	To      *Table // of SETOF a table; nil for a scalar
}

// IsRow reports whether the argument takes the row of the table.
func (c Call) IsRow(position int) bool { return position == c.row }

// IsSession reports whether the argument takes the session variables.
func (c Call) IsSession(position int) bool { return position == c.session }

// Required reports whether the client must give an argument.
func (c Call) Required() bool {
	return slices.ContainsFunc(c.Inputs, func(input Input) bool { return !input.Default })
}

// MayCall reports whether the caller has the function's root field. One of the query
// root is open to whoever may read the table that it returns, as Hasura infers by
// default; one of the mutation root, beside admin only to the roles it names.
func (f *Function) MayCall(c Caller) bool {
	if f.To.Select(c) == nil {
		return false
	}
	return c.Admin() || !f.Mutation || f.roles[c.Role]
}

func (m *Model) addFunctions(declared []metadata.Function) {
	for _, source := range declared {
		function, err := m.function(source)
		if err != nil {
			m.Report("function", "function "+source.Function.String(), err.Error(), source)
			continue
		}
		m.Functions = append(m.Functions, function)
	}
}

func (m *Model) function(source metadata.Function) (*Function, error) {
	found, err := m.find(source.Function)
	if err != nil {
		return nil, err
	}
	config := source.Configuration
	name := qualified(source.Function, config.CustomName)
	function := &Function{
		GraphQL: Named(config.CustomRootFields.Function, name), Aggregate: Named(config.CustomRootFields.FunctionAggregate, name+"_aggregate"),
		To: m.byName[found.Table], Mutation: found.Volatile, roles: map[string]bool{},
	}
	if config.ExposedAs != "" {
		function.Mutation = config.ExposedAs == "mutation"
	}
	for _, permission := range source.Permissions {
		function.roles[permission.Role] = true
	}
	if function.Call, err = newCall(found, "", config.SessionArgument, nil); err != nil {
		return nil, err
	}
	function.ArgsType = name + "_args"
	switch {
	case !IsGraphQLName(function.GraphQL) || !IsGraphQLName(function.Aggregate):
		return nil, fmt.Errorf("%q is not a valid GraphQL identifier", function.GraphQL)
	case found.Table.Name == "" || function.To == nil:
		return nil, fmt.Errorf("the function does not return rows of a tracked table")
	case function.Mutation && !found.Volatile:
		return nil, fmt.Errorf("a function exposed as a mutation must be VOLATILE")
	}
	return function, nil
}

func (m *Model) find(name metadata.FunctionName) (*catalog.Function, error) {
	found, overloaded := m.Catalog.Function(name)
	switch {
	case overloaded:
		return nil, fmt.Errorf("function %q is overloaded. Overloaded functions are not supported", name)
	case found == nil:
		return nil, fmt.Errorf("no such function exists: %q", name)
	case found.Variadic:
		return nil, fmt.Errorf("function with VARIADIC parameters are not supported")
	}
	return found, nil
}

// newCall sorts a function's arguments. table is the one whose row the function takes,
// nil for none; rowName is empty for its first argument.
func newCall(function *catalog.Function, rowName, sessionName string, table *Table) (Call, error) {
	call := Call{Function: function, row: -1, session: -1}
	for i, argument := range function.Arguments {
		switch {
		case table != nil && call.row < 0 && (argument.Name == rowName || rowName == "" && i == 0):
			call.row = i
			if argument.Type.Schema != table.Name.Schema || argument.Type.Name != table.Name.Name {
				return call, fmt.Errorf("argument %q of %q does not take a row of %q", argument.Name, function.Name, table.Name)
			}
		case sessionName != "" && argument.Name == sessionName:
			call.session = i
			if !argument.Type.IsJSON() {
				return call, fmt.Errorf("the session argument %q of %q must be of type json or jsonb", sessionName, function.Name)
			}
		default:
			call.addInput(i, argument)
		}
	}
	for _, input := range call.Inputs {
		if !IsGraphQLName(input.GraphQL) {
			return call, fmt.Errorf("argument %q of %q is not a valid GraphQL name", input.GraphQL, function.Name)
		}
	}
	switch {
	case table != nil && call.row < 0:
		return call, fmt.Errorf("%q has no argument %q to take the row", function.Name, rowName)
	case sessionName != "" && call.session < 0:
		return call, fmt.Errorf("%q has no session argument %q", function.Name, sessionName)
	}
	return call, nil
}

func (c *Call) addInput(position int, argument catalog.Argument) {
	name := argument.Name
	if name == "" {
		unnamed := 1
		for _, input := range c.Inputs {
			if input.Name == "" {
				unnamed++
			}
		}
		name = fmt.Sprintf("arg_%d", unnamed)
	}
	c.Inputs = append(c.Inputs, Input{Argument: argument, GraphQL: name, Position: position})
}
