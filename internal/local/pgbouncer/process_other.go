//go:build !linux

package pgbouncer

import "syscall"

// childAttr starts the program as the account, out of reach of the terminal's Ctrl-C. No signal of our death can be had
// here.
func childAttr(user *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user.credential(), Setpgid: true}
}
