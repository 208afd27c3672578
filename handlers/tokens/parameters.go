package tokens

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

// maxBody is what a request of these doors may hold: the largest is a provider's token.
const maxBody = 32 << 10

const formMedia = "application/x-www-form-urlencoded"

// parameters are the named values of a request. One that was sent empty is not there (RFC
// 6749, section 3.1); names nobody knows are kept and not looked at.
type parameters map[string]string

// readBody reads parameters from a form or a JSON object of strings and booleans. A name
// that is said twice is refused, as is text that is not clean UTF-8.
func readBody(w http.ResponseWriter, r *http.Request) (parameters, error) {
	body := http.MaxBytesReader(w, r.Body, maxBody)
	media, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := options["charset"]
	switch {
	case r.ContentLength == 0:
		return parameters{}, nil
	case err != nil, len(r.Header.Values("Content-Type")) > 1, charset != "" && !strings.EqualFold(charset, "utf-8"):
		media = ""
	}
	switch media {
	case formMedia:
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, unread(err)
		}
		return readForm(string(text))
	case "application/json":
		return readJSON(body)
	}
	return nil, fault.New(fault.UnsupportedMedia, "send the body as %s or application/json in UTF-8, not %.80q", formMedia, r.Header.Get("Content-Type"))
}

// unread says why a body could not be read.
func unread(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.PayloadTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	return fault.New(fault.InvalidInput, "the body ended before it was whole").Because(err)
}

// readForm reads the parameters of a form's body, or of a query.
func readForm(text string) (parameters, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "the parameters are not encoded as %s", formMedia)
	}
	in := parameters{}
	for name, all := range values {
		if len(all) > 1 {
			return nil, fault.New(fault.InvalidInput, "%.60q is there %d times", name, len(all))
		}
		in[name] = all[0]
	}
	return in.clean()
}

func readJSON(body io.Reader) (parameters, error) {
	var values map[string]json.RawMessage
	if err := wire.DecodeUnicode(body, &values); err != nil {
		return nil, err
	}
	if values == nil {
		return nil, fault.New(fault.InvalidJSON, "the body must be an object, not null")
	}
	in := parameters{}
	for name, value := range values {
		var text *string
		switch err := json.Unmarshal(value, &text); {
		case err == nil && text != nil:
			in[name] = *text
		case string(value) == "true" || string(value) == "false":
			in[name] = string(value)
		case err != nil:
			return nil, fault.New(fault.InvalidInput, "%.60q must be a string", name)
		}
	}
	return in.clean()
}

// clean drops what is empty and refuses what no parameter holds: broken UTF-8, control
// characters.
func (in parameters) clean() (parameters, error) {
	for name, value := range in {
		if !utf8.ValidString(name+value) || strings.ContainsFunc(name+value, unicode.IsControl) {
			return nil, fault.New(fault.InvalidInput, "%.60q holds control characters or broken UTF-8", strings.ToValidUTF8(name, "?"))
		}
		if value == "" {
			delete(in, name)
		}
	}
	return in, nil
}

// need is the value of a parameter that must be there.
func (in parameters) need(name string) (string, error) {
	if in[name] == "" {
		return "", fault.New(fault.InvalidInput, "the parameter %s is missing", name)
	}
	return in[name], nil
}

// flag reads a parameter that is true or false; one that is not there is false.
func (in parameters) flag(name string) (bool, error) {
	switch in[name] {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fault.New(fault.InvalidInput, "%s must be true or false", name)
}
