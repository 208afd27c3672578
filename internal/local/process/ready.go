package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const pollEvery = 10 * time.Millisecond

// FreeAddress is a loopback address that nobody listened on a moment ago.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// AwaitReady returns once the program answers; it is an error that it ended, or that ctx did.
func (p *Process) AwaitReady(ctx context.Context, answers func(context.Context) bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !answers(ctx) {
		select {
		case <-p.Done():
			return errors.New("it ended as it started")
		case <-ctx.Done():
			return fmt.Errorf("it did not get ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
