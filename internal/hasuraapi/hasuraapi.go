// Package hasuraapi is the one caller of Hasura: GraphQL documents over /v1/graphql and
// the few metadata commands this project needs over /v1/metadata. It is narrow and
// knows no rules: what to ask, and what an answer means, is the caller's business. It
// also holds Merge, the pure function that puts this project's metadata into a
// customer's without touching what is theirs.
package hasuraapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	graphql "github.com/hasura/go-graphql-client"
)

const (
	graphqlPath    = "/v1/graphql"
	metadataPath   = "/v1/metadata"
	defaultTimeout = time.Minute
)

// Credential says who asks. Exactly one field is set.
type Credential struct {
	AdminSecret string // Hasura's admin secret: the operator
	Token       string // a JWT: the user and tenant it names
}

// Client asks one Hasura as one caller. It is safe for concurrent use.
type Client struct {
	base       string
	credential Credential
	limit      time.Duration // of a call whose context has none; 0: none
	http       *http.Client
	graphql    *graphql.Client
}

// New makes a client of the Hasura at endpoint: its base URL, with or without
// /v1/graphql. httpClient may be nil, which means one that gives up when the context of
// the call does, or after a minute where that has no deadline.
// Redirects are not followed, as they would carry the admin secret to another host.
func New(endpoint string, credential Credential, httpClient *http.Client) (*Client, error) {
	base, err := BaseURL(endpoint)
	if err != nil {
		return nil, err
	}
	if (credential.AdminSecret == "") == (credential.Token == "") {
		return nil, errors.New("exactly one of the admin secret and a token is needed to call Hasura")
	}
	own, limit := http.Client{}, defaultTimeout
	if httpClient != nil {
		own, limit = *httpClient, 0
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{base: base, credential: credential, limit: limit, http: &own}
	c.graphql = graphql.NewClient(base+graphqlPath, c.http).WithRequestModifier(c.authorize)
	return c, nil
}

// BaseURL reduces an endpoint to what /v1/graphql and /v1/metadata are appended to. A
// user, a query or a fragment in it is an error: secrets do not belong in URLs.
func BaseURL(endpoint string) (string, error) {
	parsed, err := url.Parse(strings.TrimSpace(endpoint))
	switch {
	case err != nil:
		return "", errors.New("is not a URL")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return "", errors.New("must begin with http:// or https://")
	case parsed.Host == "":
		return "", errors.New("names no host")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("must hold a host and a path only: no user, query or fragment")
	}
	path := strings.TrimRight(parsed.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, graphqlPath), "/")
	return parsed.Scheme + "://" + parsed.Host + path, nil
}

// Endpoint is the base URL this client asks.
func (c *Client) Endpoint() string { return c.base }

// Operator reports whether the client asks with the admin secret.
func (c *Client) Operator() bool { return c.credential.AdminSecret != "" }

// bounded gives a call that has no deadline the client's own.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, set := ctx.Deadline(); set || c.limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.limit)
}

func (c *Client) authorize(r *http.Request) {
	if c.Operator() {
		r.Header.Set("X-Hasura-Admin-Secret", c.credential.AdminSecret)
		return
	}
	r.Header.Set("Authorization", "Bearer "+c.credential.Token)
}
