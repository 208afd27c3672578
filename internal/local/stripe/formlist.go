package stripe

import "slices"

// texts is an array of values.
func (f *form) texts(name string) []string {
	var values []string
	for _, p := range f.list(name) {
		if p.value == nil {
			f.refuse(invalid("", p.name, "Invalid string: {}"))
			continue
		}
		p.asked = true
		values = append(values, *p.value)
	}
	return values
}

// metadata is what shall change in an object's metadata; nil where nothing was sent. The
// value "" takes a key away; all of it sent as "" takes every key away.
func (f *form) metadata() map[string]string {
	p, ok := f.parts["metadata"]
	if !ok {
		return nil
	}
	p.asked = true
	changes := map[string]string{}
	for _, key := range p.order {
		value := p.word(key)
		if len(key) > 40 || len(value) > 500 {
			f.refuse(invalid("", p.parts[key].name, "Metadata keys can have up to 40 characters and values up to 500 characters."))
		}
		changes[key] = value
	}
	if p.value != nil {
		changes[clearAll] = ""
	}
	return changes
}

const clearAll = "\x00"

// merge returns the metadata with the changes made.
func (m metadata) merge(changes map[string]string) metadata {
	merged := metadata{}
	_, cleared := changes[clearAll]
	for key, value := range m {
		if !cleared {
			merged[key] = value
		}
	}
	for key, value := range changes {
		if value == "" {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	return merged
}

// moment is a time in Unix seconds, or the word now as -1; nil where it was not sent and
// 0 where it was sent to be unset.
func (f *form) moment(name string) *int64 {
	v := f.text(name)
	switch {
	case v == nil:
		return nil
	case *v == "":
		return new(int64)
	case *v == "now":
		now := int64(-1)
		return &now
	}
	return f.whole(name)
}

// within is a filter by time: a moment, or bounds.
type within struct{ equal, after, from, before, to *int64 }

func (f *form) within(name string) within {
	p, ok := f.parts[name]
	switch {
	case !ok:
		return within{}
	case p.value != nil:
		return within{equal: f.whole(name)}
	}
	p.asked = true
	return within{after: p.whole("gt"), from: p.whole("gte"), before: p.whole("lt"), to: p.whole("lte")}
}

func (w within) holds(t int64) bool {
	return (w.equal == nil || t == *w.equal) && (w.after == nil || t > *w.after) && (w.from == nil || t >= *w.from) &&
		(w.before == nil || t < *w.before) && (w.to == nil || t <= *w.to)
}

// either tells whether the word was left out of the filter or is one of those named.
func either(words []string, word string) bool { return len(words) == 0 || slices.Contains(words, word) }

// set puts a value that was sent into a field that null empties.
func set(field *ref, value *string) {
	if value != nil {
		*field = ref(*value)
	}
}
