// Package postgres runs a private PostgreSQL for `server dev` and for tests: it finds (or installs) the programs,
// makes a cluster in a directory, starts it on a loopback port and stops it. It owns that directory and every process
// in it: one holder at a time, nothing left running when the holder ends, and no repair needed after a holder was
// killed. It knows nothing of the schema; Bootstrap is given the migrations. Nothing in production imports it.
package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// superuser is the role that owns the cluster.
const superuser = "postgres"

// Config says where a cluster lives and how it runs.
type Config struct {
	// Dir is the cluster's directory, made when it is missing. A relative one is taken from the working directory.
	Dir string
	// Port is the port on 127.0.0.1. 0 picks a free one and keeps it for the next start in Dir, if it is free then.
	Port int
	// Durable keeps what was committed through a crash of the machine. Without it nothing is synced to disk, which is
	// for tests.
	Durable bool
	// Log receives what the server prints; nil writes it to postgres.log in Dir, over that of the last run.
	Log io.Writer
	// Progress receives a line before each slow step, such as installing PostgreSQL; nil hears nothing.
	Progress func(string)
}

// Cluster is a running PostgreSQL. Its methods may be called from several goroutines.
type Cluster struct {
	cfg     Config
	site    site
	secret  []byte
	port    int
	source  *Cluster // nil: it follows none
	lock    *dirLock
	server  *server
	stop    sync.Once
	stopErr error
}

// Start runs the cluster in cfg.Dir, making it first where there is none, and returns once it accepts connections.
// Servers that an earlier, killed holder of the directory left behind are stopped. ctx bounds the start alone, not the
// cluster's life. The error names the process that holds the directory already, says in one sentence how to install
// PostgreSQL, or carries the last lines of the server's log.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	return start(ctx, cfg, systemSearch())
}

func start(ctx context.Context, cfg Config, programs search) (*Cluster, error) {
	return startFrom(ctx, cfg, programs, nil)
}

func startFrom(ctx context.Context, cfg Config, programs search, source *Cluster) (*Cluster, error) {
	dir, err := makeDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, lock: lock, source: source}
	if err := c.open(ctx, programs); err != nil {
		lock.release()
		return nil, fmt.Errorf("postgres in %s: %w", dir, err)
	}
	return c, nil
}

// makeDir makes the cluster's directory and returns its one true name, by which leftovers are recognized.
func makeDir(dir string) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("postgres: the directory of the cluster is empty: name one")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("postgres: make the directory of the cluster: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("postgres: %w", err)
	}
	return filepath.EvalSymlinks(absolute)
}

// open does the steps of Start that need the directory to itself.
func (c *Cluster) open(ctx context.Context, programs search) error {
	var err error
	if c.site, err = findSite(c.cfg.Dir); err != nil {
		return err
	}
	major, err := c.site.version()
	if err != nil {
		return err
	}
	bin, err := programs.find(ctx, major, c.cfg.Progress)
	if err != nil {
		return err
	}
	user, err := c.site.account()
	if err != nil {
		return err
	}
	if err := c.site.settle(c.cfg, user, bin); err != nil {
		return err
	}
	if err := stopLeftovers(c.site.data()); err != nil {
		return err
	}
	if err := c.inherit(); err != nil {
		return err
	}
	if c.secret, err = c.site.secret(); err != nil {
		return err
	}
	if err := c.initialize(ctx, user, bin); err != nil {
		return err
	}
	return c.serve(ctx, user, bin)
}

// URL is the address of a database for a role, with its password, over TCP without TLS.
func (c *Cluster) URL(role, database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, c.Password(role)),
		Host:     net.JoinHostPort(loopback, strconv.Itoa(c.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

// Password is the password a role has in this cluster: the same at every start in the same directory, and of no use in
// another. A role has it once Bootstrap, or the caller, has set it.
func (c *Cluster) Password(role string) string {
	mac := hmac.New(sha256.New, c.secret)
	mac.Write([]byte(role))
	return hex.EncodeToString(mac.Sum(nil))
}

// SuperuserURL is the address of a database for the role that may do everything.
func (c *Cluster) SuperuserURL(database string) string {
	return c.URL(superuser, database)
}

// Port is the port on 127.0.0.1 that the cluster listens on.
func (c *Cluster) Port() int {
	return c.port
}

// Dir is the cluster's directory: Config.Dir, absolute and without symbolic links.
func (c *Cluster) Dir() string {
	return c.cfg.Dir
}

// Ended is closed when the server has ended, by Stop or by itself.
func (c *Cluster) Ended() <-chan struct{} {
	return c.server.done
}

// Stop ends every session, shuts the server down, waits until no process of it is left and gives the directory back.
// It is an error when the server had ended before; a second call returns what the first did.
func (c *Cluster) Stop() error {
	c.stop.Do(func() {
		c.stopErr = c.server.shutdown()
		if err := stopLeftovers(c.site.data()); c.stopErr == nil {
			c.stopErr = err
		}
		c.lock.release()
	})
	return c.stopErr
}

// Remove deletes the cluster in dir with dir itself. It is refused while a process holds the cluster, and does nothing
// when dir does not exist.
func Remove(dir string) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	dir, err := makeDir(dir)
	if err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.release()
	site, err := findSite(dir)
	if err != nil {
		return err
	}
	if err := stopLeftovers(site.data()); err != nil {
		return err
	}
	if err := os.RemoveAll(site.home); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return os.RemoveAll(dir)
}
