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
			event.refuse(invalidEvent, "the header ce-"+name+" is there twice, or is not percent-encoded UTF-8")
			continue
		}
		a.set(name, value)
	}
	event.read(&a)
	return event, nil
}

// unescaped is the value of a header as a JSON string.
func unescaped(said string) (json.RawMessage, bool) {
	value, err := url.PathUnescape(said)
	if err != nil || !utf8.ValidString(value) {
		return nil, false
	}
	raw, err := json.Marshal(value)
	return raw, err == nil
}

// readData reads the body of binary mode; nil where there is none.
func readData(body io.Reader, media string) (json.RawMessage, error) {
	buffered := bufio.NewReader(body)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil
	}
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return nil, fault.New(fault.UnsupportedMedia, "send the data as application/json; got %.80q", media)
	}
	return valid(buffered)
}
