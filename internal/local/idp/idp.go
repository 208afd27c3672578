// Package idp is a small OpenID provider for tests and `server dev`: it publishes a
// discovery document and a key set, and signs whatever it is asked to, honest tokens and
// forged ones alike. It knows no users and has no pages. Nothing in production imports it.
package idp

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Paths of the provider, below its issuer.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/keys"
)

// Provider is an http.Handler. Its methods may be called from several goroutines.
type Provider struct {
	issuer string
	server *http.Server // nil where somebody else serves it

	mu           sync.Mutex
	current      map[string]key // by algorithm
	discoveries  int
	keyFetches   int
	down         bool
	cacheControl string
}

// New makes a provider with keys of its own for RS256, ES256 and EdDSA. issuer is the URL
// under which it is served, without a slash at its end.
func New(issuer string) (*Provider, error) {
	p := &Provider{issuer: issuer}
	return p, p.Rotate()
}

// Start makes a provider and serves it on a free port of the loopback interface until
// Close.
func Start() (*Provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p, err := New("http://" + listener.Addr().String())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(listener) }() // it returns when the server is closed
	return p, nil
}

// Close ends what Start began.
func (p *Provider) Close() error { return p.server.Close() }

// Issuer is the URL that the provider's tokens name.
func (p *Provider) Issuer() string { return p.issuer }

// Rotate makes new keys. The old ones leave the key set at once.
func (p *Provider) Rotate() error {
	fresh := map[string]key{}
	for _, algorithm := range algorithms {
		made, err := generate(algorithm)
		if err != nil {
			return err
		}
		fresh[algorithm] = made
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = fresh
	return nil
}

// SetDown makes every answer a 503, or ends that.
func (p *Provider) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// SetCacheControl is the header that comes with the keys; "" is none.
func (p *Provider) SetCacheControl(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cacheControl = value
}

// Fetches counts the requests for the discovery document and for the keys, those that
// were refused included.
func (p *Provider) Fetches() (discoveries, keys int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.discoveries, p.keyFetches
}

// ServeHTTP answers the two paths; any other is not found.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var body any
	switch r.URL.Path {
	case DiscoveryPath:
		p.discoveries++
		body = map[string]any{"issuer": p.issuer, "jwks_uri": p.issuer + KeysPath, "id_token_signing_alg_values_supported": algorithms}
	case KeysPath:
		p.keyFetches++
		body = p.published()
		if p.cacheControl != "" {
			w.Header().Set("Cache-Control", p.cacheControl)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if p.down {
		http.Error(w, "the provider is down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // whoever asked has gone
}

func (p *Provider) published() jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{}
	for _, algorithm := range algorithms {
		set.Keys = append(set.Keys, p.current[algorithm].public())
	}
	return set
}

// Public is the key set as it is published now.
func (p *Provider) Public() jose.JSONWebKeySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published()
}
