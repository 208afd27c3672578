package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/strictjson"
)

func TestANameThatIsThereTwiceIsRefusedAtAnyDepth(t *testing.T) {
	for text, name := range map[string]string{
		`{"a":1,"a":2}`: "a", `{"a":{"b":1,"c":[],"b":null}}`: "b", `[{"x":1},{"y":{"z":0,"z":0}}]`: "z", `{"a":1,"\u0061":2}`: "a", `{"":1,"":2}`: "",
		`{"a":[{"b":1}],"b":[1,"b",{"b":2}],"a":3}`: "a",
	} {
		var twice *strictjson.Twice
		if err := strictjson.Check([]byte(text), nil); !errors.As(err, &twice) || twice.Name != name {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{`{"a":{"a":{"a":1}},"b":["a","a",{"a":1},{"a":1}]}`, `{}`, `[]`, `null`, `"a"`, `1e400`, `{"a":"a","A":"a"}`, ` {"a" : 1 } `} {
		if err := strictjson.Check([]byte(text), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatIsNotOneValueIsRefused(t *testing.T) {
	for _, text := range []string{``, ` `, `{`, `{"a"}`, `{"a":1`, `{"a":1}}`, `{} {}`, `1 2`, `[1,]`, `{a:1}`, `{"a":1,}`, `]`, `nul`, `{1:2}`} {
		if err := strictjson.Check([]byte(text), nil); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestEveryNameIsAskedForAndNoValue(t *testing.T) {
	var names []string
	refuseB := errors.New("b")
	err := strictjson.Check([]byte(`{"a":"x","c":[{"d":"y"}],"b":1,"e":2}`), func(name string) error {
		names = append(names, name)
		if name == "b" {
			return refuseB
		}
		return nil
	})
	if !errors.Is(err, refuseB) || strings.Join(names, "") != "acdb" {
		t.Errorf("%v, %q", err, names)
	}
}

// What is taken means the same to a reader who takes the first of two members as to one
// who takes the last; what is valid is refused for nothing but a name that is there twice.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `[{"a":[]},{}]`, `{"a":{"b":1}}`, `{} 1`, `"\ud800"`, `{"\u0061":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := strictjson.Check(text, nil)
		var twice *strictjson.Twice
		if valid := json.Valid(text); err == nil && !valid || err != nil && valid && !errors.As(err, &twice) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
