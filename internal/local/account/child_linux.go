package account

import "syscall"

// ChildAttr starts a program as the account, out of reach of the terminal's Ctrl-C: in what
// order things stop is ours to say. The kernel sends it the signal when we die, even by
// SIGKILL.
func (a *Account) ChildAttr(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential(), Setpgid: true, Pdeathsig: death}
}
