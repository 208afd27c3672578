// Package process runs a program for as long as its stand-in needs it: as another user where we are root, with the end
// of its log at hand, and never longer than we live. What the program is and when it is ready is the stand-in's to know.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/nself/tenancy/internal/local/account"
)

// patience is how long a way to end the program gets before the next, rougher one.
const patience = 5 * time.Second

// Process is a running program.
type Process struct {
	cmd  *exec.Cmd
	tail *tail
	done chan struct{} // closed when it has ended
	err  error         // how it ended, once done is closed
}

// Start runs the program at the path with one argument and nothing of our environment; input is what it reads, "" for
// nothing. The thread that starts it lives as long as it does: the signal that tells it of our death comes at the end
// of that thread.
func Start(path, argument, input string, user *account.Account) (*Process, error) {
	p := &Process{cmd: exec.Command(path, argument), tail: &tail{}, done: make(chan struct{})}
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = bytes.NewReader([]byte(input)), p.tail, p.tail
	p.cmd.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// End stops the program by a signal, and by SIGKILL where that does not help, and waits until it is gone. It is an
// error that it had ended before.
func (p *Process) End(gently syscall.Signal) error {
	name := filepath.Base(p.cmd.Path)
	select {
	case <-p.done:
		return fmt.Errorf("%s had ended before it was stopped: %w; its log ends with:\n%s", name, cause(p.err), p.tail)
	default:
	}
	for _, signal := range []syscall.Signal{gently, syscall.SIGKILL} {
		_ = p.cmd.Process.Signal(signal)
		select {
		case <-p.done:
			return nil
		case <-time.After(patience):
		}
	}
	return fmt.Errorf("%s, process %d, does not end", name, p.cmd.Process.Pid)
}

func cause(err error) error {
	if err == nil {
		return errors.New("someone else stopped it")
	}
	return err
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log is the end of what the program has written, some twenty lines.
func (p *Process) Log() string { return p.tail.String() }

// tail keeps the end of what is written to it. It never fails.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(text []byte) (int, error) {
	const size = 4096
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, text...)
	if over := len(t.kept) - size; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(text), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
