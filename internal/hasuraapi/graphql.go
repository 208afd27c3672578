package hasuraapi

import (
	"context"
	"encoding/json"
)

// Do sends one GraphQL document and decodes its data into the value that into points
// to, by the json tags of its fields. Every failure is an *Error.
func (c *Client) Do(ctx context.Context, document string, variables map[string]any, into any) error {
	ctx, done := c.bounded(ctx)
	defer done()
	data, err := c.graphql.ExecRaw(ctx, document, variables)
	if err != nil {
		return c.fromGraphQL(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &Error{Code: BadReply, Message: "the answer of " + c.base + graphqlPath + " is not what was asked for: " + err.Error(), cause: err}
	}
	return nil
}
