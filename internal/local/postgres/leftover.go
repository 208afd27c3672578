package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopLeftovers ends the server that a killed holder of the data left running, and the sessions that outlived a killed
// server. Its caller holds the directory, so whatever runs there has no owner. Afterwards postmaster.pid names no one,
// or a stranger who was given the number since, and goes too: PostgreSQL would take the stranger for a server.
func stopLeftovers(data string) error {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		left, err := processesOn(data)
		if err != nil {
			return err
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop process %d, left by an earlier run: %w", pid, err)
			}
		}
		if len(left) == 0 || awaitNone(data) {
			return removeIfThere(filepath.Join(data, "postmaster.pid"))
		}
	}
	return fmt.Errorf("the processes that an earlier run left on %s do not end", data)
}

// awaitNone waits for the end of all processes on the data, and tells whether it came in time.
func awaitNone(data string) bool {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if left, err := processesOn(data); err == nil && len(left) == 0 {
			return true
		}
		time.Sleep(pollEvery)
	}
	return false
}

// processesOn lists the processes of a server on the data. The server has them in its arguments; what it forks shows
// the name of the cluster instead.
func processesOn(data string) ([]int, error) {
	lines, err := commandLines()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var found []int
	for pid, line := range lines {
		if strings.Contains(line+" ", " -D "+data+" ") || strings.HasPrefix(line, "postgres: "+nameOf(data)+": ") {
			found = append(found, pid)
		}
	}
	return found, nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
