// Package redisapi is the only caller of Redis: it keeps users of its access control list
// (ACL), each of which reaches the keys and channels under one prefix and nothing else, and
// removes what is under a prefix. It decides neither who has a user nor when. It works
// against one server, Redis 7.0 or newer, in database 0: its users may choose no other.
package redisapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// answerTime is how long the server may take for one answer.
const answerTime = 5 * time.Second

// Client speaks to one server as its administrator. It is safe for use at once.
type Client struct {
	redis *redis.Client
	url   string // as users are told it: without who signs in
}

// New reads redis://user:password@host:port or rediss://…; it connects when first used.
// The user needs the commands ACL, CLIENT, SCAN and UNLINK. An error never holds the URL:
// there is a password in it.
func New(address string) (*Client, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("the URL of Redis cannot be read; it must be redis://user:password@host:6379")
	}
	if options.DB != 0 {
		return nil, fmt.Errorf("the URL of Redis names database %d; users with an access list are held to database 0: leave it out", options.DB)
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = answerTime, answerTime, answerTime
	options.ContextTimeoutEnabled, options.DisableIdentity = true, true
	options.DialerRetries = 1
	redis.SetLogger(quiet{}) // the library's own lines go past the log; what it tells is in its errors
	return &Client{redis: redis.NewClient(options), url: publicURL(options)}, nil
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func publicURL(o *redis.Options) string {
	shown := url.URL{Scheme: "redis", Host: o.Addr, Path: "/0"}
	if o.TLSConfig != nil {
		shown.Scheme = "rediss"
	}
	return shown.String()
}

// URL is where users reach the server, without who signs in.
func (c *Client) URL() string { return c.url }

// Close ends the connections.
func (c *Client) Close() error { return c.redis.Close() }

// Check reports whether the server keeps users apart: an error where it is out of reach,
// where it is too old, and where it lets in whoever names no user, for then nobody is held
// to a prefix.
func (c *Client) Check(ctx context.Context) error {
	answer, err := c.redis.Do(ctx, "ACL", "GETUSER", "default").Result()
	if err != nil {
		return explain("look at its default user", err)
	}
	flags, err := flagsOf(answer)
	if err != nil {
		return err
	}
	if flags["on"] && flags["nopass"] {
		return errors.New("redis lets in whoever names no user: set requirepass, or switch its user default off")
	}
	return nil
}

// flagsOf reads the answer to ACL GETUSER, which is a map in protocol 3 and a list of
// names and values in protocol 2.
func flagsOf(answer any) (map[string]bool, error) {
	var list any
	switch fields := answer.(type) {
	case map[any]any:
		list = fields["flags"]
	case []any:
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == "flags" {
				list = fields[i+1]
			}
		}
	}
	values, ok := list.([]any)
	if !ok {
		return nil, fmt.Errorf("redis describes its default user in a way that is not known (%T)", answer)
	}
	flags := map[string]bool{}
	for _, value := range values {
		if name, is := value.(string); is {
			flags[name] = true
		}
	}
	return flags, nil
}

// explain says what could not be done; Redis's words hold no password.
func explain(what string, err error) error {
	var opErr *net.OpError
	var tlsErr *tls.CertificateVerificationError
	switch {
	case errors.As(err, &opErr), errors.As(err, &tlsErr), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("redis is out of reach: %w", err)
	case strings.HasPrefix(err.Error(), "WRONGPASS"), strings.HasPrefix(err.Error(), "NOAUTH"):
		return errors.New("redis does not let the administrator in; look at user and password in REDIS_URL")
	}
	return fmt.Errorf("redis: %s: %w", what, err)
}
