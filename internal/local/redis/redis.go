// Package redis runs a private Redis for benchmarks and tests: it finds (or installs) the program, starts it on a free
// loopback port with a password of its own, in memory alone, and stops it. It owns its process and its directory, and
// leaves neither behind. Nothing in production imports it.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/nself/tenancy/internal/local/account"
	"github.com/nself/tenancy/internal/local/process"
)

const loopback = "127.0.0.1"

// Redis is a running server that keeps nothing on disk. Its methods may be called from several goroutines.
type Redis struct {
	dir      string
	port     int
	password string
	process  *process.Process
	stop     sync.Once
	stopErr  error
}

// Start runs a Redis and returns once it answers. ctx bounds the start alone. The error says how to install Redis, or
// carries the last lines of its log.
func Start(ctx context.Context) (*Redis, error) {
	return start(ctx, systemSearch())
}

func start(ctx context.Context, programs search) (*Redis, error) {
	program, err := programs.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	user, err := account.Unprivileged("Redis")
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	r := &Redis{password: rand.Text()}
	if r.dir, err = os.MkdirTemp("", "nself-redis-"); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err = user.Own(r.dir); err == nil {
		err = r.serve(ctx, program, user)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), os.RemoveAll(r.dir))
	}
	return r, nil
}

// URL is the server's address with its password, as clients of Redis read it.
func (r *Redis) URL() string {
	address := url.URL{Scheme: "redis", User: url.UserPassword("default", r.password), Host: r.address(), Path: "/0"}
	return address.String()
}

func (r *Redis) address() string { return net.JoinHostPort(loopback, strconv.Itoa(r.port)) }

// Close ends the server, with every client's connection, and deletes its files. It is an error when the server had
// ended before; a second call returns what the first did.
func (r *Redis) Close() error {
	r.stop.Do(func() {
		r.stopErr = errors.Join(r.process.End(syscall.SIGTERM), os.RemoveAll(r.dir))
	})
	return r.stopErr
}
