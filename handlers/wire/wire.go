// Package wire reads and writes the JSON bodies of the doors, and says what is wrong with
// one in words that know nothing of Go.
package wire

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/nself/tenancy/internal/fault"
)

// Decode reads one JSON value and nothing after it. What it cannot read is an
// invalid-json fault, what is larger than the server takes payload-too-large.
func Decode(body io.Reader, into any) error {
	decoder := json.NewDecoder(body)
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more follows the JSON value")
	}
	return explain(err)
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
