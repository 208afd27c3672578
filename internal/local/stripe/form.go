package stripe

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form is the parameters of a call, or a part of them: `items[0][price]` is the value of
// price in the first of items. It remembers what was asked for, so that done can refuse
// the rest. The first fault is kept for done.
type form struct {
	name  string
	value *string
	parts map[string]*form
	order []string // of parts, as sent
	asked bool
	fault **apiError // of the whole
}

func newForm(values url.Values) *form {
	root := &form{parts: map[string]*form{}, fault: new(*apiError)}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, value := range values[key] {
			root.set(key, value)
		}
	}
	return root
}

func (f *form) set(key, value string) {
	name, rest, nested := strings.Cut(key, "[")
	at := f.part(name)
	for nested {
		var inner string
		inner, rest, _ = strings.Cut(rest, "]")
		if inner == "" {
			inner = strconv.Itoa(len(at.parts))
		}
		at = at.part(inner)
		rest, nested = strings.CutPrefix(rest, "[")
	}
	at.value = &value
}

func (f *form) part(name string) *form {
	if p, ok := f.parts[name]; ok {
		return p
	}
	full := name
	if f.name != "" {
		full = f.name + "[" + name + "]"
	}
	p := &form{name: full, parts: map[string]*form{}, fault: f.fault}
	f.parts[name] = p
	f.order = append(f.order, name)
	return p
}

func (f *form) refuse(e *apiError) {
	if *f.fault == nil {
		e.early = true
		*f.fault = e
	}
}

// done refuses what was wrong with the parameters, and those that nobody asked for.
func (f *form) done() error {
	if *f.fault == nil {
		if stray := f.stray(); stray != "" {
			f.refuse(invalid("parameter_unknown", stray, "Received unknown parameter: %s", stray))
		}
	}
	if *f.fault != nil {
		return *f.fault
	}
	return nil
}

func (f *form) stray() string {
	if f.value != nil && !f.asked {
		return f.name
	}
	for _, name := range f.order {
		if stray := f.parts[name].stray(); stray != "" {
			return stray
		}
	}
	return ""
}

// sub is a nested hash; an empty one where it was not sent.
func (f *form) sub(name string) *form {
	p, ok := f.parts[name]
	if !ok {
		return &form{parts: map[string]*form{}, fault: f.fault}
	}
	p.asked = true
	return p
}

// given tells whether anything was sent under the name.
func (f *form) given(name string) bool {
	_, ok := f.parts[name]
	return ok
}

// list is an array of hashes, in the order of their indexes.
func (f *form) list(name string) []*form {
	p, ok := f.parts[name]
	if !ok {
		return nil
	}
	p.asked = true
	names := slices.Clone(p.order)
	slices.SortStableFunc(names, func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		if errX != nil || errY != nil {
			f.refuse(invalid("", name, "Invalid array"))
		}
		return x - y
	})
	parts := make([]*form, len(names))
	for i, n := range names {
		parts[i] = p.parts[n]
	}
	return parts
}

// text is a value; nil where it was not sent, "" where it was sent to be unset.
func (f *form) text(name string) *string {
	p, ok := f.parts[name]
	if !ok {
		return nil
	}
	if p.value == nil {
		f.refuse(invalid("", p.name, "Invalid string: {%s}", strings.Join(p.order, ", ")))
		return nil
	}
	p.asked = true
	if len(*p.value) > 5000 {
		f.refuse(invalid("", p.name, "Invalid string: %s...; must be at most 5000 characters", (*p.value)[:20]))
	}
	return p.value
}

// word is a value that is "" where it was not sent.
func (f *form) word(name string) string {
	if v := f.text(name); v != nil {
		return *v
	}
	return ""
}

// need is a value that has to be there.
func (f *form) need(name string) string {
	v := f.text(name)
	switch {
	case v == nil:
		full := f.part(name).name
		f.refuse(invalid("parameter_missing", full, "Missing required param: %s.", full))
		return ""
	case *v == "":
		f.refuse(invalid("parameter_invalid_empty", f.parts[name].name, "You passed an empty string for '%s'. We assume empty values are an attempt to unset a parameter; however '%s' cannot be unset.", name, name))
	}
	return *v
}

// choice is one of some words; "" where it was not sent.
func (f *form) choice(name string, words ...string) string {
	v := f.text(name)
	if v == nil {
		return ""
	}
	if !slices.Contains(words, *v) {
		f.refuse(invalid("", f.parts[name].name, "Invalid %s: must be one of %s", name, strings.Join(words, ", ")))
	}
	return *v
}

// whole is an integer; nil where it was not sent.
func (f *form) whole(name string) *int64 {
	v := f.text(name)
	if v == nil || *v == "" {
		return nil
	}
	n, err := strconv.ParseInt(*v, 10, 64)
	if err != nil {
		f.refuse(invalid("parameter_invalid_integer", f.parts[name].name, "Invalid integer: %s", *v))
	}
	return &n
}

// yes is a boolean; nil where it was not sent.
func (f *form) yes(name string) *bool {
	v := f.text(name)
	if v == nil || *v == "" {
		return nil
	}
	if *v != "true" && *v != "false" {
		f.refuse(invalid("", f.parts[name].name, "Invalid boolean: %s", *v))
	}
	is := *v == "true"
	return &is
}
