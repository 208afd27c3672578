package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dirLock keeps a cluster's directory for one holder. The kernel drops it with the holder, however that ends.
type dirLock struct {
	file *os.File
}

// lockDir takes the directory, or says which process has it. A process that was killed just
// as it started a program leaves the lock with that program for a moment: it is waited for.
func lockDir(dir string) (*dirLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("postgres: lock the directory of the cluster: %w", err)
	}
	deadline := time.Now().Add(patience)
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		holder, _ := os.ReadFile(file.Name())
		name := strings.TrimSpace(string(holder))
		if !ended(name) || time.Now().After(deadline) {
			_ = file.Close()
			return nil, fmt.Errorf("postgres: %s is in use by process %s: stop it, or choose another directory", dir, name)
		}
		time.Sleep(pollEvery)
	}
	if err == nil {
		err = writeHolder(file)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("postgres: lock %s: %w", file.Name(), err)
	}
	return &dirLock{file: file}, nil
}

// ended reports whether there is no process of that number.
func ended(number string) bool {
	pid, err := strconv.Atoi(number)
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// writeHolder overwrites before it truncates, so that a process that is refused meanwhile does not read an empty name.
func writeHolder(file *os.File) error {
	line := strconv.Itoa(os.Getpid()) + "\n"
	if _, err := file.WriteAt([]byte(line), 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(line)))
}

func (l *dirLock) release() {
	_ = l.file.Close()
}
