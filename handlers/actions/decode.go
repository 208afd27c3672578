package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/text"
)

// decode reads the arguments into In and lets it check itself; everything wrong is
// reported at once. Embedded structs share their fields; a pointer is a nullable
// argument; absent and null are the same.
func decode[In any](c call) (In, error) {
	var in In
	var problems fault.Problems
	fill(reflect.ValueOf(&in).Elem(), given{values: c.input, what: "argument of " + c.action}, &problems)
	if checked, ok := any(&in).(validator); ok {
		checked.validate(c.session, &problems)
	}
	return in, problems.Fault()
}

// given is an object of JSON, and what its names are to people.
type given struct {
	values map[string]json.RawMessage
	what   string
	judged bool // what Postgres cannot store is for the noun to refuse
}

// fill reads what was given into the fields of a struct.
func fill(into reflect.Value, from given, problems *fault.Problems) {
	fields := arguments(into)
	for _, f := range fields {
		f.read(from, problems)
	}
	var names []string
	for name := range from.values {
		if !slices.ContainsFunc(fields, func(f argument) bool { return f.name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		problems.Add(fmt.Sprintf("%.80q", name), "is no %s", from.what)
	}
}

type argument struct {
	name  string
	value reflect.Value
}

// arguments lists the fields of an input by their json names. Unexported fields are
// the input's own, such as what validate cleaned.
func arguments(in reflect.Value) []argument {
	var list []argument
	for i := range in.NumField() {
		field := in.Type().Field(i)
		if field.Anonymous {
			list = append(list, arguments(in.Field(i))...)
			continue
		}
		if field.IsExported() {
			list = append(list, argument{name: field.Tag.Get("json"), value: in.Field(i)})
		}
	}
	return list
}

func (a argument) read(from given, problems *fault.Problems) {
	raw := from.values[a.name]
	nullable := a.value.Kind() == reflect.Pointer
	switch {
	case raw == nil && !nullable:
		problems.Add(a.name, "is required")
	case bytes.Equal(raw, []byte("null")) && !nullable:
		problems.Add(a.name, "must not be null")
	case raw == nil:
	case !from.judged && !isList(a.value.Type()) && text.HasNUL(raw): // of a list each element is judged by itself
		problems.Add(a.name, "contains the character U+0000, which Postgres cannot store")
	default:
		if err := json.Unmarshal(raw, a.value.Addr().Interface()); err != nil {
			problems.Add(a.name, "must be %s; got %.60s", expected(a.value.Type()), raw)
			return
		}
		a.normalise()
	}
}

// normalise writes a free JSON value anew: what Go reads leniently (half a surrogate
// pair) Postgres refuses. Numbers keep every digit.
func (a argument) normalise() {
	raw, ok := a.value.Addr().Interface().(*json.RawMessage)
	if nullable, is := a.value.Interface().(*json.RawMessage); is {
		raw, ok = nullable, nullable != nil
	}
	if !ok {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(*raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) == nil {
		*raw, _ = json.Marshal(value) // it was just decoded
	}
}

// isList tells a list from a free JSON value, which is a slice of bytes.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// expected names the JSON form of an argument for people.
func expected(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.PkgPath() == reflect.TypeFor[id.User]().PkgPath():
		return "a uuid"
	case t == reflect.TypeFor[time.Time]():
		return "a time such as 2030-12-31T23:59:59Z"
	case t == reflect.TypeFor[numeric]():
		return "a number"
	case t == reflect.TypeFor[[]string]():
		return "a list of strings"
	case isList(t):
		return "a list of objects"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "a whole number"
	}
	return "valid JSON"
}
