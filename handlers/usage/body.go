package usage

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/usage"
)

// The media types of CloudEvents (JSON event format 1.0.2, sections 3 and 4).
const (
	oneEvent   = "application/cloudevents+json"
	manyEvents = "application/cloudevents-batch+json"
)

// read takes the events out of a request: in structured, batched or binary mode
// (CloudEvents HTTP binding 1.0.2, section 3).
func read(r *http.Request) ([]item, error) {
	media, err := mediaType(r)
	switch {
	case err != nil:
		return nil, err
	case media == manyEvents:
		return readMany(r.Body)
	case media == oneEvent:
		raw, err := valid(r.Body)
		if err != nil {
			return nil, err
		}
		return []item{structured(raw)}, nil
	case r.Header.Get("Ce-Specversion") != "" && !strings.HasPrefix(media, "application/cloudevents"):
		event, err := readBinary(r, media)
		return []item{event}, err
	}
	return nil, fault.New(fault.UnsupportedMedia, "send %s, %s, or JSON with ce- headers; got %.80q", oneEvent, manyEvents, r.Header.Get("Content-Type"))
}

// mediaType is the media type of the body, which is sent plain; empty where none is said.
func mediaType(r *http.Request) (string, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return "", fault.New(fault.UnsupportedMedia, "send the body as it is; got Content-Encoding %.40q", encoding)
	}
	said := r.Header.Get("Content-Type")
	if said == "" {
		return "", nil
	}
	media, parameters, err := mime.ParseMediaType(said)
	if err != nil {
		return "", fault.New(fault.UnsupportedMedia, "the Content-Type %.80q cannot be read", said)
	}
	if charset, told := parameters["charset"]; told && !strings.EqualFold(charset, "utf-8") {
		return "", fault.New(fault.UnsupportedMedia, "send the body as UTF-8, not %.40q", charset)
	}
	return media, nil
}

func readMany(body io.Reader) ([]item, error) {
	raw, err := valid(body)
	if err != nil {
		return nil, err
	}
	if raw[0] != '[' {
		return nil, fault.New(fault.InvalidJSON, "the body of %s must be an array of events", manyEvents)
	}
	var items []item
	tooMany := false
	elements(raw, func(element json.RawMessage) bool {
		if tooMany = len(items) == usage.MostEvents; !tooMany {
			items = append(items, structured(element))
		}
		return !tooMany
	})
	if tooMany {
		return nil, fault.New(fault.InvalidInput, "there are more than %d events; send them in parts", usage.MostEvents)
	}
	return items, nil
}
