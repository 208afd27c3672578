package postgres

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// commandLines maps every process to its arguments, with a space between. Those that have ended have none.
func commandLines() (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	lines := make(map[int]string)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue
		}
		line = bytes.TrimRight(line, "\x00 ")
		lines[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
	}
	return lines, nil
}
