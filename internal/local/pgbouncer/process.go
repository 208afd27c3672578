package pgbouncer

import "syscall"

// quickEnd is the signal that ends the program without waiting for its clients.
func (v version) quickEnd() syscall.Signal {
	if v.atLeast(1, 23) {
		return syscall.SIGQUIT
	}
	return syscall.SIGTERM
}
