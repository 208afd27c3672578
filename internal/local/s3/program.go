package s3

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

// What is run: the Versity S3 gateway over a directory.
const (
	module  = "github.com/versity/versitygw"
	command = module + "/cmd/versitygw"
	version = "v1.8.0"
)

// search says where the program may be, and where it is built.
type search struct {
	paths   []string // whole paths of programs that may be it
	dir     string   // where it is built; empty: nowhere
	compile func(ctx context.Context, dir string) error
}

// systemSearch looks in bin of the module that we are in, where it has one, and in $PATH.
func systemSearch() search {
	s := search{compile: goInstall}
	if root, err := moduleRoot(); err == nil {
		s.dir = filepath.Join(root, "bin")
		s.paths = append(s.paths, s.built())
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		s.paths = append(s.paths, path)
	}
	return s
}

func (s search) built() string { return filepath.Join(s.dir, "versitygw-"+version) }

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
		return "", fmt.Errorf("the program was not found: install it with `go install %s@%s` and run this again", command, version)
	}
	if err := s.build(ctx); err != nil {
		return "", fmt.Errorf("build %s@%s: %w", command, version, err)
	}
	return s.built(), nil
}

// look asks the programs themselves what they were built from.
func (s search) look() (string, bool) {
	for _, path := range s.paths {
		made, err := buildinfo.ReadFile(path)
		if err == nil && made.Main.Path == module && made.Main.Version == version {
			return path, true
		}
	}
	return "", false
}

// build makes the program unless somebody does so meanwhile. Its lock is a file of its
// own, so that it waits for the build of no other program.
func (s search) build(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.dir, ".versitygw.lock"), os.O_CREATE|os.O_RDWR, 0o600)
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
	dir, err := os.MkdirTemp(s.dir, ".versitygw-")
	if err != nil {
		return err
	}
	err = s.compile(ctx, dir)
	if err == nil {
		err = os.Rename(filepath.Join(dir, "versitygw"), s.built())
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// goInstall needs no module: what is named by its version brings its own.
func goInstall(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "install", command+"@"+version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
