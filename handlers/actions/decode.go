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
	fields := arguments(reflect.ValueOf(&in).Elem())
	for _, f := range fields {
		f.read(c.input[f.name], &problems)
	}
	var names []string
	for name := range c.input {
		if !slices.ContainsFunc(fields, func(f argument) bool { return f.name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		problems.Add(fmt.Sprintf("%.80q", name), "is no argument of %s", c.action)
	}
	if checked, ok := any(&in).(validator); ok {
		checked.validate(c.session, &problems)
	}
	return in, problems.Fault()
}

var listType = reflect.TypeFor[[]string]()

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

func (a argument) read(raw json.RawMessage, problems *fault.Problems) {
	nullable := a.value.Kind() == reflect.Pointer
	switch {
	case raw == nil && !nullable:
		problems.Add(a.name, "is required")
	case bytes.Equal(raw, []byte("null")) && !nullable:
		problems.Add(a.name, "must not be null")
	case raw == nil:
	case a.value.Type() != listType && text.HasNUL(raw): // of a list each string is the action's to judge
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
	case t == listType:
		return "a list of strings"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "valid JSON"
}
