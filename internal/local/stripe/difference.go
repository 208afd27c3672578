package stripe

import (
	"bytes"
	"encoding/json"
)

// member is a name of a JSON object, in its quotes, with its value.
type member struct{ name, value []byte }

// members takes apart an object that this package has written: without spaces, and valid.
func members(object []byte) []member {
	var all []member
	for i := 1; i < len(object)-1; {
		nameEnd := valueEnd(object, i)
		end := valueEnd(object, nameEnd+1)
		all = append(all, member{object[i:nameEnd], object[nameEnd+1 : end]})
		i = end + 1
	}
	return all
}

// valueEnd is where the value that begins at i ends.
func valueEnd(data []byte, i int) int {
	depth := 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// difference is an object of what was there before, of what has changed: of an object its
// changed members, of anything else the whole, and null where there was nothing.
func difference(was, is []byte) json.RawMessage {
	before, now := members(was), members(is)
	out := []byte{'{'}
	add := func(name, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	for i, old := range before {
		fresh := find(now, old.name, i)
		switch {
		case bytes.Equal(old.value, fresh):
		case old.value[0] == '{' && len(fresh) > 0 && fresh[0] == '{':
			add(old.name, difference(old.value, fresh))
		default:
			add(old.name, old.value)
		}
	}
	for i, fresh := range now {
		if find(before, fresh.name, i) == nil {
			add(fresh.name, []byte("null"))
		}
	}
	return append(out, '}')
}

// find is the value under a name, most likely the i-th; nil where there is none.
func find(all []member, name []byte, i int) []byte {
	if i < len(all) && bytes.Equal(all[i].name, name) {
		return all[i].value
	}
	for _, m := range all {
		if bytes.Equal(m.name, name) {
			return m.value
		}
	}
	return nil
}
