package tokens

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
)

func readFrom(media, body string) (parameters, error) {
	r := httptest.NewRequest(http.MethodPost, "/auth/token?grant_type=of-the-query", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	return readBody(httptest.NewRecorder(), r)
}

func TestAFormAndJSONSayTheSame(t *testing.T) {
	want := parameters{"grant_type": "refresh", "cookie": "true", "email": "a+b@example.com", "unheard": "of"}
	for media, body := range map[string]string{
		"application/x-www-form-urlencoded":               "grant_type=refresh&cookie=true&email=a%2Bb%40example.com&unheard=of&tenant=",
		"application/x-www-form-urlencoded;charset=UTF-8": "grant_type=refresh&cookie=true&email=a%2Bb@example.com&unheard=of",
		"application/json":                                `{"grant_type":"refresh","cookie":true,"email":"a+b@example.com","unheard":"of","tenant":null,"code":""}`,
		"application/json; charset=utf-8":                 `{"grant_type":"refresh","cookie":"true","email":"a+b@example.com","unheard":"of"}`,
	} {
		got, err := readFrom(media, body)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", media, err, diff)
		}
	}
	if got, err := readFrom("", ""); err != nil || len(got) != 0 {
		t.Errorf("no body: %v, %v", got, err)
	}
}

func TestABodyThatIsNotCleanIsRefused(t *testing.T) {
	const form, js = formMedia, "application/json"
	for name, c := range map[string]struct {
		media, body string
		want        fault.Code
	}{
		"said twice":             {form, "token=a&token=b", fault.InvalidInput},
		"said twice, escaped":    {form, "token=a&%74oken=b", fault.InvalidInput},
		"broken escape":          {form, "token=%zz", fault.InvalidInput},
		"semicolons":             {form, "token=a;token=b", fault.InvalidInput},
		"NUL":                    {form, "token=a%00", fault.InvalidInput},
		"line break":             {form, "email=a@example.com%0d%0aBcc:b@example.com", fault.InvalidInput},
		"broken UTF-8":           {form, "token=%ff", fault.InvalidInput},
		"broken UTF-8, bare":     {form, "token=\xff", fault.InvalidInput},
		"broken UTF-8, a name":   {form, "t\xc3=a", fault.InvalidInput},
		"a surrogate":            {form, "token=%ed%a0%80", fault.InvalidInput},
		"broken UTF-8 in JSON":   {js, "{\"token\":\"\xff\"}", fault.InvalidJSON},
		"a lone surrogate":       {js, `{"token":"\ud800"}`, fault.InvalidJSON},
		"a surrogate's end":      {js, `{"token":"\udc00\ud800"}`, fault.InvalidJSON},
		"a surrogate in a name":  {js, `{"\uD800":"a"}`, fault.InvalidJSON},
		"twice in JSON":          {js, `{"token":"a","token":"b"}`, fault.InvalidJSON},
		"NUL in JSON":            {js, `{"token":"a\u0000"}`, fault.InvalidInput},
		"a number":               {js, `{"token":1}`, fault.InvalidInput},
		"an object":              {js, `{"token":{"a":"b"}}`, fault.InvalidInput},
		"an array":               {js, `["token"]`, fault.InvalidJSON},
		"null":                   {js, `null`, fault.InvalidJSON},
		"more behind":            {js, `{} {}`, fault.InvalidJSON},
		"another charset":        {form + "; charset=utf-7", "token=a", fault.UnsupportedMedia},
		"multipart":              {"multipart/form-data; boundary=x", "--x--", fault.UnsupportedMedia},
		"text":                   {"text/plain", `{"token":"a"}`, fault.UnsupportedMedia},
		"no media type":          {"", "token=a", fault.UnsupportedMedia},
		"two media types":        {"application/json, text/plain", `{}`, fault.UnsupportedMedia},
		"too large a form":       {form, "token=" + strings.Repeat("a", maxBody), fault.PayloadTooLarge},
		"too large an object":    {js, `{"token":"` + strings.Repeat("a", maxBody) + `"}`, fault.PayloadTooLarge},
		"more names than anyone": {form, strings.Repeat("a&", maxBody/2+1), fault.PayloadTooLarge},
	} {
		if got, err := readFrom(c.media, c.body); !fault.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %s", name, got, err, c.want)
		}
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add("grant_type=refresh&cookie=true")
	f.Add("a=%00&b=%ff&c;d")
	f.Add("a=1&a=2")
	f.Add("a=\xff&\xc3=%ed%a0%80")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := readForm(text)
		if err != nil {
			if !fault.Is(err, fault.InvalidInput) {
				t.Fatalf("%q is refused with %v", text, err)
			}
			return
		}
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatalf("%q was read: %v", text, in)
		}
		for name, value := range in {
			if !utf8.ValidString(name+value) || len(values[name]) != 1 || values.Get(name) != value || value == "" || strings.ContainsAny(value, "\x00\r\n") {
				t.Errorf("%q: %s is %q", text, name, value)
			}
		}
	})
}

func FuzzReadJSON(f *testing.F) {
	f.Add(`{"grant_type":"refresh","cookie":true,"a":null}`)
	f.Add(`{"a":"\ud800","b":"\u0000"}`)
	f.Add(`{"a":"\ud83d\ude00","b":"\\ud800"}`)
	f.Add("{\"a\":\"\xff\"}")
	f.Add(`{"a":"\ud83d\ude00","b":"\\ud800"}`)
	f.Add("{\"a\":\"\xff\"}")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := readFrom("application/json", text)
		if err != nil && !fault.Is(err, fault.InvalidInput) && !fault.Is(err, fault.InvalidJSON) && !fault.Is(err, fault.PayloadTooLarge) {
			t.Fatalf("%q is refused with %v", text, err)
		}
		for name, value := range in {
			if value == "" || strings.ContainsAny(value, "\x00\r\n") {
				t.Errorf("%q: %s is %q", text, name, value)
			}
			const stand = "\ufffd" // for what could not be read
			if strings.Contains(name+value, stand) && !strings.Contains(text, stand) && !strings.Contains(strings.ToLower(text), `\ufffd`) {
				t.Errorf("%q: %s is %q, which it does not say", text, name, value)
			}
		}
	})
}
