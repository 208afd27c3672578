// Package goinstall finds a program that `go install` makes, in the one version that is asked
// for, and builds it where it is missing. Nothing in production imports it.
package goinstall

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Program says what is wanted.
type Program struct {
	Module  string // the path of its module
	Command string // the path of its package within the module, "" the module's own; its last part is the program's name
	Version string
}

func (p Program) path() string { return strings.TrimSuffix(p.Module+"/"+p.Command, "/") }

func (p Program) name() string { return p.path()[strings.LastIndexByte(p.path(), '/')+1:] }

// Find returns the program's path: bin/<name>-<version> of the module that we are in, or the
// program of that version in $PATH. Where neither is there, the first is built.
func (p Program) Find(ctx context.Context) (string, error) { return p.search().find(ctx) }

// search says where the program may be, and where it is built.
type search struct {
	Program
	paths   []string // whole paths of programs that may be it
	dir     string   // where it is built; empty: nowhere
	compile func(ctx context.Context, dir string) error
}

func (p Program) search() search {
	s := search{Program: p, compile: p.install}
	if root, err := moduleRoot(); err == nil {
		s.dir = filepath.Join(root, "bin")
		s.paths = append(s.paths, s.built())
	}
	if path, err := exec.LookPath(p.name()); err == nil {
		s.paths = append(s.paths, path)
	}
	return s
}

func (s search) built() string { return filepath.Join(s.dir, s.name()+"-"+s.Version) }

// moduleRoot is the nearest directory above us with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fs.ErrNotExist
		}
		dir = parent
	}
}

// find returns the program's path, and builds it where it is missing.
func (s search) find(ctx context.Context) (string, error) {
	if path, ok := s.look(); ok {
		return path, nil
	}
	if s.dir == "" {
		return "", fmt.Errorf("the program was not found: install it with `go install %s@%s` and run this again", s.path(), s.Version)
	}
	if err := s.build(ctx); err != nil {
		return "", fmt.Errorf("build %s@%s: %w", s.path(), s.Version, err)
	}
	return s.built(), nil
}

// look asks the programs themselves what they were built from: --version of one that was
// installed by Go does not say it.
func (s search) look() (string, bool) {
	for _, path := range s.paths {
		made, err := buildinfo.ReadFile(path)
		if err == nil && made.Main.Path == s.Module && made.Main.Version == s.Version {
			return path, true
		}
	}
	return "", false
}

// build makes the program unless somebody does so meanwhile: one process builds at a time.
func (s search) build(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer lock.Close() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, ok := s.look(); ok {
		return nil
	}
	dir, err := os.MkdirTemp(s.dir, "."+s.name()+"-")
	if err != nil {
		return err
	}
	err = s.compile(ctx, dir)
	if err == nil {
		err = os.Rename(filepath.Join(dir, s.name()), s.built())
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// install needs no module: what is named by its version brings its own.
func (p Program) install(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "install", p.path()+"@"+p.Version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
