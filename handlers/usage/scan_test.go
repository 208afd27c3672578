package usage

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// walked reads a JSON value back through the walk.
func walked(raw json.RawMessage) any {
	switch raw[0] {
	case '{':
		object := map[string]any{}
		members(raw, func(name []byte, value json.RawMessage) { object[string(name)] = walked(value) })
		return object
	case '[':
		array := []any{}
		elements(raw, func(element json.RawMessage) bool { array = append(array, walked(element)); return true })
		return array
	case '"':
		return unquote(raw)
	case 't', 'f', 'n':
		return map[string]any{"true": true, "false": false, "null": nil}[string(raw)]
	}
	return json.Number(raw)
}

func FuzzTheWalkReadsWhatEncodingJSONReads(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[1,2,{"c":"}"}],"d":{}}`, ` [ 1 , "]" , [ ] , { } , null ] `, `"a"`, "7", "-1.5e+3", `{"\u0061":"\"\\"}`, "[\n\t1\r]",
		`{"a" : { "b" :[ ] } , "c":"\ud83d\ude00"}`, `"\ud800"`, `[[[[]]]]`, `["\\",","]`, `{"":""}`, "[", "[1,", "\xff", "{}x", "", strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := valid(bytes.NewReader(text))
		if (err == nil) != (json.Valid(text) && bytes.Equal(bytes.ToValidUTF8(text, nil), text)) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := walked(raw); !reflect.DeepEqual(got, want) { // cmp takes for ever over deep nesting
			t.Errorf("%v, not %v", got, want)
		}
	})
}

func TestAWalkEndsWhenItIsToldTo(t *testing.T) {
	calls := 0
	elements([]byte("[1,2,3]"), func(json.RawMessage) bool { calls++; return calls < 2 })
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}
