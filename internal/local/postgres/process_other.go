//go:build !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
)

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
