// Package strictjson tells JSON that two readers could take for two different things. It
// reads no values: encoding/json does.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Twice says that an object has two members of one name, of which some readers take the
// first and others the last.
type Twice struct{ Name string }

func (t *Twice) Error() string { return "a name is there twice" }

// errMore says that something follows the value.
var errMore = errors.New("more follows the JSON value")

// level is an object or array that the reader is inside of.
type level struct {
	names    map[string]bool // nil in an array
	wantName bool
}

// Check walks through one JSON value, at any depth, and refuses what is no JSON, what has
// more after it, an object that says a name twice (Twice), and whatever name refuses; nil
// refuses none.
func Check(text []byte, name func(string) error) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var inside []*level
	for begun := false; ; begun = true {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && begun && len(inside) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case begun && len(inside) == 0:
			return errMore
		}
		if inside, err = step(inside, token, name); err != nil {
			return err
		}
	}
}

// step takes one token into account.
func step(inside []*level, token json.Token, name func(string) error) ([]*level, error) {
	var at *level
	if len(inside) > 0 {
		at = inside[len(inside)-1]
	}
	mark, _ := token.(json.Delim)
	if mark == '}' || mark == ']' {
		return inside[:len(inside)-1], nil
	}
	if at != nil && at.wantName {
		at.wantName = false
		return inside, at.say(token.(string), name) // the decoder takes nothing else for a name
	}
	if at != nil && at.names != nil {
		at.wantName = true
	}
	switch mark {
	case '{':
		inside = append(inside, &level{names: map[string]bool{}, wantName: true})
	case '[':
		inside = append(inside, &level{})
	}
	return inside, nil
}

func (l *level) say(said string, name func(string) error) error {
	if l.names[said] {
		return &Twice{Name: said}
	}
	l.names[said] = true
	if name == nil {
		return nil
	}
	return name(said)
}
