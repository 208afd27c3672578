package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/account"
)

const (
	loopback   = "127.0.0.1"
	startLimit = 2 * time.Minute // time for the recovery after a crash
	pollEvery  = 10 * time.Millisecond
)

// errPortTaken says that another process took the port between our look and the server's.
var errPortTaken = errors.New("the port is taken")

// serve starts the server on a port and waits until it accepts connections.
func (c *Cluster) serve(ctx context.Context, user *account.Account, bin binaries) error {
	var err error
	for range 3 {
		if c.port, err = c.choosePort(); err != nil {
			return err
		}
		err = c.launch(ctx, user, bin)
		if !errors.Is(err, errPortTaken) || c.cfg.Port != 0 {
			break
		}
	}
	if err != nil {
		return err
	}
	return os.WriteFile(c.portFile(), []byte(strconv.Itoa(c.port)), 0o644)
}

func (c *Cluster) portFile() string {
	return filepath.Join(c.cfg.Dir, "port")
}

// choosePort takes the port asked for, else that of the last run, else any.
func (c *Cluster) choosePort() (int, error) {
	if c.cfg.Port != 0 {
		return freePort(c.cfg.Port)
	}
	if text, err := os.ReadFile(c.portFile()); err == nil {
		last, _ := strconv.Atoi(string(text))
		if port, err := freePort(last); err == nil {
			return port, nil
		}
	}
	return freePort(0)
}

func freePort(port int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("port %d cannot be had: choose another: %w", port, err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// launch starts the server once. Where it fails, nothing of it is left.
func (c *Cluster) launch(ctx context.Context, user *account.Account, bin binaries) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	log, err := c.openLog()
	if err != nil {
		return err
	}
	cmd := command(context.Background(), bin.program("postgres"), c.settings()...)
	cmd.SysProcAttr = user.ChildAttr(syscall.SIGINT)
	if c.server, err = spawn(cmd, log); err != nil {
		return err
	}
	if err = c.awaitReady(ctx); err == nil {
		return nil
	}
	_ = c.server.shutdown()
	if strings.Contains(c.server.tail.String(), "could not bind IPv4 address") {
		return fmt.Errorf("%w: %d", errPortTaken, c.port)
	}
	return fmt.Errorf("%w; its log ends with:\n%s", err, c.server.tail)
}

func (c *Cluster) openLog() (io.WriteCloser, error) {
	if c.cfg.Log != nil {
		return borrowed{c.cfg.Log}, nil
	}
	return os.OpenFile(filepath.Join(c.cfg.Dir, "postgres.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// borrowed is a writer that is the caller's to close.
type borrowed struct{ io.Writer }

func (borrowed) Close() error { return nil }

// settings are given as arguments, so that nothing in the data has to be edited when they change. There is no socket:
// a path below a deep directory is too long for one.
func (c *Cluster) settings() []string {
	args := []string{"-D", c.site.data(), "-p", strconv.Itoa(c.port)}
	settings := []string{
		"listen_addresses=" + loopback,
		"unix_socket_directories=",
		"cluster_name=" + nameOf(c.site.data()),
		"timezone=UTC",
		"log_timezone=UTC",
		"log_checkpoints=off",
		"logging_collector=off",
	}
	if c.cfg.Durable {
		settings = append(settings, "shared_buffers=64MB", "max_connections=100")
	} else {
		settings = append(settings, "shared_buffers=128MB", "max_connections=200",
			"fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB", "jit=off")
	}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// awaitReady waits for our server, by the name of its process, and not for one that answers at the same port.
func (c *Cluster) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !c.ready() {
		select {
		case <-c.server.done:
			return errors.New("the server ended as it started")
		case <-ctx.Done():
			return fmt.Errorf("the server did not get ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
	conn, err := pgx.Connect(ctx, c.SuperuserURL("postgres"))
	if err != nil {
		return fmt.Errorf("the server accepts no connection: %w", err)
	}
	return conn.Close(ctx)
}

// ready reads the status that the server writes to the eighth line of postmaster.pid, below its process on the first.
func (c *Cluster) ready() bool {
	text, err := os.ReadFile(filepath.Join(c.site.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return len(lines) > 7 &&
		lines[0] == strconv.Itoa(c.server.cmd.Process.Pid) &&
		strings.TrimSpace(lines[7]) == "ready"
}
