// Package pgbouncer runs PgBouncer in transaction mode before a running PostgreSQL, for tests: it finds (or installs)
// the program, starts it on a free loopback port with very few server connections, so that its clients share server
// sessions as they would in production, and stops it. It owns its process and its directory, and leaves neither behind.
// Nothing in production imports it.
package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"

	"github.com/nself/tenancy/internal/local/account"
	"github.com/nself/tenancy/internal/local/process"
)

const loopback = "127.0.0.1"

// Config says what a bouncer stands before.
type Config struct {
	// URLs are addresses of one PostgreSQL server, a role and its password in each. Every database of that server can
	// be reached by these roles.
	URLs []string
	// PoolSize is how many server connections each pair of role and database shares; 0 means 1.
	PoolSize int
	// ResetAlways runs DISCARD ALL after every transaction (server_reset_query_always=1). Without it, as PgBouncer
	// has it, a server session keeps what a transaction left in it for the next client.
	ResetAlways bool
}

// Bouncer is a running PgBouncer. Its methods may be called from several goroutines.
type Bouncer struct {
	version version
	dir     string
	port    int
	process *process.Process
	stop    sync.Once
	stopErr error
}

// Start runs a bouncer and returns once it passes on a client of the first of cfg.URLs. ctx bounds the start alone.
// The error says how to install PgBouncer, or carries the last lines of its log.
func Start(ctx context.Context, cfg Config) (*Bouncer, error) {
	return start(ctx, cfg, systemSearch())
}

func start(ctx context.Context, cfg Config, programs search) (*Bouncer, error) {
	if cfg.PoolSize == 0 {
		cfg.PoolSize = 1
	}
	server, err := parseServer(cfg.URLs)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	program, err := programs.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	user, err := account.Unprivileged("PgBouncer")
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	b := &Bouncer{version: program.version}
	if b.dir, err = os.MkdirTemp("", "nself-pgbouncer-"); err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	if err := b.serve(ctx, launch{cfg, server, program, user}); err != nil {
		return nil, errors.Join(fmt.Errorf("pgbouncer: %w", err), os.RemoveAll(b.dir))
	}
	return b, nil
}

// URL is the address of the same database for the same role by way of the bouncer.
func (b *Bouncer) URL(direct string) (string, error) {
	address, err := url.Parse(direct)
	if err != nil {
		return "", errors.New("pgbouncer: not the URL of a database") // the library's error quotes the password
	}
	address.Host = net.JoinHostPort(loopback, strconv.Itoa(b.port))
	return address.String(), nil
}

// FollowsPrepared reports whether this version prepares a client's named statements (of the protocol, not PREPARE) anew
// on whichever server connection serves it: from 1.21 on. An older one passes them on as they are, so that they meet
// those of other clients.
func (b *Bouncer) FollowsPrepared() bool { return b.version.followsPrepared() }

// Close ends every client's connection and the bouncer, and deletes its files. It is an error when the bouncer had
// ended before; a second call returns what the first did.
func (b *Bouncer) Close() error {
	b.stop.Do(func() {
		b.stopErr = errors.Join(b.process.End(b.version.quickEnd()), os.RemoveAll(b.dir))
	})
	return b.stopErr
}

// server is the PostgreSQL behind a bouncer.
type server struct {
	host, port string
	first      string // the URL by which readiness is tried
	passwords  map[string]string
}

func parseServer(urls []string) (server, error) {
	if len(urls) == 0 {
		return server{}, errors.New("no URL of a database is given")
	}
	found := server{first: urls[0], passwords: map[string]string{}}
	for i, text := range urls {
		address, err := url.Parse(text)
		if err != nil || address.User == nil || address.Port() == "" {
			return server{}, fmt.Errorf("URL %d is not postgres://role:password@host:port/database", i+1)
		}
		if i > 0 && (address.Hostname() != found.host || address.Port() != found.port) {
			return server{}, fmt.Errorf("URL %d leads to %s, the first to %s: one bouncer stands before one server",
				i+1, address.Host, net.JoinHostPort(found.host, found.port))
		}
		found.host, found.port = address.Hostname(), address.Port()
		found.passwords[address.User.Username()], _ = address.User.Password()
	}
	return found, nil
}
