// Package apt installs Debian's packages for the stand-ins: what `server dev` and the tests need and the machine lacks.
// It does so only as root and only when a stand-in asks; it knows no package by name.
package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// outputKept is how much of apt-get's output goes into an error: some twenty lines, in bytes.
const outputKept = 2048

// Installer runs apt-get.
type Installer struct {
	Program string // the path of apt-get
}

// System is nil unless we are root on a system with apt-get.
func System() *Installer {
	program, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	return &Installer{Program: program}
}

// Package is what is installed.
type Package struct {
	Title  string // what people call it, for errors
	Name   string // Debian's name
	During *File  // there while it is installed; nil means no file
}

// File is a file that keeps a package from starting what it brings. One that stands at its path is replaced, and
// removed in the end.
type File struct {
	Path, Text string
	Mode       os.FileMode
}

// Install brings the package with what it depends on, unless installed already says that somebody else brought it
// meanwhile: one process of the machine installs at a time. An error holds the end of what apt-get printed.
func (i Installer) Install(ctx context.Context, p Package, installed func() bool) error {
	unlock, err := i.lock()
	if err != nil {
		return fmt.Errorf("install %s: %w", p.Title, err)
	}
	defer unlock()
	if installed() {
		return nil
	}
	if p.During != nil {
		if err := p.During.write(); err != nil {
			return fmt.Errorf("install %s: %w", p.Title, err)
		}
		defer os.Remove(p.During.Path)
	}
	// Lists that are out of date may do, so this fails only together with the installation.
	stale := i.run(ctx, p.Title, "update")
	if err := i.run(ctx, p.Title, "install", "-y", "--no-install-recommends", p.Name); err != nil {
		return errors.Join(stale, err)
	}
	return nil
}

// lock takes apt-get's own file as the lock: it is there wherever there is something to lock.
func (i Installer) lock() (unlock func(), err error) {
	file, err := os.Open(i.Program)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func (f File) write() error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(f.Path, []byte(f.Text), f.Mode)
}

func (i Installer) run(ctx context.Context, title string, args ...string) error {
	cmd := exec.CommandContext(ctx, i.Program, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install %s: apt-get %s: %w\n%s", title, args[0], err, tail(out))
	}
	return nil
}

// tail is the end of the output from the start of a line.
func tail(out []byte) []byte {
	if over := len(out) - outputKept; over > 0 {
		_, out, _ = bytes.Cut(out[over:], []byte("\n"))
	}
	return bytes.TrimSpace(out)
}
