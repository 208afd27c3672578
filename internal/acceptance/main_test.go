package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/local/dev"
)

// local is the installation under test; TestMain sets it before any test runs.
var local *dev.Environment

// scratch is a directory that lives as long as the test process.
var scratch string

// journal collects the log lines of the server and of the stand-in for Hasura.
var journal = &logBook{}

type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestMain(m *testing.M) {
	code, err := runAgainstInstallation(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		code = 1
	}
	os.Exit(code)
}

func runAgainstInstallation(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "acceptance")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// Postgres runs as an unprivileged user and must reach its files.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	scratch = dir
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready, done := make(chan *dev.Environment, 1), make(chan error, 1)
	go func() {
		done <- dev.Run(ctx, dev.Options{
			DataDir:  filepath.Join(dir, "data"),
			Log:      journal,
			Progress: func(string) {},
			Ready:    func(e *dev.Environment) { ready <- e },
		})
	}()
	select {
	case err := <-done:
		return 1, fmt.Errorf("the installation ended before it was ready: %w", err)
	case local = <-ready:
	}
	journalStart := len(journal.String())
	code = m.Run()
	bugs := serverFaults(journal.String()[journalStart:])
	stop()
	if err := <-done; err != nil {
		return 1, fmt.Errorf("the installation ended badly: %w", err)
	}
	if len(bugs) > 0 {
		return 1, fmt.Errorf("the server answered 5xx or panicked, which only a bug may cause:\n%s", bytes.Join(bugs, []byte("\n")))
	}
	return code, nil
}

var faultLine = regexp.MustCompile(`(?m)^.*("status":5\d\d|panic).*$`)

// serverFaults lists the log lines of requests that ended in a server error.
func serverFaults(text string) [][]byte {
	return faultLine.FindAll([]byte(text), 20)
}
