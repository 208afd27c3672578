package usage

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/shopspring/decimal"

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
	data, base64                             json.RawMessage
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
	case a.base64 != nil:
		i.refuse(invalidEvent, "send data as JSON, not data_base64")
	default:
		i.readTime(at)
		i.readData(a.data)
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

// readTime reads the time of the event (RFC 3339); without one it is of now. The zero time
// of Go would be taken for none.
func (i *item) readTime(said string) {
	if said == "" {
		return
	}
	at, err := time.Parse(time.RFC3339, said)
	switch {
	case err != nil:
		i.refuse(invalidEvent, "time must be like 2030-12-31T23:59:59Z; got "+quoted(said))
	case at.IsZero():
		i.refuse(periodClosed, "no period is as old as "+quoted(said))
	}
	i.event.At = at
}

// readData reads {"amount": 5} or {"value": "x"}; without an amount it is one. Any other
// member is refused: a misspelt amount would be one, too.
func (i *item) readData(data json.RawMessage) {
	i.event.Amount = one
	if isNull(data) {
		return
	}
	if data[0] != '{' {
		i.refuse(wrongAmount, `data must be {"amount": 5}, {"value": "x"} or null`)
		return
	}
	var amount, value json.RawMessage
	members(data, func(name []byte, raw json.RawMessage) {
		var into *json.RawMessage
		switch string(name) {
		case "amount":
			into = &amount
		case "value":
			into = &value
		default:
			i.refuse(wrongAmount, "data has the member "+quoted(string(name))+", which is neither amount nor value")
			return
		}
		if *into != nil {
			i.refuse(invalidEvent, "data says "+quoted(string(name))+" twice")
		}
		*into = raw
	})
	if !isNull(amount) {
		i.readAmount(amount)
	}
	i.readValue(value)
}

// readValue reads which of the different values it is.
func (i *item) readValue(raw json.RawMessage) {
	if isNull(raw) {
		return
	}
	if raw[0] == '"' {
		i.event.Value = unquote(raw)
	}
	if raw[0] != '"' || strings.ContainsFunc(i.event.Value, unfit) {
		i.refuse(wrongValue, "value must be a string without control characters; got "+quoted(string(raw)))
	}
}

var one = decimal.New(1, 0)

// mostDigits is how long a number is that is still looked at: an amount has 28 digits.
const mostDigits = 100

// readAmount reads a number, or a string that holds one, with all its digits. Whether it is
// an amount is the recording's to judge.
func (i *item) readAmount(raw json.RawMessage) {
	text := string(raw)
	if raw[0] == '"' {
		text = unquote(raw)
	}
	if len(text) > mostDigits {
		text = ""
	}
	amount, err := decimal.NewFromString(text)
	if err != nil {
		i.refuse(wrongAmount, "amount must be a number; got "+quoted(string(raw)))
	}
	i.event.Amount = amount
}

func isNull(raw json.RawMessage) bool { return raw == nil || raw[0] == 'n' }
