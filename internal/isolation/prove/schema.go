package prove

import (
	"context"
	"encoding/json"
	"fmt"
)

// schema is what one role sees, as introspection tells it.
type schema struct {
	types    map[string]*kind
	query    *kind
	mutation *kind // nil where the role may change nothing
}

// kind is one named type.
type kind struct {
	Kind   string  `json:"kind"` // OBJECT, INPUT_OBJECT, SCALAR, ENUM
	Name   string  `json:"name"`
	Fields []field `json:"fields"`
	Inputs []input `json:"inputFields"`
	Values []struct {
		Name string `json:"name"`
	} `json:"enumValues"`
}

// field is a field of an object.
type field struct {
	Name string   `json:"name"`
	Args []input  `json:"args"`
	Type *typeRef `json:"type"`
}

// input is an argument, or a field of an input object.
type input struct {
	Name    string   `json:"name"`
	Type    *typeRef `json:"type"`
	Default *string  `json:"defaultValue"`
}

// required reports whether it cannot be left out.
func (i input) required() bool { return i.Type.Kind == "NON_NULL" && i.Default == nil }

// typeRef is a use of a type: LIST and NON_NULL around a named one.
type typeRef struct {
	Kind string   `json:"kind"`
	Name string   `json:"name"`
	Of   *typeRef `json:"ofType"`
}

// base is the named type within.
func (t *typeRef) base() *typeRef {
	for t.Of != nil {
		t = t.Of
	}
	return t
}

// list reports whether it holds many.
func (t *typeRef) list() bool {
	for ; t != nil; t = t.Of {
		if t.Kind == "LIST" {
			return true
		}
	}
	return false
}

func (t *typeRef) nullable() bool { return t.Kind != "NON_NULL" }

// String is the type as a variable declares it.
func (t *typeRef) String() string {
	switch t.Kind {
	case "NON_NULL":
		return t.Of.String() + "!"
	case "LIST":
		return "[" + t.Of.String() + "]"
	}
	return t.Name
}

func (k *kind) field(name string) *field {
	if k == nil {
		return nil
	}
	for i := range k.Fields {
		if k.Fields[i].Name == name {
			return &k.Fields[i]
		}
	}
	return nil
}

func (k *kind) input(name string) *input {
	if k == nil {
		return nil
	}
	return find(k.Inputs, name)
}

func (f *field) arg(name string) *input {
	if f == nil {
		return nil
	}
	return find(f.Args, name)
}

func find(list []input, name string) *input {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

const introspection = `query Introspect { __schema {
	queryType { name } mutationType { name }
	types {
		kind name enumValues { name }
		fields { name args { ...input } type { ...reference } }
		inputFields { ...input }
	}
} }
fragment input on __InputValue { name defaultValue type { ...reference } }
fragment reference on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }`

// learn introspects the endpoint as the caller sees it.
func (c *caller) learn(ctx context.Context) error {
	got, err := c.ask(ctx, request{Document: introspection})
	if err != nil {
		return err
	}
	if got.refused() {
		return fmt.Errorf("introspection as %s was refused: %s", c.name, got.message())
	}
	text, err := json.Marshal(got.Data["__schema"])
	if err != nil {
		return err
	}
	var told struct {
		QueryType, MutationType *struct{ Name string }
		Types                   []*kind
	}
	if err := json.Unmarshal(text, &told); err != nil || told.QueryType == nil {
		return fmt.Errorf("%s: the answer to introspection is not to be read: %w", c.name, err)
	}
	s := &schema{types: map[string]*kind{}}
	for _, k := range told.Types {
		s.types[k.Name] = k
	}
	s.query = s.types[told.QueryType.Name]
	if told.MutationType != nil {
		s.mutation = s.types[told.MutationType.Name]
	}
	c.schema = s
	c.tables, c.actions = classify(s)
	return nil
}
