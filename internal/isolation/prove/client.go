package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const (
	patience    = time.Minute
	largestBody = 64 << 20 // bytes of one answer: what is longer is no answer to a question with a limit
)

// client sends documents to one endpoint. It reads every byte of an answer, which is why
// it is not hasuraapi's: a leak may sit in the second error or in its extensions.
type client struct {
	url  string
	http *http.Client
}

func newClient(endpoint string) (*client, error) {
	base, err := hasuraapi.BaseURL(endpoint)
	if err != nil {
		return nil, fmt.Errorf("the endpoint %w", err)
	}
	return &client{url: base + "/v1/graphql", http: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// request is one GraphQL operation.
type request struct {
	Document  string         `json:"query"`
	Variables map[string]any `json:"variables,omitempty"`
}

// answer is what came back: data by root field, errors as they are.
type answer struct {
	Data   map[string]any   `json:"data"`
	Errors []map[string]any `json:"errors"`
}

// refused reports whether the operation failed as a whole.
func (a answer) refused() bool { return len(a.Errors) > 0 }

// message is the first error's; "" where there is none.
func (a answer) message() string {
	if len(a.Errors) == 0 {
		return ""
	}
	text, _ := a.Errors[0]["message"].(string)
	return text
}

// send asks as the bearer of a token in one role; "" leaves the role to the endpoint. An
// error means that no GraphQL came back.
func (c *client) send(ctx context.Context, token, role string, r request) (answer, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Authorization", "Bearer "+token)
	if role != "" {
		post.Header.Set("X-Hasura-Role", role)
	}
	reply, err := c.http.Do(post)
	if err := stopped(ctx); err != nil {
		if reply != nil {
			_ = reply.Body.Close() // nobody reads it
		}
		return answer{}, err
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s cannot be reached: %w", c.url, errors.Unwrap(err))
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, largestBody))
	if err = errors.Join(err, reply.Body.Close()); err != nil {
		return answer{}, fmt.Errorf("%s broke off its answer: %w", c.url, err)
	}
	return decode(c.url, reply.StatusCode, text)
}

func decode(url string, status int, text []byte) (answer, error) {
	var a answer
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&a); err != nil || a.Data == nil && len(a.Errors) == 0 {
		return answer{}, fmt.Errorf("%s answered with status %d and no GraphQL: %.80s", url, status, strings.TrimSpace(string(text)))
	}
	return a, nil
}
