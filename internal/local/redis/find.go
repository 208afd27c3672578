package redis

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nself/tenancy/internal/local/apt"
)

// howToInstall is what a person is told where the program is missing and cannot be installed for them.
const howToInstall = "install it with `apt-get install redis-server` (Debian, Ubuntu), " +
	"`dnf install redis` (Fedora) or `brew install redis` (macOS) and run this again"

// search says where the program may be, and how to get it where it is not.
type search struct {
	dirs      []string
	installer *apt.Installer // nil where nothing can be installed
	policy    string         // the file that keeps Debian's packages from starting their services
}

// systemSearch looks in $PATH, and in the directories for daemons that an ordinary user has not in it.
func systemSearch() search {
	return search{
		dirs:      append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin"),
		installer: apt.System(),
		policy:    "/usr/sbin/policy-rc.d",
	}
}

// find returns the program's path, installing it if it is missing and that is possible.
func (s search) find(ctx context.Context) (string, error) {
	path, ok := s.look(ctx)
	if !ok && s.installer != nil {
		err := s.installer.Install(ctx, s.debian(), func() bool {
			_, there := s.look(ctx)
			return there
		})
		if err != nil {
			return "", err
		}
		path, ok = s.look(ctx)
	}
	if !ok {
		return "", errors.New("the program was not found: " + howToInstall)
	}
	return path, nil
}

// debian is the package, which is kept from starting a server of the system. Where the system has a policy of its own
// about that, it stands.
func (s search) debian() apt.Package {
	p := apt.Package{Title: "Redis", Name: "redis-server"}
	if _, err := os.Lstat(s.policy); errors.Is(err, fs.ErrNotExist) {
		p.During = &apt.File{Path: s.policy, Text: "#!/bin/sh\nexit 101\n", Mode: 0o755}
	}
	return p
}

func (s search) look(ctx context.Context) (string, bool) {
	for _, dir := range s.dirs {
		path := filepath.Join(dir, "redis-server")
		if !filepath.IsAbs(path) {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err == nil && strings.HasPrefix(string(out), "Redis server v=") {
			return path, true
		}
	}
	return "", false
}
