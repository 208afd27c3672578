package usage

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/nself/tenancy/internal/usage"
)

// The codes with which an event is refused here; the others are internal/usage's.
const (
	invalidEvent  = "invalid-event"
	unknownMeter  = "unknown-meter"
	unknownTenant = "unknown-tenant"
	wrongKey      = "wrong-key"
	wrongAmount   = "wrong-amount"
	wrongValue    = "wrong-value"
	periodClosed  = "period-closed"
)

// attributes are the members of an event that are read, as they came. They are looked for
// as they are spelled: those of CloudEvents are lower case, and Time is another than time.
type attributes struct {
	version, id, source, meter, time, tenant json.RawMessage
	data, base64, media                      json.RawMessage
}

// set takes one in; false: it was there before.
func (a *attributes) set(name string, raw json.RawMessage) bool {
	var into *json.RawMessage
	switch name {
	case "specversion":
		into = &a.version
	case "id":
		into = &a.id
	case "source":
		into = &a.source
	case "type":
		into = &a.meter
	case "time":
		into = &a.time
	case "tenant":
		into = &a.tenant
	case "data":
		into = &a.data
	case "data_base64":
		into = &a.base64
	case "datacontenttype":
		into = &a.media
	default: // an extension of somebody else's
		return true
	}
	unset := *into == nil
	*into = raw
	return unset
}

// structured reads an event that is one JSON value.
func structured(raw json.RawMessage) (event item) {
	if raw[0] != '{' {
		event.refuse(invalidEvent, "an event is a JSON object")
		return event
	}
	var a attributes
	members(raw, func(name []byte, value json.RawMessage) {
		if !a.set(string(name), value) {
			event.refuse(invalidEvent, "the event says "+quoted(string(name))+" twice")
		}
	})
	event.read(&a)
	return event
}

// read takes the event out of its attributes, and refuses it where one is wrong.
func (i *item) read(a *attributes) {
	version, source, meter := i.word("specversion", a.version), i.word("source", a.source), i.word("type", a.meter)
	i.id, i.tenant = i.word("id", a.id), i.word("tenant", a.tenant)
	at := i.word("time", a.time)
	i.event = usage.Event{Meter: meter, Key: source + "\n" + i.id}
	switch {
	case i.refused != nil:
	case version != "1.0":
		i.refuse(invalidEvent, "specversion must be 1.0; got "+quoted(version))
	case i.id == "" || source == "":
		i.refuse(wrongKey, "id and source must not be empty: together they are the key by which the event counts once")
	case meter == "":
		i.refuse(unknownMeter, "type must be the code of a meter")
	default:
		i.readTime(at)
		i.readData(i.decoded(a))
	}
}

// word reads an attribute: a string without control characters and halves of characters
// (CloudEvents 1.0.2, section 3.1). One that is null is one that is not there.
func (i *item) word(name string, raw json.RawMessage) string {
	switch {
	case isNull(raw):
		return ""
	case raw[0] != '"':
		i.refuse(invalidEvent, name+" must be a string")
		return ""
	}
	word := unquote(raw)
	if strings.ContainsFunc(word, unfit) {
		i.refuse(invalidEvent, name+" must not hold control characters or halves of characters")
	}
	return word
}

func unfit(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }

func isNull(raw json.RawMessage) bool { return raw == nil || raw[0] == 'n' }
