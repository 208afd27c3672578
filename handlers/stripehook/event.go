package stripehook

import (
	"encoding/json"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripesync"
)

// delivered is what is read of an event (Stripe's API 2023-10-16, the object event). Its
// object is a snapshot that may be old by now: of that only what it is of is read.
type delivered struct {
	ID         string `json:"id"`
	Object     string `json:"object"`
	Type       string `json:"type"`
	APIVersion string `json:"api_version"` // may be null
	Created    int64  `json:"created"`
	Livemode   *bool  `json:"livemode"`
	Data       struct {
		Object object `json:"object"`
	} `json:"data"`
}

type object struct {
	ID       string          `json:"id"`
	Object   string          `json:"object"`
	Customer json.RawMessage `json:"customer"` // an id, or the customer whole
}

// What ids and names of Stripe look like. What does not is kept out of the database.
var (
	idForm      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	typeForm    = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)
	versionForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

// lastSecond is of the year 9999, past which times are written in other ways.
const lastSecond = 253_402_300_799

// parse reads an event, and refuses what is none. The reasons are for whoever pointed
// something else than Stripe at the door.
func parse(raw []byte) (stripesync.Event, error) {
	var d delivered
	if !utf8.Valid(raw) {
		return stripesync.Event{}, fault.New(fault.InvalidJSON, "the body is not UTF-8")
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return stripesync.Event{}, fault.New(fault.InvalidJSON, "the body is no event of Stripe's: %s", err)
	}
	if wrong := d.wrong(); wrong != "" {
		return stripesync.Event{}, fault.New(fault.InvalidJSON, "the body is no event of Stripe's: %s", wrong)
	}
	e := stripesync.Event{
		ID: d.ID, Type: d.Type, Livemode: *d.Livemode, APIVersion: d.APIVersion, CreatedAt: time.Unix(d.Created, 0).UTC(), Payload: raw,
	}
	if of := d.Data.Object; idForm.MatchString(of.ID) { // what has no id, such as a coming invoice, is nothing to follow
		e.Object, e.Kind, e.Customer = of.ID, stripesync.KindOf(d.Type, of.Object), of.customer()
	}
	return e, nil
}

func (d delivered) wrong() string {
	switch {
	case d.Object != "event":
		return `"object" is not "event"`
	case !idForm.MatchString(d.ID):
		return `"id" is none of Stripe's`
	case len(d.Type) > 255 || !typeForm.MatchString(d.Type):
		return `"type" is none of Stripe's`
	case d.Created <= 0 || d.Created > lastSecond:
		return `"created" is no time in seconds`
	case d.Livemode == nil:
		return `"livemode" is missing`
	case !versionForm.MatchString(d.APIVersion):
		return `"api_version" is none of Stripe's`
	case d.Data.Object.Object == "":
		return `"data.object" is missing`
	}
	return ""
}

// customer is the id of whose the object is; empty where it does not say.
func (o object) customer() string {
	if o.Object == "customer" {
		return o.ID
	}
	var whole struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(o.Customer, &whole.ID) != nil && json.Unmarshal(o.Customer, &whole) != nil {
		return ""
	}
	if !idForm.MatchString(whole.ID) {
		return ""
	}
	return whole.ID
}
