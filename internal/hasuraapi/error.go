package hasuraapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	graphql "github.com/hasura/go-graphql-client"
)

// The codes this package gives itself, where no Hasura answered or what answered was
// not Hasura. Every other code is Hasura's, or the action handler's.
const (
	Unreachable = "unreachable"
	BadReply    = "bad-reply"
)

// Error is a refusal by Hasura or by the handler behind an action, or a call that got
// no usable answer.
type Error struct {
	Message    string         // for people; several errors are joined by "; "
	Code       string         // extensions.code of the first error; "" where it had none
	Extensions map[string]any // of the first error; nil where it had none
	Status     int            // the HTTP status where it was not 200, else 0
	cause      error
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the transport's error, or nil.
func (e *Error) Unwrap() error { return e.cause }

// fromGraphQL turns the GraphQL client's error into an *Error.
func (c *Client) fromGraphQL(err error) *Error {
	var errs graphql.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		return c.unreachable(err)
	}
	var network graphql.NetworkError
	first := errs[0]
	switch code, _ := first.Extensions["code"].(string); {
	case errors.As(first, &network):
		return c.fromStatus(network.StatusCode(), []byte(network.Body()))
	case code == graphql.ErrRequestError:
		return c.unreachable(first.Unwrap())
	case code == graphql.ErrJsonDecode:
		return &Error{Code: BadReply, Message: c.base + graphqlPath + " did not answer with JSON: is it a GraphQL endpoint?", cause: first.Unwrap()}
	}
	messages := make([]string, len(errs))
	for i, one := range errs {
		messages[i] = one.Message
	}
	return refusal(strings.Join(messages, "; "), first.Extensions, 0)
}

func refusal(message string, extensions map[string]any, status int) *Error {
	code, _ := extensions["code"].(string)
	return &Error{Message: message, Code: code, Extensions: extensions, Status: status}
}

// fromStatus reads the body of an answer whose status is not 200. GraphQL answers hold
// errors; the metadata API answers with error, code and internal.
func (c *Client) fromStatus(status int, body []byte) *Error {
	var reply struct {
		Errors []struct {
			Message    string         `json:"message"`
			Extensions map[string]any `json:"extensions"`
		} `json:"errors"`
		Error    string `json:"error"`
		Code     string `json:"code"`
		Internal any    `json:"internal"`
	}
	if json.Unmarshal(body, &reply) == nil {
		switch {
		case len(reply.Errors) > 0:
			return refusal(reply.Errors[0].Message, reply.Errors[0].Extensions, status)
		case reply.Error != "":
			return refusal(reply.Error, map[string]any{"code": reply.Code, "internal": reply.Internal}, status)
		}
	}
	return &Error{Code: BadReply, Status: status,
		Message: fmt.Sprintf("%s answered with HTTP status %d and no reason: is it Hasura?", c.base, status)}
}

// unreachable strips the transport's error of the request it repeats.
func (c *Client) unreachable(err error) *Error {
	cause := err
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		cause = wrapped.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Code: Unreachable, Message: "stopped while waiting for " + c.base, cause: err}
	case wrapped != nil && wrapped.Timeout():
		return &Error{Code: Unreachable, Message: "no answer in time from " + c.base, cause: err}
	}
	return &Error{Code: Unreachable, Message: fmt.Sprintf("%s cannot be reached: %v", c.base, cause), cause: err}
}
