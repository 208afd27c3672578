package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	fetchLimit    = 5 * time.Second // for the discovery document and the keys together
	maxAnswer     = 1 << 20
	maxRedirects  = 3

	defaultAge = 10 * time.Minute
	minAge     = time.Minute
	maxAge     = 24 * time.Hour
)

// source is where a provider's keys come from.
type source struct {
	issuer  string
	keysURL string // empty: the discovery document says
	client  *http.Client
}

// newClient follows redirects within one host only: the operator trusts this one, not
// those that it points to.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Timeout: fetchLimit, Transport: transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		first := before[0].URL
		if len(before) > maxRedirects || next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
			return errors.New("redirects to another host are not followed")
		}
		return nil
	}}
}

// fetch gets the keys, and how long they may be taken for the provider's present ones.
func (s source) fetch(ctx context.Context) ([]key, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	from := s.keysURL
	if from == "" {
		var err error
		if from, err = s.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	body, headers, err := s.get(ctx, from)
	if err != nil {
		return nil, 0, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", from, err)
	}
	return keys, freshFor(headers.Get("Cache-Control")), nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery, section 4).
func (s source) discover(ctx context.Context) (string, error) {
	from := strings.TrimSuffix(s.issuer, "/") + discoveryPath
	body, _, err := s.get(ctx, from)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", fmt.Errorf("%s is no discovery document: %w", from, err)
	}
	if document.Issuer != s.issuer {
		return "", fmt.Errorf("%s speaks for the issuer %.200q, not for %q; set issuer to the very text the provider uses", from, document.Issuer, s.issuer)
	}
	if why := badURL(document.KeysURL); why != "" {
		return "", fmt.Errorf("%s: jwks_uri %s", from, why)
	}
	// A provider elsewhere has no business with this machine's own doors.
	if isLocal(document.KeysURL) && !isLocal(s.issuer) {
		return "", fmt.Errorf("%s: jwks_uri leads to this machine", from)
	}
	return document.KeysURL, nil
}

func isLocal(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && loopback(parsed)
}

func (s source) get(ctx context.Context, from string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %s", from, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", from, err)
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("%s is larger than 1 MiB", from)
	}
	return body, answer.Header, nil
}

// freshFor reads Cache-Control (RFC 9111) and keeps within a minute and a day.
func freshFor(control string) time.Duration {
	age := defaultAge
	for directive := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return max(minAge, min(age, maxAge))
}
