package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

func TestDecodeRefusesWhatTwoReadersCouldTakeForTwoThings(t *testing.T) {
	for _, text := range []string{
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"b":{},"a":[]}}`, `[{"a":1},{"b":1,"b":1}]`, `{"a":{"a":1},"a":1}`,
		`{"":1,"":1}`, `{} {}`, `{}x`, `{"a":1`, ``, `nul`, `{"a":1}]`,
	} {
		var into any
		if err := wire.Decode(strings.NewReader(text), &into); !fault.Is(err, fault.InvalidJSON) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecodeReadsWhatIsSaidOnce(t *testing.T) {
	text := ` {"a":{"a":[{"a":1},{"a":"a"}],"b":"a"},"b":["a","a"],"A":null} `
	want := map[string]any{
		"a": map[string]any{"a": []any{map[string]any{"a": 1.0}, map[string]any{"a": "a"}}, "b": "a"},
		"b": []any{"a", "a"}, "A": nil,
	}
	var got any
	if err := wire.Decode(strings.NewReader(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeSaysThatABodyIsTooLarge(t *testing.T) {
	body := http.MaxBytesReader(httptest.NewRecorder(), http.NoBody, 1)
	var into any
	if err := wire.Decode(body, &into); !fault.Is(err, fault.InvalidJSON) {
		t.Errorf("an empty body: %v", err)
	}
	long := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"a":"`+strings.Repeat("x", 100)+`"}`))
	if err := wire.Decode(http.MaxBytesReader(httptest.NewRecorder(), long.Body, 50), &into); !fault.Is(err, fault.PayloadTooLarge) {
		t.Errorf("a long body: %v", err)
	}
}

func TestDecodeUnicodeRefusesTextThatIsNone(t *testing.T) {
	for _, text := range []string{
		"{\"a\":\"\xff\"}", "{\"\xc3\":1}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\x80\"}", "\"\xf4\x90\x80\x80\"",
		`{"a":"\ud800"}`, `{"a":"\uDFFF"}`, `{"\udc00":1}`, `["\ud83d\ud83d\ude00"]`, `["\ude00\ud83d"]`, `["\ud83d \ude00"]`,
		`["\ud83d\n"]`, `["\ud83d","\ude00"]`, `["\\\ud800"]`, `["\ud83d\u0041"]`, `{"x":{"y":[{"z":"\udbff"}]}}`,
	} {
		var into any
		if err := wire.DecodeUnicode(strings.NewReader(text), &into); !fault.Is(err, fault.InvalidJSON) {
			t.Errorf("%q: %v, read as %q", text, err, into)
		}
	}
}

func TestDecodeUnicodeReadsAllOfIt(t *testing.T) {
	text := `{"\ud83d\ude00":"\uD83D\uDE00😀","a":"\\ud800","b":"\\\\udc00\"\u00e9é","c":"\ufffd\uffff\u0000"}`
	want := map[string]any{"😀": "😀😀", "a": `\ud800`, "b": `\\udc00"éé`, "c": "\ufffd\uffff\x00"}
	var got any
	if err := wire.DecodeUnicode(strings.NewReader(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"a":[{"b":1,"c":{"d":null}}],"e":"f"}`)
	f.Add(`{"a":1,"a":2}`)
	f.Add(`[[[{"":""}]]]`)
	f.Add(`["\ud800","\ud83d\ude00","\\ud800"]`)
	f.Add("[\"\xff\"]")
	f.Fuzz(func(t *testing.T, text string) {
		var into any
		if err := wire.Decode(strings.NewReader(text), &into); err != nil && !fault.Is(err, fault.InvalidJSON) {
			t.Errorf("%q is refused with %v", text, err)
		}
		var whole any
		switch err := wire.DecodeUnicode(strings.NewReader(text), &whole); {
		case err != nil && !fault.Is(err, fault.InvalidJSON):
			t.Errorf("%q is refused with %v", text, err)
		case err == nil && !utf8.ValidString(text):
			t.Errorf("%q is taken for Unicode", text)
		}
	})
}
