package action

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/metadata"
)

// interpret applies the rules for responses, in Hasura's order: JSON whatever the
// status; 2xx validated against the output type; 4xx an error of the handler's making;
// anything else an internal error whose message is lost.
func interpret(sent *exchange, call Call) (json.RawMessage, error) {
	value, err := decode(sent.response)
	if err != nil {
		failure := qerr.New(qerr.Unexpected, "not a valid json response from webhook")
		failure.Internal = sent.internal(map[string]any{"type": "invalid_json", "message": err.Error()})
		return nil, failure
	}
	switch {
	case sent.status >= http.StatusOK && sent.status < http.StatusMultipleChoices:
		if fault := validate(value, call.Field.Type, call.Types); fault != "" {
			failure := qerr.New(qerr.Unexpected, "%s", fault)
			failure.Internal = sent.internal("unexpected response")
			return nil, failure
		}
		return encode(shape(value, call.Field.Fields))
	case sent.status >= http.StatusBadRequest && sent.status < http.StatusInternalServerError:
		return nil, sent.refused(value)
	}
	failure := qerr.New(qerr.Unexpected, "internal error")
	failure.Internal = sent.internal("internal error")
	return nil, failure
}

// decode reads exactly one JSON value, numbers as they stand.
func decode(body []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errTrailing
	}
	return value, nil
}

type constantError string

func (e constantError) Error() string { return string(e) }

const errTrailing = constantError("more than one JSON value")

// refused maps the body of a 4xx. With extensions, they are the whole of extensions and
// the root code is dropped; without, the code is the root one or "unexpected".
func (e *exchange) refused(value any) error {
	body, ok := value.(map[string]any)
	if !ok {
		return e.unreadable("parsing ActionWebhookErrorResponse failed, expected Object, but encountered " + kindName(value))
	}
	message, present := body["message"]
	if !present {
		return e.unreadable(`key "message" not found`)
	}
	text, ok := message.(string)
	if !ok {
		return e.unreadable("parsing Text failed, expected String, but encountered " + kindName(message))
	}
	failure := qerr.New(qerr.Unexpected, "%s", text)
	switch code := body["code"].(type) {
	case string:
		failure.Code = code
	case nil:
	default:
		return e.unreadable("parsing Text failed, expected String, but encountered " + kindName(code))
	}
	if extensions := body["extensions"]; extensions != nil {
		raw, err := encode(extensions)
		if err != nil {
			return qerr.From(err)
		}
		failure.Extensions = raw
		return failure
	}
	failure.Internal = e.internal(text)
	return failure
}

func (e *exchange) unreadable(reason string) error {
	failure := qerr.New(qerr.ParseFailed, "%s", reason)
	failure.Internal = e.internal(reason)
	return failure
}

func kindName(value any) string {
	switch value.(type) {
	case nil:
		return "Null"
	case bool:
		return "Boolean"
	case json.Number:
		return "Number"
	case string:
		return "String"
	case []any:
		return "Array"
	}
	return "Object"
}

// validate compares a 2xx body with the output type and returns what is wrong with it,
// or nothing. Only the top level is looked at; the types of fields are not.
func validate(value any, output *ast.Type, types metadata.CustomTypes) string {
	if value == nil {
		if output.NonNull {
			return "got null for the action webhook response"
		}
		return ""
	}
	if output.Elem != nil {
		list, ok := value.([]any)
		if !ok {
			return "expecting array for the action webhook response"
		}
		for _, item := range list {
			if fault := validate(item, output.Elem, types); fault != "" {
				return fault
			}
		}
		return ""
	}
	for _, object := range types.Objects {
		if object.Name == output.NamedType {
			return validateObject(value, object.Name, object.Fields)
		}
	}
	return validateLeaf(value, output.NamedType, types.Enums)
}
