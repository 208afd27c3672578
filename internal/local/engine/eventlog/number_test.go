package eventlog

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersAreInHasurasForm(t *testing.T) {
	for in, want := range map[string]string{
		`9007199254740993`: `9007199254740993`, `-1`: `-1`, `0`: `0`,
		`12.5`: `12.5`, `12.50`: `12.5`, `10.0`: `10.0`, `1.00`: `1.0`, `0.00`: `0.0`, `-0.25`: `-0.25`, `0.1`: `0.1`,
		`0.05`: `5.0e-2`, `-0.0125`: `-1.25e-2`, `0.000001`: `1.0e-6`,
		`1234567.5`: `1234567.5`, `12345678.5`: `1.23456785e7`, `100000000.0`: `1.0e8`,
		`9007199254740993.25`: `9.00719925474099325e15`, `1.5e3`: `1.5e3`,
		`{"a": [0.05, "0.05 \"0.05", {"0.05": null}], "b": true}`: `{"a": [5.0e-2, "0.05 \"0.05", {"0.05": null}], "b": true}`,
		`"\\"`: `"\\"`, ``: ``,
	} {
		if got := string(reprintNumbers([]byte(in))); got != want {
			t.Errorf("%s is printed %s, want %s", in, got, want)
		}
	}
}

func TestReprintedNumbersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})\.[0-9]{1,25}`).Draw(t, "number")
		out := string(reprintNumbers([]byte(in)))
		before, _ := new(big.Rat).SetString(in)
		after, ok := new(big.Rat).SetString(out)
		if !ok || before.Cmp(after) != 0 || !json.Valid([]byte(out)) {
			t.Errorf("%s became %s", in, out)
		}
	})
}

func TestReprintTouchesNoString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := encode(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "object"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(reprintNumbers(text)); got != string(text) {
			t.Errorf("%s became %s", text, got)
		}
	})
}

// The log is written by whoever may insert into it, and jsonb has been parsed by then; a
// text that is not JSON must still not bring the delivery down.
func FuzzReprintNumbers(f *testing.F) {
	for _, seed := range []string{`"`, `"\`, `-`, `-.`, `.`, `1.`, `--.`, `{"a":0.05}`, strconv.Quote(strings.Repeat("0.", 9))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := reprintNumbers([]byte(text))
		if json.Valid([]byte(text)) && !json.Valid(out) {
			t.Errorf("%q became %q", text, out)
		}
	})
}
