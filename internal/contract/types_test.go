package contract

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// graphqlType is scalar with nullability and lists: a pointer may be null, a slice is a
// list of what is never null.
func graphqlType(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return strings.TrimSuffix(graphqlType(t.Elem()), "!")
	case scalar(t) != "":
		return scalar(t) + "!"
	case t.Kind() == reflect.Slice:
		return "[" + graphqlType(t.Elem()) + "]!"
	}
	return "nothing in GraphQL (" + t.String() + ")!"
}

// fieldsOf lists a struct's JSON fields with their GraphQL types, as encoding/json and
// the adapter see them: embedded structs share theirs, unexported fields are nobody's.
func fieldsOf(t reflect.Type) map[string]string {
	fields := map[string]string{}
	for i := range t.NumField() {
		field := t.Field(i)
		switch {
		case field.Anonymous:
			for name, kind := range fieldsOf(field.Type) {
				fields[name] = kind
			}
		case field.IsExported():
			fields[field.Tag.Get("json")] = graphqlType(field.Type)
		}
	}
	return fields
}

func declaredFields(arguments []metadata.Argument) map[string]string {
	fields := map[string]string{}
	for _, argument := range arguments {
		fields[argument.Name] = argument.Type
	}
	return fields
}

func argumentsAsRead(m *metadata.Metadata) []string {
	var faults []string
	table := served()
	for _, declared := range m.Actions {
		action, ok := table[declared.Name]
		if !ok {
			continue // servedAsDeclared tells
		}
		if diff := cmp.Diff(fieldsOf(action.Input), declaredFields(declared.Arguments)); diff != "" {
			faults = append(faults, fmt.Sprintf("action %s: arguments of %s (-) and of actions.graphql (+):\n%s", declared.Name, action.Input, diff))
		}
	}
	return faults
}

// repliesAsWritten compares each output type with the struct that is written for it.
// One type has one struct wherever it appears, and no type is left without an action.
func repliesAsWritten(m *metadata.Metadata) []string {
	var faults []string
	objects := map[string]metadata.CustomType{}
	for _, object := range m.CustomTypes.Objects {
		objects[object.Name] = object
	}
	table, written := served(), map[string]reflect.Type{}
	for _, declared := range m.Actions {
		action, ok := table[declared.Name]
		if !ok {
			continue // servedAsDeclared tells
		}
		name, reply := unwrap(declared.Output, action.Output)
		object, known := objects[name]
		switch {
		case !known:
			faults = append(faults, fmt.Sprintf("action %s: the output %s does not fit the reply %s", declared.Name, declared.Output, action.Output))
		case written[name] != nil && written[name] != reply:
			faults = append(faults, fmt.Sprintf("type %s is written as %s by one action and as %s by %s", name, written[name], reply, declared.Name))
		case written[name] == nil:
			written[name] = reply
			if diff := cmp.Diff(fieldsOf(reply), declaredFields(object.Fields)); diff != "" {
				faults = append(faults, fmt.Sprintf("type %s: fields of %s (-) and of actions.graphql (+):\n%s", name, reply, diff))
			}
		}
	}
	for name := range objects {
		if written[name] == nil {
			faults = append(faults, fmt.Sprintf("type %s belongs to no action", name))
		}
	}
	return faults
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
	})
}
