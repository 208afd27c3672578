package postgres

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// patience is how long each of the ways to end a server gets before the next, rougher one.
const patience = 10 * time.Second

// lastWords is how long the output of sessions that outlive a killed server is read.
const lastWords = time.Second

// server is a running postmaster.
type server struct {
	cmd  *exec.Cmd
	tail *tail
	done chan struct{} // closed when it has ended
	err  error         // how it ended, once done is closed
}

// spawn starts the server and prints its output to log, which it closes in the end. The thread that starts it lives as
// long as it does: the signal that tells a server of our death comes at the end of that thread.
func spawn(cmd *exec.Cmd, log io.WriteCloser) (*server, error) {
	s := &server{cmd: cmd, tail: &tail{}, done: make(chan struct{})}
	cmd.Stdout = io.MultiWriter(s.tail, log)
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = lastWords
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			s.err = cmd.Wait()
			close(s.done)
		}
		_ = log.Close()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return s, nil
}

// shutdown ends the sessions and then the server: fast, with a checkpoint, and only when that takes too long without.
func (s *server) shutdown() error {
	select {
	case <-s.done:
		return fmt.Errorf("the server had ended before it was stopped: %w", cause(s.err))
	default:
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = s.cmd.Process.Signal(signal)
		select {
		case <-s.done:
			return s.err
		case <-time.After(patience):
		}
	}
	return fmt.Errorf("the server, process %d, does not end", s.cmd.Process.Pid)
}

func cause(err error) error {
	if err == nil {
		return errors.New("someone else shut it down")
	}
	return err
}
