package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nself/tenancy/internal/local/account"
)

// StartReplica runs a copy of a running cluster in cfg.Dir, made first where there is none,
// that follows it by streaming and takes no writes. It has the cluster's databases, roles
// and passwords. The cluster is a durable one: the others keep nothing that could be
// followed. The copy is stopped before the cluster; Start is not for its directory.
func StartReplica(ctx context.Context, cfg Config, of *Cluster) (*Cluster, error) {
	if !of.cfg.Durable {
		return nil, errors.New("postgres: only a durable cluster can be followed: start it with Durable")
	}
	cfg.Durable = true // the same settings, as a copy needs
	return startFrom(ctx, cfg, systemSearch(), of)
}

// inherit takes over the key that the passwords are derived from.
func (c *Cluster) inherit() error {
	if c.source == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(c.site.home, "secret"), c.source.secret, 0o600)
}

// copySource copies the data of the cluster that is followed, with what makes a server
// follow it: standby.signal and where to.
func (c *Cluster) copySource(ctx context.Context, user *account.Account, bin binaries, data string) error {
	c.cfg.Progress("Copying the PostgreSQL cluster that is followed.")
	cmd := command(ctx, bin.beside("pg_basebackup"), "--pgdata", data, "--write-recovery-conf", "--checkpoint", "fast",
		"--host", loopback, "--port", strconv.Itoa(c.source.port), "--username", superuser, "--no-sync")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+c.source.Password(superuser))
	cmd.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
	return runToEnd(cmd)
}
