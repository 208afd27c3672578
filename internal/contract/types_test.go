package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/metadata"
)

var idPackage = reflect.TypeFor[id.User]().PkgPath()

// scalar is the GraphQL type of a Go value, without its nullability; "" where it has none.
func scalar(t reflect.Type) string {
	switch {
	case t.PkgPath() == idPackage:
		return "uuid"
	case t == reflect.TypeFor[time.Time]():
		return "timestamptz"
	case t.ConvertibleTo(reflect.TypeFor[decimal.Decimal]()):
		return "numeric"
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Map:
		return "jsonb"
	case t.Kind() == reflect.String:
		return "String"
	case t.Kind() == reflect.Bool:
		return "Boolean"
	case t.Kind() == reflect.Int:
		return "Int"
	case t.Kind() == reflect.Int64:
		return "bigint"
	case t.Kind() == reflect.Float64:
		return "Float"
	}
	return ""
}

// graph is the custom types of the metadata, objects or input objects, and the structs
// that are written or read for them.
type graph struct {
	objects map[string]metadata.CustomType
	structs map[string]reflect.Type // by the name of the type
	faults  []string
}

func newGraph(objects []metadata.CustomType) *graph {
	g := &graph{objects: map[string]metadata.CustomType{}, structs: map[string]reflect.Type{}}
	for _, object := range objects {
		g.objects[object.Name] = object
	}
	return g
}

// typeOf is scalar with nullability and lists: a pointer may be null, a slice is a list of
// what is never null. A struct inside is the custom type that is declared in its place.
func (g *graph) typeOf(t reflect.Type, declared string) string {
	_, object := g.objects[declared]
	switch {
	case t.Kind() == reflect.Pointer:
		return strings.TrimSuffix(g.typeOf(t.Elem(), declared), "!")
	case scalar(t) != "":
		return scalar(t) + "!"
	case t.Kind() == reflect.Slice:
		return "[" + g.typeOf(t.Elem(), declared) + "]!"
	case t.Kind() == reflect.Struct && object:
		g.fit(declared, t, "a list or field of that type")
		return declared + "!"
	}
	return "nothing in GraphQL (" + t.String() + ")!"
}

// fieldsOf lists a struct's JSON fields with their GraphQL types, as encoding/json and
// the adapter see them: embedded structs share theirs, unexported fields are nobody's.
func (g *graph) fieldsOf(t reflect.Type, declared map[string]string) map[string]string {
	fields := map[string]string{}
	for i := range t.NumField() {
		field := t.Field(i)
		switch {
		case field.Anonymous:
			maps.Copy(fields, g.fieldsOf(field.Type, declared))
		case field.IsExported():
			name := field.Tag.Get("json")
			fields[name] = g.typeOf(field.Type, strings.Trim(declared[name], "[]!"))
		}
	}
	return fields
}

// compare notes where the fields of a struct are not those declared for it.
func (g *graph) compare(what string, t reflect.Type, arguments []metadata.Argument) {
	declared := map[string]string{}
	for _, argument := range arguments {
		declared[argument.Name] = argument.Type
	}
	if diff := cmp.Diff(g.fieldsOf(t, declared), declared); diff != "" {
		g.faults = append(g.faults, fmt.Sprintf("%s of %s (-) and of actions.graphql (+):\n%s", what, t, diff))
	}
}

// fit compares a custom type with its struct, of which it has one wherever it appears.
func (g *graph) fit(name string, t reflect.Type, where string) {
	switch other := g.structs[name]; {
	case other == nil:
		g.structs[name] = t
		g.compare("type "+name+": fields", t, g.objects[name].Fields)
	case other != t:
		g.faults = append(g.faults, fmt.Sprintf("type %s is written as %s in one place and as %s by %s", name, other, t, where))
	}
}

// all is every fault, and the types that no struct was found for.
func (g *graph) all() []string {
	for name := range g.objects {
		if g.structs[name] == nil {
			g.faults = append(g.faults, fmt.Sprintf("type %s belongs to no action", name))
		}
	}
	return g.faults
}

func argumentsAsRead(m *metadata.Metadata) []string {
	g, table := newGraph(m.CustomTypes.InputObjects), served()
	for _, declared := range m.Actions {
		if action, ok := table[declared.Name]; ok { // of others servedAsDeclared tells
			g.compare("action "+declared.Name+": arguments", action.Input, declared.Arguments)
		}
	}
	return g.all()
}

// repliesAsWritten compares each output type with the struct that is written for it.
func repliesAsWritten(m *metadata.Metadata) []string {
	g, table := newGraph(m.CustomTypes.Objects), served()
	for _, declared := range m.Actions {
		action, ok := table[declared.Name]
		if !ok {
			continue // servedAsDeclared tells
		}
		name, reply := unwrap(declared.Output, action.Output)
		if _, known := g.objects[name]; !known {
			g.faults = append(g.faults, fmt.Sprintf("action %s: the output %s does not fit the reply %s", declared.Name, declared.Output, action.Output))
			continue
		}
		g.fit(name, reply, "action "+declared.Name)
	}
	return g.all()
}

// unwrap takes the list and the "never null" off an output type and its Go type alike;
// the name is "" where the two do not fit.
func unwrap(output string, reply reflect.Type) (string, reflect.Type) {
	if reply.Kind() == reflect.Slice {
		inner, ok := strings.CutPrefix(output, "[")
		inner, closed := strings.CutSuffix(inner, "!]!")
		if !ok || !closed {
			return "", reply
		}
		return inner, reply.Elem()
	}
	name, ok := strings.CutSuffix(output, "!")
	if !ok || reply.Kind() != reflect.Struct {
		return "", reply
	}
	return name, reply
}

func TestEveryArgumentIsReadAsDeclared(t *testing.T) {
	holds(t, argumentsAsRead)
	sees(t, argumentsAsRead, []sabotage{
		{"renamed argument", "actions.graphql", "confirmSlug: String!", "confirm: String!", "confirmSlug"},
		{"argument may be null", "actions.graphql", "confirmSlug: String!", "confirmSlug: String", "deleteTenant"},
		{"another type", "actions.graphql", "ttlSeconds: Int", "ttlSeconds: bigint", "mintToken"},
		{"one argument more", "actions.graphql", "suspendTenant(tenant: String!,", "suspendTenant(tenant: String!, until: timestamptz,", "until"},
		{"a field of a list", "actions.graphql", "  key: String!\n  \"At least 0,", "  name: String!\n  \"At least 0,", "type UsageEventInput"},
		{"a number of another type", "actions.graphql", "amount: numeric!", "amount: Float!", "reserveQuota"},
		{"input type of no action", "actions.graphql", "input UsageEventInput {", "input Nobodys { id: uuid! }\n\ninput UsageEventInput {", "Nobodys belongs to no action"},
	})
}

func TestEveryReplyIsWrittenAsDeclared(t *testing.T) {
	holds(t, repliesAsWritten)
	sees(t, repliesAsWritten, []sabotage{
		{"renamed field", "actions.graphql", "openInvitations: Int!", "pendingInvitations: Int!", "pendingInvitations"},
		{"field is never null", "actions.graphql", "purgeAfter: timestamptz", "purgeAfter: timestamptz!", "type Tenant"},
		{"another type", "actions.graphql", "maxUsers: bigint!", "maxUsers: Int!", "maxUsers"},
		{"one for a list", "actions.graphql", "myTenants: [MyTenant!]!", "myTenants: MyTenant!", "myTenants"},
		{"another output", "actions.graphql", "restoreTenant(tenant: String!): Tenant!", "restoreTenant(tenant: String!): MyTenant!", "restoreTenant"},
		{"type of no action", "actions.graphql", "type MyTenant {", "type Nobodys { id: uuid! }\n\ntype MyTenant {", "Nobodys belongs to no action"},
		{"a field inside a reply", "actions.graphql", "  reason: String!\n}", "  reason: String\n}", "type RefusedEvent"},
		{"one type for two", "actions.graphql", "refused: [RefusedEvent!]!", "refused: [MeterUsage!]!", "type MeterUsage is written"},
	})
}
