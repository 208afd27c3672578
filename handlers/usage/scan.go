package usage

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/nself/tenancy/handlers/wire"
)

// What is here walks over JSON that was found valid before, and copies nothing: ten
// thousand events are as many small objects, which encoding/json would read three times.

// valid reads a body that is one JSON value, in UTF-8, and nothing else, without the space
// around it.
func valid(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(body)
	if err == nil && utf8.Valid(text) && json.Valid(text) {
		return bytes.TrimSpace(text), nil
	}
	var told json.RawMessage // wire says what is wrong
	return nil, wire.DecodeUnicode(io.MultiReader(bytes.NewReader(text), failing{err}), &told)
}

// failing is the end of a body that could not be read to its end; nil: of one that could.
type failing struct{ err error }

// Read is io.Reader's.
func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// elements calls for each element of an array, until the call says no.
func elements(array []byte, call func(element json.RawMessage) bool) {
	for at := skipSpace(array, 1); array[at] != ']'; at = skipSpace(array, at) {
		end := skipValue(array, at)
		if !call(array[at:end:end]) {
			return
		}
		if at = skipSpace(array, end); array[at] == ',' {
			at++
		}
	}
}

// members calls for each member of an object, with its name as it reads.
func members(object []byte, call func(name []byte, value json.RawMessage)) {
	for at := skipSpace(object, 1); object[at] != '}'; at = skipSpace(object, at) {
		end := skipString(object, at)
		name := object[at+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(object[at:end]))
		}
		at = skipSpace(object, skipSpace(object, end)+1) // the colon
		end = skipValue(object, at)
		call(name, object[at:end:end])
		if at = skipSpace(object, end); object[at] == ',' {
			at++
		}
	}
}

// unquote is the text of a JSON string; U+FFFD stands where it has half a character.
func unquote(raw []byte) (text string) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	_ = json.Unmarshal(raw, &text) // it is valid
	return text
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
		at++
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipValue(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return at // it ends what the value is in
			}
			if depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
	}
	return at
}
