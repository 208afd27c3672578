package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nself/tenancy/internal/local/apt"
)

// howToInstall is what a person is told where the program is missing and cannot be installed for them.
const howToInstall = "install it with `apt-get install pgbouncer` (Debian, Ubuntu), " +
	"`dnf install pgbouncer` (Fedora) or `brew install pgbouncer` (macOS) and run this again"

// version is PgBouncer's: major and minor.
type version struct{ major, minor int }

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

func (v version) followsPrepared() bool { return v.atLeast(1, 21) }

// binary is a program and what it says of itself.
type binary struct {
	path    string
	version version
}

// search says where the program may be, and how to get it where it is not.
type search struct {
	dirs      []string
	installer *apt.Installer // nil where nothing can be installed
	policy    string         // the file that keeps Debian's packages from starting their services
}

// systemSearch looks in $PATH, and in the directory for daemons that an ordinary user has not in it.
func systemSearch() search {
	return search{
		dirs:      append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin"),
		installer: apt.System(),
		policy:    "/usr/sbin/policy-rc.d",
	}
}

// find returns the program, installing it if it is missing and that is possible.
func (s search) find(ctx context.Context) (binary, error) {
	found, ok := s.look(ctx)
	if !ok && s.installer != nil {
		err := s.installer.Install(ctx, s.debian(), func() bool {
			_, there := s.look(ctx)
			return there
		})
		if err != nil {
			return binary{}, err
		}
		found, ok = s.look(ctx)
	}
	if !ok {
		return binary{}, errors.New("the program was not found: " + howToInstall)
	}
	return found, nil
}

// debian is the package, which is kept from starting a bouncer of the system. Where the system has a policy of its own
// about that, it stands.
func (s search) debian() apt.Package {
	p := apt.Package{Title: "PgBouncer", Name: "pgbouncer"}
	if _, err := os.Lstat(s.policy); errors.Is(err, fs.ErrNotExist) {
		p.During = &apt.File{Path: s.policy, Text: "#!/bin/sh\nexit 101\n", Mode: 0o755}
	}
	return p
}

func (s search) look(ctx context.Context) (binary, bool) {
	for _, dir := range s.dirs {
		path := filepath.Join(dir, "pgbouncer")
		if !filepath.IsAbs(path) {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			continue
		}
		if v, err := parseVersion(string(out)); err == nil {
			return binary{path, v}, true
		}
	}
	return binary{}, false
}

// parseVersion reads "PgBouncer 1.18.0", the first line of several.
func parseVersion(text string) (version, error) {
	first, _, _ := strings.Cut(text, "\n")
	number, ok := strings.CutPrefix(first, "PgBouncer ")
	parts := strings.Split(number, ".")
	if !ok || len(parts) < 2 {
		return version{}, fmt.Errorf("%q is not a version of PgBouncer", first)
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return version{}, fmt.Errorf("%q is not a version of PgBouncer", first)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return version{}, fmt.Errorf("%q is not a version of PgBouncer", first)
	}
	return version{major, minor}, nil
}
