package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/account"
	"github.com/nself/tenancy/internal/local/process"
)

const (
	startLimit = 30 * time.Second
	pollEvery  = 10 * time.Millisecond
	// preparedKept is how many of a client's named statements a version that follows them keeps on a server connection.
	preparedKept = 100
)

// launch is what one start needs.
type launch struct {
	cfg     Config
	server  server
	program binary
	user    *account.Account
}

// serve starts the program on a free port and waits until it passes a client on. Another process may take the port
// between our look and the program's.
func (b *Bouncer) serve(ctx context.Context, l launch) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var err error
	for range 3 {
		if err = b.try(ctx, l); err == nil || !strings.Contains(err.Error(), "ddress already in use") {
			return err
		}
	}
	return err
}

func (b *Bouncer) try(ctx context.Context, l launch) error {
	var err error
	if b.port, err = freePort(ctx); err != nil {
		return err
	}
	config, err := b.write(l)
	if err != nil {
		return err
	}
	if b.process, err = process.Start(l.program.path, config, "", l.user); err != nil {
		return err
	}
	if err = b.awaitReady(ctx, l.server.first); err == nil {
		return nil
	}
	_ = b.process.End(b.version.quickEnd()) // it may have ended by itself
	return fmt.Errorf("%w; its log ends with:\n%s", err, b.process.Log())
}

func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// write makes the files of the configuration, readable by the account alone, and returns the first one's path.
func (b *Bouncer) write(l launch) (string, error) {
	users := filepath.Join(b.dir, "users.txt")
	config := filepath.Join(b.dir, "pgbouncer.ini")
	for path, text := range map[string]string{users: l.server.userList(), config: b.settings(l, users)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		if err := l.user.Own(path); err != nil {
			return "", err
		}
	}
	return config, l.user.Own(b.dir)
}

// userList holds the passwords themselves: with them the bouncer can do SCRAM to both sides, whatever the server's salt.
func (s server) userList() string {
	var lines []string
	for role, password := range s.passwords {
		lines = append(lines, doubled(role)+" "+doubled(password)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func doubled(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func (b *Bouncer) settings(l launch, users string) string {
	always := 0
	if l.cfg.ResetAlways {
		always = 1
	}
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
server_reset_query = DISCARD ALL
server_reset_query_always = %d
server_lifetime = 86400
server_idle_timeout = 86400
`, l.server.host, l.server.port, loopback, b.port, users, l.cfg.PoolSize, always)
	if l.program.version.followsPrepared() {
		text += fmt.Sprintf("max_prepared_statements = %d\n", preparedKept)
	}
	return text
}

// awaitReady waits for a client's connection to be passed on. A refusal by the server behind is final.
func (b *Bouncer) awaitReady(ctx context.Context, direct string) error {
	address, err := b.URL(direct)
	if err != nil {
		return err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		listened := strings.Contains(b.process.Log(), "process up") // before we tried: it may have begun to since
		conn, err := pgx.Connect(ctx, address)
		if err == nil {
			err = errors.Join(conn.Ping(ctx), conn.Close(ctx))
		}
		if err == nil {
			return nil
		}
		if listened {
			return fmt.Errorf("it passes no client on: %w", err)
		}
		select {
		case <-b.process.Done():
			return errors.New("it ended as it started")
		case <-ctx.Done():
			return fmt.Errorf("it did not get ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
