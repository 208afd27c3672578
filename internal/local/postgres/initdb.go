package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/nself/tenancy/internal/local/account"
)

// initialize makes the data of a new cluster. They get their name when they are whole, so that a run that is killed
// here leaves nothing that looks like a cluster.
func (c *Cluster) initialize(ctx context.Context, user *account.Account, bin binaries) error {
	c.clearUnfinished()
	if exists(c.site.data()) {
		return nil
	}
	c.cfg.Progress("Making a new PostgreSQL cluster.")
	work, err := os.MkdirTemp(c.site.home, "init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if c.source != nil {
		return c.fill(work, user, func(data string) error { return c.copySource(ctx, user, bin, data) })
	}
	password := filepath.Join(work, "password")
	if err := os.WriteFile(password, []byte(c.Password(superuser)), 0o600); err != nil {
		return err
	}
	if err := user.Own(password); err != nil {
		return err
	}
	return c.fill(work, user, func(data string) error {
		cmd := command(ctx, bin.program("initdb"), c.initdbArgs(data, password)...)
		cmd.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
		return runToEnd(cmd)
	})
}

// fill lets the account make data in work, and gives them their name.
func (c *Cluster) fill(work string, user *account.Account, with func(data string) error) error {
	if err := user.Own(work); err != nil {
		return err
	}
	data := filepath.Join(work, "data")
	if err := with(data); err != nil {
		return err
	}
	return os.Rename(data, c.site.data())
}

// initdbArgs asks for passwords on every way in, and for the C locale: it sorts the same on every machine.
func (c *Cluster) initdbArgs(data, password string) []string {
	args := []string{
		"--pgdata", data,
		"--username", superuser,
		"--pwfile", password,
		"--auth", "scram-sha-256",
		"--encoding", "UTF8",
		"--locale", "C",
		"--no-instructions",
	}
	if !c.cfg.Durable {
		args = append(args, "--no-sync")
	}
	return args
}

// clearUnfinished deletes what killed runs were making. What cannot be deleted takes room and nothing else.
func (c *Cluster) clearUnfinished() {
	unfinished, _ := filepath.Glob(filepath.Join(c.site.home, "init-*"))
	for _, work := range unfinished {
		_ = os.RemoveAll(work)
	}
}

// command prepares a program of PostgreSQL: in English, in no one's directory, and deaf to the PG… variables that are
// meant for other clusters.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH"),
		"LC_ALL=C",
		"TZ=UTC",
	}
	return cmd
}

// runToEnd runs a short program with all its children, which die with it when the context ends. It stays on one thread,
// because the signal that tells the program of our death comes at the end of the thread that started it.
func runToEnd(cmd *exec.Cmd) error {
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}
