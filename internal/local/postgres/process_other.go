//go:build !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttr starts a program as the account, out of reach of the terminal's Ctrl-C: in what order things stop is ours
// to say. No signal of our death can be had here: the next start on the data stops what a killed one left.
func childAttr(user *account, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user.credential(), Setpgid: true}
}

// commandLines maps every process to its arguments, with a space between.
func commandLines() (map[int]string, error) {
	out, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, err
	}
	lines := make(map[int]string)
	for line := range strings.Lines(string(out)) {
		number, arguments, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil {
			lines[pid] = strings.TrimSpace(arguments)
		}
	}
	return lines, nil
}
