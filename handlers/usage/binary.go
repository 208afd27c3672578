package usage

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
)

// readBinary reads an event whose attributes are headers and whose data is the body.
func readBinary(r *http.Request, media string) (item, error) {
	data, err := readData(r.Body, media)
	if err != nil {
		return item{}, err
	}
	var event item
	a := attributes{data: data}
	for _, name := range []string{"specversion", "id", "source", "type", "time", "tenant"} {
		said := r.Header.Values("Ce-" + name)
		if len(said) == 0 {
			continue
		}
		value, ok := unescaped(said[0])
		if !ok || len(said) > 1 {
			event.refuse(invalidEvent, "the header ce-"+name+" is there twice, is a broken double-quoted string, or is not percent-encoded UTF-8")
			continue
		}
		a.set(name, value)
	}
	event.read(&a)
	return event, nil
}

// unescaped is the value of a header as a JSON string: a double-quoted string is taken out
// of its quotes first, then what is percent-encoded is decoded, once (CloudEvents HTTP
// binding 1.0.2, section 3.1.3.2).
func unescaped(said string) (json.RawMessage, bool) {
	bare, whole := outOfQuotes(said)
	value, err := url.PathUnescape(bare)
	if !whole || err != nil || !utf8.ValidString(value) {
		return nil, false
	}
	raw, err := json.Marshal(value)
	return raw, err == nil
}

// outOfQuotes is what a double-quoted string holds (RFC 7230, section 3.2.6), or the words
// themselves where they do not begin as one; false: it does not end as one.
func outOfQuotes(said string) (string, bool) {
	if !strings.HasPrefix(said, `"`) {
		return said, true
	}
	var bare strings.Builder
	for at := 1; at < len(said); at++ {
		switch said[at] {
		case '"':
			return bare.String(), at == len(said)-1
		case '\\':
			if at++; at == len(said) {
				return "", false
			}
		}
		bare.WriteByte(said[at])
	}
	return "", false
}

// readData reads the body of binary mode; nil where there is none.
func readData(body io.Reader, media string) (json.RawMessage, error) {
	buffered := bufio.NewReader(body)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil
	}
	if !isJSON(media) {
		return nil, fault.New(fault.UnsupportedMedia, "send the data as application/json; got %.80q", media)
	}
	return valid(buffered)
}
