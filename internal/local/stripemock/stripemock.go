// Package stripemock runs the stripe-mock that Stripe publishes, for tests: it answers every
// call of Stripe's API with an example and refuses what the API's description does not allow. It
// keeps nothing and knows version 2022-11-15, so it tells whether calls and answers have their
// form; what they do is told by internal/local/stripe. Nothing in production imports it.
package stripemock

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nself/tenancy/internal/local/goinstall"
	"github.com/nself/tenancy/internal/local/process"
)

// program is of the newest version that the Go proxy has.
var program = goinstall.Program{Module: "github.com/stripe/stripe-mock", Version: "v0.148.0"}

const startLimit = 60 * time.Second

// Mock is a running stripe-mock.
type Mock struct {
	address string
	process *process.Process
	stop    sync.Once
	stopErr error
}

// Start runs a stripe-mock on a free loopback port and returns once it answers. ctx bounds the
// start alone. The program is bin/stripe-mock-v0.148.0 of this module, or the stripe-mock of that
// version in $PATH; where neither is there, the first is built.
func Start(ctx context.Context) (*Mock, error) {
	path, err := program.Find(ctx)
	if err != nil {
		return nil, fmt.Errorf("stripe-mock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for range 3 { // another process may take the port before the program does
		m := &Mock{}
		if err = m.try(ctx, path); err == nil {
			return m, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, fmt.Errorf("stripe-mock: %w", err)
}

// URL is where the API is served. Any key that begins with sk_test_ is let in.
func (m *Mock) URL() string { return "http://" + m.address }

// Close ends the program. It is an error when it had ended before; a second call returns what
// the first did.
func (m *Mock) Close() error {
	m.stop.Do(func() { m.stopErr = m.process.End(syscall.SIGTERM) })
	return m.stopErr
}

func (m *Mock) try(ctx context.Context, path string) error {
	var err error
	if m.address, err = process.FreeAddress(ctx); err != nil {
		return err
	}
	if m.process, err = process.Start(path, "-http-addr="+m.address, "", nil); err != nil {
		return err
	}
	if err = m.process.AwaitReady(ctx, m.answers); err == nil {
		return nil
	}
	_ = m.Close() // it may have ended by itself
	return fmt.Errorf("%w; its log ends with:\n%s", err, m.process.Log())
}

// answers says whether it is a stripe-mock that serves the address.
func (m *Mock) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL()+"/", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.Header.Get("Stripe-Mock-Version") != ""
}
