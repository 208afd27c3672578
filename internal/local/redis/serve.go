package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/nself/tenancy/internal/local/account"
	"github.com/nself/tenancy/internal/local/process"
)

const (
	startLimit = 30 * time.Second
	pollEvery  = 10 * time.Millisecond
)

// serve starts the program on a free port and waits until it answers. Another process may take the port between our
// look and the program's.
func (r *Redis) serve(ctx context.Context, program string, user *account.Account) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var err error
	for range 3 {
		if err = r.try(ctx, program, user); err == nil || !strings.Contains(err.Error(), "ddress already in use") {
			return err
		}
	}
	return err
}

func (r *Redis) try(ctx context.Context, program string, user *account.Account) error {
	var err error
	if r.port, err = freePort(ctx); err != nil {
		return err
	}
	if r.process, err = process.Start(program, "-", r.settings(), user); err != nil {
		return err
	}
	if err = r.awaitReady(ctx); err == nil {
		return nil
	}
	_ = r.process.End(syscall.SIGTERM) // it may have ended by itself
	return fmt.Errorf("%w; its log ends with:\n%s", err, r.process.Log())
}

func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// settings go in by the standard input, so that the password stands in no file and on no command line.
func (r *Redis) settings() string {
	return fmt.Sprintf(`bind %s
port %d
requirepass %s
dir %s
daemonize no
logfile ""
save ""
appendonly no
`, loopback, r.port, r.password, r.dir)
}

// awaitReady waits until the server lets us in: one that answers at the same port and is not ours does not.
func (r *Redis) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !r.answers(ctx) {
		select {
		case <-r.process.Done():
			return errors.New("it ended as it started")
		case <-ctx.Done():
			return fmt.Errorf("it did not get ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func (r *Redis) answers(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.address())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // an error comes again at the next use
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n", r.password); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && answer == "+OK\r\n"
}
