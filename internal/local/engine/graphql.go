package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/nself/tenancy/internal/local/engine/auth"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
)

// maxBodyBytes bounds a request, maxMetadataBytes one of the metadata API: the tables of
// thousands of tenants' schemas are one document.
const (
	maxBodyBytes     = 16 << 20
	maxMetadataBytes = 512 << 20
)

// graphql serves POST /v1/graphql: one request or a batch. Every answer has status 200.
func (e *Engine) graphql(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		e.reply(w, http.StatusOK, errorsOf(qerr.New(qerr.BadRequest, "the request cannot be read: %v", err), false))
		return
	}
	session, err := e.auth.Session(r.Header)
	if err != nil {
		e.reply(w, http.StatusOK, errorsOf(err, e.config.DevMode))
		return
	}
	inputs, batch, err := readInputs(body)
	if err != nil {
		e.reply(w, http.StatusOK, errorsOf(err, e.showsInternal(session)))
		return
	}
	answers := make([]any, 0, len(inputs))
	trace := traceOf(r.Header)
	for _, input := range inputs {
		o := &operation{engine: e, state: e.state.Load(), session: session, client: r, trace: trace}
		data, err := o.run(r.Context(), input)
		for _, cookie := range o.cookies {
			w.Header().Add("Set-Cookie", cookie)
		}
		if err != nil {
			answers = append(answers, errorsOf(err, e.showsInternal(session)))
		} else {
			answers = append(answers, map[string]any{"data": data})
		}
	}
	if batch {
		e.reply(w, http.StatusOK, answers)
		return
	}
	e.reply(w, http.StatusOK, answers[0])
}

func (e *Engine) showsInternal(session auth.Session) bool {
	return e.config.DevMode || session.Role == adminRole
}

func errorsOf(err error, showInternal bool) map[string]any {
	return map[string]any{"errors": []any{qerr.From(err).GraphQL(showInternal)}}
}

// readInputs reads an object, or a list of them.
func readInputs(body []byte) (inputs []request.Input, batch bool, err error) {
	var raw any
	if err := decodeOne(body, &raw); err != nil {
		return nil, false, qerr.New(qerr.InvalidJSON, "invalid json: %v", err)
	}
	list, batch := raw.([]any)
	if !batch {
		list = []any{raw}
	}
	if len(list) == 0 {
		return nil, true, nil
	}
	for _, item := range list {
		input, err := readInput(item)
		if err != nil {
			return nil, batch, err
		}
		inputs = append(inputs, input)
	}
	return inputs, batch, nil
}

func readInput(item any) (request.Input, error) {
	var input request.Input
	object, ok := item.(map[string]any)
	if !ok {
		return input, qerr.New(qerr.ParseFailed, "expected an object with the key \"query\"")
	}
	if input.Query, ok = object["query"].(string); !ok {
		return input, qerr.New(qerr.ParseFailed, "key \"query\" not found, or not a string")
	}
	if name := object["operationName"]; name != nil {
		if input.OperationName, ok = name.(string); !ok {
			return input, qerr.New(qerr.ParseFailed, "expected a string for \"operationName\"").At("$.operationName")
		}
	}
	if variables := object["variables"]; variables != nil {
		if input.Variables, ok = variables.(map[string]any); !ok {
			return input, qerr.New(qerr.ParseFailed, "expected an object for \"variables\"").At("$.variables")
		}
	}
	return input, nil
}

// decodeOne decodes exactly one JSON value, numbers as they stand.
func decodeOne(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows the first value")
	}
	return nil
}
