package usage

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"regexp"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// timeForm is RFC 3339, section 5.6: time.Parse takes more, and no leap second.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:(\d\d)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// leapSecond is the second that some minutes have more; clocks have none of it.
const leapSecond = "60"

// parseTime reads a time of RFC 3339. A leap second is the one after it.
func parseTime(said string) (at time.Time, right bool) {
	if !timeForm.MatchString(said) {
		return at, false
	}
	said = strings.ToUpper(said)
	var more time.Duration
	const second = len("2030-12-31T23:59:")
	if said[second:second+2] == leapSecond {
		said, more = said[:second]+"59"+said[second+2:], time.Second
	}
	at, err := time.Parse(time.RFC3339, said)
	return at.Add(more), err == nil
}

// readTime reads the time of the event; without one it is of now. The zero time of Go would
// be taken for none.
func (i *item) readTime(said string) {
	if said == "" {
		return
	}
	at, right := parseTime(said)
	switch {
	case !right:
		i.refuse(invalidEvent, "time must be like 2030-12-31T23:59:59Z; got "+quoted(said))
	case at.IsZero():
		i.refuse(periodClosed, "no period is as old as "+quoted(said))
	}
	i.event.At = at
}

// decoded is the data of a structured event: the member data, or the JSON that data_base64
// holds (CloudEvents JSON format 1.0.2, section 3.1). One that is null is one that is not
// there, and data of no said type is JSON.
func (i *item) decoded(a *attributes) json.RawMessage {
	if isNull(a.base64) {
		return a.data
	}
	said := i.word("datacontenttype", a.media)
	media, _, err := mime.ParseMediaType(said)
	switch {
	case !isNull(a.data):
		i.refuse(invalidEvent, "the event has both data and data_base64")
	case a.base64[0] != '"':
		i.refuse(invalidEvent, "data_base64 must be a string")
	case said != "" && (err != nil || !isJSON(media)):
		i.refuse(invalidEvent, "send data as JSON; datacontenttype is "+quoted(said))
	}
	if i.refused != nil {
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(unquote(a.base64))
	if err != nil {
		i.refuse(invalidEvent, "data_base64 is not base64")
		return nil
	}
	data, err := valid(strings.NewReader(string(text)))
	if err != nil {
		i.refuse(invalidEvent, "data_base64 holds no JSON")
	}
	return data
}

// isJSON reports whether a media type is JSON's.
func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
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

// readAmount reads how much it is. Whether it is an amount is the recording's to judge.
func (i *item) readAmount(raw json.RawMessage) {
	amount, right := number(raw)
	if !right {
		i.refuse(wrongAmount, "amount must be a number; got "+quoted(string(raw)))
	}
	i.event.Amount = amount
}

// number reads a number, or a string that holds one, with all its digits.
func number(raw json.RawMessage) (decimal.Decimal, bool) {
	text := string(raw)
	if raw[0] == '"' {
		text = unquote(raw)
	}
	if len(text) > mostDigits {
		return decimal.Zero, false
	}
	read, err := decimal.NewFromString(text)
	return read, err == nil
}
