package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	fetchAttempts  = 6                      // the first and five retries
	firstRetry     = 200 * time.Millisecond // doubled each time: about 6 s in all
	refreshTick    = time.Minute
	maxJWKSBytes   = 1 << 20
	requestTimeout = 10 * time.Second
)

// keySet holds the public keys last fetched.
type keySet struct {
	url    string
	client *http.Client
	log    *slog.Logger
	keys   atomic.Pointer[[]any]
	next   time.Time // when to fetch again; zero is never. Only refresh and fetchKeys touch it.
}

// fetchKeys waits between attempts, at first for wait and each time twice as long.
func fetchKeys(ctx context.Context, config Config, wait time.Duration) (*keySet, error) {
	set := &keySet{url: config.JWKSURL, client: config.Client, log: config.Log}
	for attempt := 1; ; attempt++ {
		err := set.fetch(ctx)
		if err == nil {
			return set, nil
		}
		if attempt == fetchAttempts {
			return nil, fmt.Errorf("the JWKS at %s cannot be had after %d attempts; the server that publishes it must be up first: %w", set.url, attempt, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// keepFresh looks once a minute whether the keys are due.
func (s *keySet) keepFresh(ctx context.Context) {
	ticker := time.NewTicker(refreshTick)
	defer ticker.Stop()
	s.refresh(ctx, ticker.C)
}

// refresh fetches again, at the first tick after the time that the last answer's
// headers gave. A failure keeps the old keys.
func (s *keySet) refresh(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks:
			if s.next.IsZero() || now.Before(s.next) {
				continue
			}
			if err := s.fetch(ctx); err != nil {
				s.log.WarnContext(ctx, "JWKS not refreshed", "url", s.url, "error", err)
			}
		}
	}
}

func (s *keySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes))
	if err != nil {
		return err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return err
	}
	s.keys.Store(&keys)
	s.next = refreshTime(response.Header, time.Now())
	return nil
}

// parseKeys keeps the keys whose use is "sig" or "enc"; a key without one is dropped,
// as Hasura drops it.
func parseKeys(body []byte) ([]any, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("it is no JWKS: %w", err)
	}
	keys := []any{}
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil {
			return nil, fmt.Errorf("it holds a key that cannot be read: %w", err)
		}
		if key.Use == "sig" || key.Use == "enc" {
			keys = append(keys, key.Public().Key)
		}
	}
	return keys, nil
}

// refreshTime reads when to fetch again: Cache-Control first, then Expires; with
// neither, never.
func refreshTime(header http.Header, now time.Time) time.Time {
	control := strings.ToLower(header.Get("Cache-Control"))
	age, hasAge := maxAge(control)
	switch {
	case strings.Contains(control, "must-revalidate") && hasAge:
		return now.Add(age)
	case strings.Contains(control, "must-revalidate"), strings.Contains(control, "no-cache"), strings.Contains(control, "no-store"):
		return now
	case hasAge:
		return now.Add(age)
	}
	if expires, err := http.ParseTime(header.Get("Expires")); err == nil {
		return expires
	}
	return time.Time{}
}

func maxAge(control string) (time.Duration, bool) {
	for _, directive := range strings.Split(control, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if name != "max-age" && name != "s-maxage" {
			continue
		}
		if seconds, err := strconv.Atoi(strings.Trim(value, `" `)); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
	}
	return 0, false
}

// candidates returns every key that fits the token's algorithm; kid plays no part.
func (s *keySet) candidates(token *jwt.Token) (any, error) {
	var fitting []jwt.VerificationKey
	for _, key := range *s.keys.Load() {
		if fitsAlgorithm(key, token.Method.Alg()) {
			fitting = append(fitting, key)
		}
	}
	if len(fitting) == 0 {
		return nil, errors.New("no key fits the algorithm")
	}
	return jwt.VerificationKeySet{Keys: fitting}, nil
}

func fitsAlgorithm(key any, algorithm string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS")
	case *ecdsa.PublicKey:
		curves := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
		return curves[algorithm] == key.Curve.Params().Name
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
