package redis

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nself/tenancy/internal/local/account"
)

// patience is how long a way to end the program gets before the next, rougher one.
const patience = 5 * time.Second

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	tail *tail
	done chan struct{} // closed when it has ended
	err  error         // how it ended, once done is closed
}

// spawn starts the program. The thread that starts it lives as long as it does: the signal that tells it of our death
// comes at the end of that thread.
func spawn(path string, user *account.Account, settings string) (*process, error) {
	p := &process{cmd: exec.Command(path, "-"), tail: &tail{}, done: make(chan struct{})}
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(settings), p.tail, p.tail
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

// end stops the program and waits until it is gone.
func (p *process) end() error {
	select {
	case <-p.done:
		return fmt.Errorf("redis had ended before it was stopped: %w; its log ends with:\n%s", cause(p.err), p.tail)
	default:
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = p.cmd.Process.Signal(signal)
		select {
		case <-p.done:
			return nil
		case <-time.After(patience):
		}
	}
	return fmt.Errorf("redis, process %d, does not end", p.cmd.Process.Pid)
}

func cause(err error) error {
	if err == nil {
		return errors.New("someone else stopped it")
	}
	return err
}

// tail keeps the end of what is written to it, some twenty lines. It never fails.
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
