// Package action calls an action's webhook as Hasura v2 does and turns its answer into
// the field's JSON: headers, body, the rules for responses in their order, the mapping
// of errors. It decides no permissions and knows no database.
package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/metadata"
)

// maxResponseBytes bounds what a handler may answer.
const maxResponseBytes = 16 << 20

// Caller holds what every call of a webhook needs.
type Caller struct {
	Client *http.Client
	Env    func(string) string // of the engine, for templates and value_from_env
	// ConfiguredFirst lets configured headers win over those forwarded from the
	// client: HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE.
	ConfiguredFirst bool
}

// NewClient returns a client that follows no redirects, as Hasura follows none.
func NewClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Call is one action called by one client.
type Call struct {
	Action    metadata.Action
	Types     metadata.CustomTypes // those the action's output is made of
	Field     *request.Field
	Variables map[string]string // of the session
	Query     string            // the client's document, variables not put in
	Client    *http.Request     // for its headers
	Trace     http.Header       // tracing headers to send
}

// Answer is a successful call.
type Answer struct {
	JSON    json.RawMessage
	Cookies []string // Set-Cookie headers for the client
}

type payload struct {
	Action           payloadAction     `json:"action"`
	Input            map[string]any    `json:"input"`
	SessionVariables map[string]string `json:"session_variables"`
	RequestQuery     string            `json:"request_query"`
}

type payloadAction struct {
	Name string `json:"name"`
}

// exchange is one call on the wire, kept for extensions.internal.
type exchange struct {
	url      string
	headers  []metadata.Header
	body     json.RawMessage
	status   int
	response []byte
	answered http.Header
}

// Do calls the webhook once; there are no retries. Every error is a *qerr.Error.
func (c *Caller) Do(ctx context.Context, call Call) (Answer, error) {
	url, err := metadata.Expand(call.Action.Handler, c.Env)
	if err != nil {
		return Answer{}, qerr.New(qerr.Unexpected, "%s", err)
	}
	body, err := encode(payload{
		Action: payloadAction{call.Action.Name}, Input: call.Field.Args,
		SessionVariables: call.Variables, RequestQuery: call.Query,
	})
	if err != nil {
		return Answer{}, qerr.From(err)
	}
	sent := &exchange{url: call.Action.Handler, headers: call.Action.Headers, body: body}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(call.Action.TimeoutSec)*time.Second)
	defer cancel()
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, sent.failed(err)
	}
	if outgoing.Header, err = c.headers(call); err != nil {
		return Answer{}, qerr.New(qerr.Unexpected, "%s", err)
	}
	if err := sent.do(c.Client, outgoing); err != nil {
		return Answer{}, sent.failed(err)
	}
	answer, err := interpret(sent, call)
	if err != nil {
		return Answer{}, err
	}
	return Answer{JSON: answer, Cookies: sent.answered.Values("Set-Cookie")}, nil
}

// encode writes JSON as it is, without escaping <, > and &.
func encode(value any) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimRight(buffer.Bytes(), "\n"), err
}

func (e *exchange) do(client *http.Client, outgoing *http.Request) error {
	response, err := client.Do(outgoing)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	e.status, e.answered = response.StatusCode, response.Header
	e.response, err = io.ReadAll(io.LimitReader(response.Body, maxResponseBytes+1))
	if err == nil && len(e.response) > maxResponseBytes {
		return fmt.Errorf("the response is larger than %d bytes", maxResponseBytes)
	}
	return err
}

// failed is the answer to a webhook that could not be reached in time.
func (e *exchange) failed(err error) error {
	failure := qerr.New(qerr.Unexpected, "http exception when calling webhook")
	failure.Internal = e.internal(map[string]any{"type": "http_exception", "message": err.Error()})
	return failure
}

// internal is what admin sees of a failed call. Headers appear as configured: the
// value of an environment variable is not told.
func (e *exchange) internal(reason any) map[string]any {
	headers := []map[string]string{}
	for _, header := range e.headers {
		entry := map[string]string{"name": header.Name, "value": header.Value}
		if header.ValueFromEnv != "" {
			entry = map[string]string{"name": header.Name, "value_from_env": header.ValueFromEnv}
		}
		headers = append(headers, entry)
	}
	internal := map[string]any{
		"error":   reason,
		"request": map[string]any{"url": e.url, "headers": headers, "body": e.body, "transformed_request": nil},
	}
	if e.status != 0 {
		answered := []map[string]string{}
		for name := range e.answered {
			answered = append(answered, map[string]string{"name": name, "value": e.answered.Get(name)})
		}
		internal["response"] = map[string]any{"status": e.status, "headers": answered, "body": e.shownBody()}
	}
	return internal
}

func (e *exchange) shownBody() any {
	if json.Valid(e.response) {
		return json.RawMessage(e.response)
	}
	return string(e.response)
}
