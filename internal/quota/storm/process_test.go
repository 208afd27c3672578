package storm_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
)

// process is a part of a storm: this test binary again, at work.
type process struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bytes.Buffer // complete when done is closed
	done   chan struct{}
}

// spawn starts a process, which does not outlive the test.
func spawn(t *testing.T, kind string, job any) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), output: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), workVariable+"="+kind)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	var err error
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // kill and finish look at the state
		close(p.done)
	}()
	t.Cleanup(p.kill)
	if err := json.NewEncoder(p.input).Encode(job); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ended reports whether the process has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// finish lets the process end its work in order.
func (p *process) finish(t *testing.T) {
	t.Helper()
	_ = p.input.Close()
	<-p.done
	p.wantGoodEnd(t)
}

func (p *process) wantGoodEnd(t *testing.T) {
	t.Helper()
	if !p.cmd.ProcessState.Success() {
		t.Fatalf("a process of the storm: %v\n%s", p.cmd.ProcessState, p.output)
	}
}
