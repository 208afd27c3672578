package pgbouncer

import "syscall"

// childAttr starts the program as the account, out of reach of the terminal's Ctrl-C. The kernel ends it when we die,
// even by SIGKILL.
func childAttr(user *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user.credential(), Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
