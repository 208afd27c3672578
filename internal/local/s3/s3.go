// Package s3 runs a real S3 server on this machine, for tests and `server dev`: the Versity
// gateway over a directory, with accounts of its own and its admin API on the same port. It
// finds the program, or builds it, and leaves no process behind. Nothing in production
// imports it.
package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nself/tenancy/internal/local/goinstall"
	"github.com/nself/tenancy/internal/local/process"
)

// Region is the one the server answers for.
const Region = "us-east-1"

// program is what is run: the Versity S3 gateway over a directory.
var program = goinstall.Program{Module: "github.com/versity/versitygw", Command: "cmd/versitygw", Version: "v1.8.0"}

const (
	startLimit = 60 * time.Second
	health     = "/health"
)

// Config says where the server keeps what it is given.
type Config struct {
	Dir string // made where absent, and kept; empty: a temporary one that Close deletes

	// The administrator's keys; empty: new ones.
	AccessKeyID, SecretAccessKey string
}

// Server is a running S3 server. Its methods may be called from several goroutines.
type Server struct {
	config  Config
	address string
	dirs    map[string]string
	remove  string // what Close deletes; "" nothing
	process *process.Process
	stop    sync.Once
	stopErr error
}

// Start runs the server on a free loopback port and returns once it answers. ctx bounds the
// start alone, and the build of the program where it is missing.
func Start(ctx context.Context, config Config) (*Server, error) {
	path, err := program.Find(ctx)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	s := &Server{config: config}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("s3: %w", err), s.clean())
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for range 3 { // another process may take the port before the program does
		if err = s.try(ctx, path); err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, errors.Join(fmt.Errorf("s3: %w", err), s.clean())
}

// prepare makes the directories and the keys.
func (s *Server) prepare() (err error) {
	if s.config.AccessKeyID == "" {
		s.config.AccessKeyID, s.config.SecretAccessKey = "admin"+rand.Text()[:11], rand.Text()
	}
	if s.config.Dir == "" {
		if s.config.Dir, err = os.MkdirTemp("", "nself-s3-"); err != nil {
			return err
		}
		s.remove = s.config.Dir
	}
	s.dirs = map[string]string{}
	for _, name := range []string{"objects", "versions", "sidecar", "accounts"} {
		s.dirs[name] = filepath.Join(s.config.Dir, name)
		if err := os.MkdirAll(s.dirs[name], 0o700); err != nil {
			return err
		}
	}
	return nil
}

// URL is where both S3 and the admin API answer.
func (s *Server) URL() string { return "http://" + s.address }

// AccessKeyID is the administrator's.
func (s *Server) AccessKeyID() string { return s.config.AccessKeyID }

// SecretAccessKey is the administrator's.
func (s *Server) SecretAccessKey() string { return s.config.SecretAccessKey }

// Close ends the server. It is an error when it had ended before; a second call returns what
// the first did.
func (s *Server) Close() error {
	s.stop.Do(func() { s.stopErr = errors.Join(s.process.End(syscall.SIGTERM), s.clean()) })
	return s.stopErr
}

func (s *Server) clean() error {
	if s.remove == "" {
		return nil
	}
	return os.RemoveAll(s.remove)
}

func (s *Server) try(ctx context.Context, path string) error {
	var err error
	if s.address, err = process.FreeAddress(ctx); err != nil {
		return err
	}
	// The shell reads what to run from its standard input, so that the keys stand on no
	// command line; it becomes the program.
	if s.process, err = process.Start("/bin/sh", "-s", s.script(path), nil); err != nil {
		return err
	}
	if err = s.process.AwaitReady(ctx, s.answers); err == nil {
		return nil
	}
	_ = s.process.End(syscall.SIGTERM) // it may have ended by itself
	return fmt.Errorf("%w; its log ends with:\n%s", err, s.process.Log())
}

// script switches the cache of accounts off: with it, a secret of before may open for a
// while after it was changed.
func (s *Server) script(path string) string {
	return fmt.Sprintf(`ROOT_ACCESS_KEY_ID=%s ROOT_SECRET_ACCESS_KEY=%s \
exec %s --port %s --region %s --health %s --quiet --iam-cache-disable --iam-dir %s posix --versioning-dir %s --sidecar %s %s
`, quoted(s.config.AccessKeyID), quoted(s.config.SecretAccessKey), quoted(path), s.address, Region, health,
		quoted(s.dirs["accounts"]), quoted(s.dirs["versions"]), quoted(s.dirs["sidecar"]), quoted(s.dirs["objects"]))
}

// quoted is a word for the shell, taken literally.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

func (s *Server) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+health, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
