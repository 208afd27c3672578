// Package wire reads and writes the JSON bodies of the doors, and says what is wrong with
// one in words that know nothing of Go.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/strictjson"
)

// Decode reads one JSON value and nothing after it, in which no object says a name twice:
// two readers of such an object could take it for two different things. What it cannot
// read is an invalid-json fault, what is larger than the server takes payload-too-large.
func Decode(body io.Reader, into any) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return explain(err)
	}
	return decode(text, into)
}

// DecodeUnicode is Decode for what people and programs send: it refuses text that is no
// Unicode too, instead of reading U+FFFD where something else stands. Rows of a database
// are not refused for it, since nobody could send them again.
func DecodeUnicode(body io.Reader, into any) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return explain(err)
	}
	if err := decode(text, into); err != nil {
		return err
	}
	return refuseBroken(text)
}

func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(into); err != nil {
		return explain(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return explain(errors.New("more follows the JSON value"))
	}
	var twice *strictjson.Twice
	if err := strictjson.Check(text, nil); errors.As(err, &twice) {
		return fault.New(fault.InvalidJSON, "the body says %.80q twice", twice.Name)
	} else if err != nil {
		return explain(err)
	}
	return nil
}

func explain(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return fault.New(fault.PayloadTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return fault.New(fault.InvalidJSON, "the body must be an object, not a %s", wrongType.Value)
	case errors.As(err, &wrongType):
		return fault.New(fault.InvalidJSON, "%s must not be a %s", wrongType.Field, wrongType.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.InvalidJSON, "the body ends before its JSON does")
	}
	return fault.New(fault.InvalidJSON, "the body is not JSON: %s", err)
}

// Reply answers with a status and a JSON body.
func Reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody is left to tell
}
