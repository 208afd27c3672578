package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestWhenTheKeysAreFetchedAgain(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		control, expires string
		want             time.Time
	}{
		{"", "", time.Time{}}, // never, as with Hasura
		{"max-age=90", "", now.Add(90 * time.Second)},
		{"public, s-maxage=60", "", now.Add(time.Minute)},
		{"Must-Revalidate, max-age=30", "", now.Add(30 * time.Second)},
		{"must-revalidate", "", now},
		{"no-cache, max-age=90", "", now},
		{"no-store", "", now},
		{"max-age=soon", "", time.Time{}},
		{"", "Fri, 01 May 2026 13:00:00 GMT", now.Add(time.Hour)},
		{"max-age=90", "Fri, 01 May 2026 13:00:00 GMT", now.Add(90 * time.Second)},
		{"", "tomorrow", time.Time{}},
	} {
		header := http.Header{"Cache-Control": {c.control}, "Expires": {c.expires}}
		if got := refreshTime(header, now); !got.Equal(c.want) {
			t.Errorf("%q %q: %v, want %v", c.control, c.expires, got, c.want)
		}
	}
}

// publisher serves a JWKS that a test changes.
type publisher struct {
	url    string
	status atomic.Int64
	set    atomic.Pointer[jose.JSONWebKeySet]
	asked  chan struct{}
}

func newPublisher(t *testing.T, control string) *publisher {
	t.Helper()
	p := &publisher{asked: make(chan struct{}, 100)}
	p.status.Store(http.StatusOK)
	p.set.Store(&jose.JSONWebKeySet{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked <- struct{}{}
		w.Header().Set("Cache-Control", control)
		w.WriteHeader(int(p.status.Load()))
		if err := json.NewEncoder(w).Encode(p.set.Load()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *publisher) publish(t *testing.T, use string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next := *p.set.Load()
	next.Keys = append(next.Keys, jose.JSONWebKey{Key: key.Public(), Use: use})
	p.set.Store(&next)
}

func (p *publisher) config() Config {
	return Config{JWKSURL: p.url, Log: slog.New(slog.DiscardHandler), Client: http.DefaultClient}
}

func TestKeysWithoutUseAreDropped(t *testing.T) {
	p := newPublisher(t, "")
	for _, use := range []string{"sig", "enc", "", "other"} {
		p.publish(t, use)
	}
	set, err := fetchKeys(t.Context(), p.config(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(*set.keys.Load()); got != 2 {
		t.Errorf("%d keys kept, want those for sig and enc", got)
	}
}

func TestStartGivesUpOnAKeySetThatNeverComes(t *testing.T) {
	p := newPublisher(t, "")
	p.status.Store(http.StatusServiceUnavailable)
	_, err := fetchKeys(t.Context(), p.config(), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), p.url) || !strings.Contains(err.Error(), "503") {
		t.Errorf("error = %v, want one that names the URL and the status", err)
	}
	if got := len(p.asked); got != fetchAttempts {
		t.Errorf("asked %d times, want %d", got, fetchAttempts)
	}
}

func TestKeySetThatComesLateIsWaitedFor(t *testing.T) {
	p := newPublisher(t, "")
	p.status.Store(http.StatusServiceUnavailable)
	go func() {
		<-p.asked
		p.status.Store(http.StatusOK)
	}()
	if _, err := fetchKeys(t.Context(), p.config(), 10*time.Millisecond); err != nil {
		t.Error(err)
	}
}

func TestNewKeysArriveAndOldOnesOutliveAFailure(t *testing.T) {
	p := newPublisher(t, "no-cache")
	p.publish(t, "sig")
	set, err := fetchKeys(t.Context(), p.config(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() {
		set.refresh(ctx, ticks)
		close(done)
	}()
	p.publish(t, "sig")
	ticks <- time.Now()
	ticks <- time.Now() // taken only when the first fetch is over
	if got := len(*set.keys.Load()); got != 2 {
		t.Errorf("%d keys after a refresh, want 2", got)
	}
	p.status.Store(http.StatusInternalServerError)
	ticks <- time.Now()
	cancel()
	<-done
	if got := len(*set.keys.Load()); got != 2 {
		t.Errorf("%d keys after a failed refresh, want the 2 from before", got)
	}
}

func TestWithoutHeadersKeysAreNeverFetchedAgain(t *testing.T) {
	p := newPublisher(t, "")
	set, err := fetchKeys(t.Context(), p.config(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() {
		set.refresh(ctx, ticks)
		close(done)
	}()
	ticks <- time.Now().Add(1000 * time.Hour)
	cancel()
	<-done
	if got := len(p.asked); got != 1 {
		t.Errorf("asked %d times, want once", got)
	}
}
