package action

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

// UserAgent is what the stand-in calls itself to webhooks.
const UserAgent = "hasura-graphql-engine/v2.51.9-standin"

// notForwarded are the client's headers that stay behind, in lower case.
var notForwarded = map[string]bool{
	"content-length": true, "content-md5": true, "user-agent": true, "host": true, "origin": true, "referer": true,
	"accept": true, "accept-encoding": true, "accept-language": true, "accept-datetime": true,
	"cache-control": true, "connection": true, "dnt": true, "content-type": true,
}

// headers joins the three sources. In Hasura's default order the client's headers come
// first, then the defaults, then the configured: the first one of a name stays.
func (c *Caller) headers(call Call) (http.Header, error) {
	configured, err := c.configured(call.Action.Headers)
	if err != nil {
		return nil, err
	}
	defaults := http.Header{"Content-Type": {"application/json"}, "User-Agent": {UserAgent}}
	client := http.Header{}
	if call.Action.ForwardClientHeaders {
		client = forwarded(call.Client)
	}
	order := []http.Header{client, defaults, configured}
	if c.ConfiguredFirst {
		order = []http.Header{configured, client, defaults}
	}
	joined := http.Header{}
	for _, source := range append(order, call.Trace) {
		for name, values := range source {
			if _, taken := joined[name]; !taken {
				joined[name] = values
			}
		}
	}
	return joined, nil
}

func (c *Caller) configured(headers []metadata.Header) (http.Header, error) {
	configured := http.Header{}
	for _, header := range headers {
		value := c.Env(header.ValueFromEnv)
		if header.ValueFromEnv == "" {
			expanded, err := metadata.Expand(header.Value, c.Env)
			if err != nil {
				return nil, err
			}
			value = expanded
		} else if value == "" {
			return nil, fmt.Errorf("header %s: environment variable '%s' not set", header.Name, header.ValueFromEnv)
		}
		configured.Set(header.Name, value)
	}
	return configured, nil
}

// forwarded are the client's own headers. Authorization and Cookie are among them;
// session variables never.
func forwarded(client *http.Request) http.Header {
	headers := http.Header{}
	for name, values := range client.Header {
		lower := strings.ToLower(name)
		if !notForwarded[lower] && !strings.HasPrefix(lower, "x-hasura-") {
			headers[name] = values
		}
	}
	for name, value := range map[string]string{
		"X-Forwarded-Host": client.Host, "X-Forwarded-User-Agent": client.UserAgent(), "X-Forwarded-Origin": client.Header.Get("Origin"),
	} {
		if value != "" {
			headers.Set(name, value)
		}
	}
	return headers
}
