package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the unprivileged user that root runs PostgreSQL's programs as, for they refuse root. A nil one stands for
// an ordinary user, who runs them as himself.
type account struct {
	name     string
	uid, gid uint32
}

// account is whose data they are, or for a new cluster the system's user postgres or nobody.
func (s site) account() (*account, error) {
	root := os.Geteuid() == 0
	info, err := os.Stat(s.data())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		return ownerOf(info, root)
	}
	if !root {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			return parseAccount(found)
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as: " +
		"add one, or start this as an ordinary user")
}

// ownerOf lets root act for the owner of the data; anyone else has to be that owner.
func ownerOf(data fs.FileInfo, root bool) (*account, error) {
	owner, ok := data.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("the owner of the data cannot be told on this system")
	}
	switch {
	case root && owner.Uid != 0:
		return &account{name: "user " + strconv.Itoa(int(owner.Uid)), uid: owner.Uid, gid: owner.Gid}, nil
	case !root && int(owner.Uid) == os.Geteuid():
		return nil, nil
	}
	return nil, fmt.Errorf("its data belong to user %d: start it as that user, or choose another directory", owner.Uid)
}

func parseAccount(found *user.User) (*account, error) {
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", found.Username, err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", found.Username, err)
	}
	return &account{name: "user " + found.Username, uid: uint32(uid), gid: uint32(gid)}, nil
}

// reaches tells whether the account can work in dir, by doing so: permissions are more than what mode bits say.
func (a *account) reaches(dir string, bin binaries) bool {
	if a == nil {
		return true
	}
	cmd := exec.Command(bin.program("postgres"), "--version")
	cmd.Dir = dir
	cmd.SysProcAttr = childAttr(a, syscall.SIGKILL)
	return cmd.Run() == nil
}

// own gives a file that we have just made to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}
