//go:build !linux

package account

import "syscall"

// ChildAttr starts a program as the account, out of reach of the terminal's Ctrl-C: in what
// order things stop is ours to say. No signal of our death can be had here.
func (a *Account) ChildAttr(_ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential(), Setpgid: true}
}
