package postgres

import (
	"os"
	"syscall"
)

const (
	memory     = "/dev/shm"
	memoryFree = 4 << 30 // bytes: room for several clusters and the rows of heavy tests
)

// Scratch is the directory below which a cluster that need not last is fastest: Linux's file system in memory, where
// a database is cloned ten times as fast as on a disk, if there is room to spare, else the temporary directory.
func Scratch() string {
	var room syscall.Statfs_t
	if err := syscall.Statfs(memory, &room); err != nil || uint64(room.Bavail)*uint64(room.Bsize) < memoryFree {
		return os.TempDir()
	}
	probe, err := os.MkdirTemp(memory, "nself-probe-")
	if err != nil {
		return os.TempDir()
	}
	_ = os.Remove(probe)
	return memory
}
