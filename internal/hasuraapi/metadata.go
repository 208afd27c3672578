package hasuraapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxMetadata bounds an answer of the metadata API, in bytes.
const maxMetadata = 512 << 20

// Exported is Hasura's metadata at one resource version.
type Exported struct {
	ResourceVersion int64           `json:"resource_version"`
	Metadata        json.RawMessage `json:"metadata"`
}

// Inconsistency is one object of the metadata that Hasura cannot serve.
type Inconsistency struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// String names the object and the reason.
func (i Inconsistency) String() string {
	if i.Name == "" {
		return i.Type + ": " + i.Reason
	}
	return i.Name + ": " + i.Reason
}

type command struct {
	Type            string `json:"type"`
	Version         int    `json:"version,omitempty"`
	ResourceVersion *int64 `json:"resource_version,omitempty"`
	Args            any    `json:"args"`
}

type none struct{}

// Export reads the whole metadata. It needs the admin secret, as all metadata commands do.
func (c *Client) Export(ctx context.Context) (Exported, error) {
	var exported Exported
	err := c.command(ctx, command{Type: "export_metadata", Version: 2, Args: none{}}, &exported)
	if err == nil && len(exported.Metadata) == 0 {
		err = &Error{Code: BadReply, Message: c.base + metadataPath + " exported no metadata"}
	}
	return exported, err
}

// Replace puts the metadata in the place of what was exported at its resource version.
// Hasura refuses with code "conflict" where someone else changed it since, and refuses
// metadata that it could not serve whole.
func (c *Client) Replace(ctx context.Context, next Exported) error {
	_, err := c.replace(ctx, next, false)
	return err
}

// ReplaceAnyway is Replace that has Hasura take metadata that it cannot serve whole, and
// returns what it cannot serve.
func (c *Client) ReplaceAnyway(ctx context.Context, next Exported) ([]Inconsistency, error) {
	return c.replace(ctx, next, true)
}

func (c *Client) replace(ctx context.Context, next Exported, anyway bool) ([]Inconsistency, error) {
	args := struct {
		AllowInconsistent bool            `json:"allow_inconsistent_metadata"`
		Metadata          json.RawMessage `json:"metadata"`
	}{anyway, next.Metadata}
	var reply inconsistencies
	err := c.command(ctx, command{"replace_metadata", 2, &next.ResourceVersion, args}, &reply)
	return reply.Objects, err
}

// ReloadSources makes Hasura read the database again: what was made there by others is
// known to it only then.
func (c *Client) ReloadSources(ctx context.Context) error {
	return c.command(ctx, command{Type: "reload_metadata", Args: map[string]bool{"reload_sources": true, "reload_remote_schemas": false}}, &none{})
}

// Reload makes Hasura read the database again and install its event triggers anew.
func (c *Client) Reload(ctx context.Context) error {
	args := map[string]bool{"reload_sources": true, "reload_remote_schemas": false, "recreate_event_triggers": true}
	return c.command(ctx, command{Type: "reload_metadata", Args: args}, &none{})
}

type inconsistencies struct {
	Objects []Inconsistency `json:"inconsistent_objects"`
}

// Inconsistent lists what Hasura cannot serve; nothing where all is well.
func (c *Client) Inconsistent(ctx context.Context) ([]Inconsistency, error) {
	var reply inconsistencies
	err := c.command(ctx, command{Type: "get_inconsistent_metadata", Args: none{}}, &reply)
	return reply.Objects, err
}

// command posts one command. Every failure is an *Error.
func (c *Client) command(ctx context.Context, cmd command, into any) error {
	ctx, done := c.bounded(ctx)
	defer done()
	body, err := json.Marshal(cmd)
	if err != nil {
		return &Error{Message: fmt.Sprintf("%s cannot be sent: %v", cmd.Type, err), cause: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+metadataPath, bytes.NewReader(body))
	if err != nil {
		return c.unreachable(err)
	}
	request.Header.Set("Content-Type", "application/json")
	c.authorize(request)
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxMetadata))
	switch {
	case err != nil:
		return c.unreachable(err)
	case response.StatusCode != http.StatusOK:
		return withReasons(c.fromStatus(response.StatusCode, reply))
	case json.Unmarshal(reply, into) != nil:
		return &Error{Code: BadReply, Message: fmt.Sprintf("%s%s did not answer %s with JSON: is it Hasura?", c.base, metadataPath, cmd.Type)}
	}
	return nil
}

// withReasons adds the objects that Hasura found inconsistent, which it hides in
// "internal", to the message.
func withReasons(refused *Error) *Error {
	var objects []Inconsistency
	raw, err := json.Marshal(refused.Extensions["internal"])
	if err != nil || json.Unmarshal(raw, &objects) != nil {
		return refused
	}
	for _, object := range objects {
		refused.Message += "; " + object.String()
	}
	return refused
}
