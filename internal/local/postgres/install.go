package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// apt installs Debian's package of PostgreSQL.
type apt struct {
	program string // apt-get
	conf    string // the directory of settings for the cluster that the package makes by itself
}

// systemApt is nil unless we are root on a system with apt-get.
func systemApt() *apt {
	program, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	return &apt{program: program, conf: "/etc/postgresql-common/createcluster.d"}
}

// install brings the programs alone: the package is kept from making and starting a cluster of its own.
func (a apt) install(ctx context.Context, progress func(string)) error {
	progress("Installing PostgreSQL with apt-get; this takes a minute.")
	dropIn := filepath.Join(a.conf, "nself-no-main-cluster.conf")
	if err := os.MkdirAll(a.conf, 0o755); err != nil {
		return fmt.Errorf("install PostgreSQL: %w", err)
	}
	if err := os.WriteFile(dropIn, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return fmt.Errorf("install PostgreSQL: %w", err)
	}
	defer os.Remove(dropIn)
	stale := a.run(ctx, "update")
	if err := a.run(ctx, "install", "-y", "--no-install-recommends", "postgresql"); err != nil {
		return errors.Join(stale, err)
	}
	return nil
}

func (a apt) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, a.program, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install PostgreSQL: apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}
