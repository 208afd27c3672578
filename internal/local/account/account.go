// Package account is the unprivileged user that root runs a server program as, for most
// refuse root, and how such a program is started so that it does not outlive us. The
// stand-ins start their programs by it.
package account

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Account is a user of this system. A nil one stands for an ordinary user, who runs the
// program as himself.
type Account struct {
	Name     string // for people, such as "user postgres"
	UID, GID uint32
}

// Unprivileged is whom to run the program of this name as: nil for an ordinary user; for
// root the system's user postgres or nobody, or an error that says that neither exists.
func Unprivileged(program string) (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			return parse(found)
		}
	}
	return nil, fmt.Errorf("%s does not run as root, and there is no user postgres or nobody to run it as: "+
		"add one, or start this as an ordinary user", program)
}

func parse(found *user.User) (*Account, error) {
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", found.Username, err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", found.Username, err)
	}
	return &Account{Name: "user " + found.Username, UID: uint32(uid), GID: uint32(gid)}, nil
}

// Own gives a file that we have just made to the account.
func (a *Account) Own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.UID), int(a.GID))
}

func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID}
}
