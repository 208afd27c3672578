package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/nself/tenancy/internal/local/account"
)

// account is whose data they are, or for a new cluster the system's user postgres or nobody.
func (s site) account() (*account.Account, error) {
	root := os.Geteuid() == 0
	info, err := os.Stat(s.data())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		return ownerOf(info, root)
	}
	return account.Unprivileged("PostgreSQL")
}

// ownerOf lets root act for the owner of the data; anyone else has to be that owner.
func ownerOf(data fs.FileInfo, root bool) (*account.Account, error) {
	owner, ok := data.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("the owner of the data cannot be told on this system")
	}
	switch {
	case root && owner.Uid != 0:
		return &account.Account{Name: "user " + strconv.Itoa(int(owner.Uid)), UID: owner.Uid, GID: owner.Gid}, nil
	case !root && int(owner.Uid) == os.Geteuid():
		return nil, nil
	}
	return nil, fmt.Errorf("its data belong to user %d: start it as that user, or choose another directory", owner.Uid)
}

// reaches tells whether the user can work in dir, by doing so: permissions are more than what mode bits say.
func reaches(user *account.Account, dir string, bin binaries) bool {
	if user == nil {
		return true
	}
	cmd := exec.Command(bin.program("postgres"), "--version")
	cmd.Dir = dir
	cmd.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
	return cmd.Run() == nil
}
