package postgres

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/nself/tenancy/internal/local/account"
)

// site is where a cluster's files are. Its home holds the secret and the data; it is the cluster's directory unless the
// account that PostgreSQL runs as cannot get there, as below root's 0700 home. The lock, the port and the log stay in
// the cluster's directory.
type site struct {
	dir  string // what Config.Dir names
	home string // "" until settle has chosen one
}

func (s site) data() string    { return filepath.Join(s.home, "data") }
func (s site) pointer() string { return filepath.Join(s.dir, "elsewhere") }

// findSite finds what an earlier start in dir has chosen.
func findSite(dir string) (site, error) {
	s := site{dir: dir}
	home, err := os.Readlink(s.pointer())
	switch {
	case err == nil:
		s.home = home
	case !errors.Is(err, fs.ErrNotExist):
		return site{}, fmt.Errorf("read where the cluster is: %w", err)
	default:
		s.home = dir
	}
	return s, nil
}

// version is the major version that made the data, 0 when there are none yet.
func (s site) version() (int, error) {
	file := filepath.Join(s.data(), "PG_VERSION")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: start it as the user who made it, or choose another directory", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s holds %q and not a version: delete the directory to start afresh", file, text)
	}
	return major, nil
}

// settle makes the home ready: where it was, or for a new cluster in its directory if the account can get there and
// otherwise in a directory of the system named after it.
func (s *site) settle(cfg Config, user *account.Account, bin binaries) error {
	if s.home == s.dir && (exists(s.data()) || reaches(user, s.dir, bin)) {
		return nil
	}
	if s.home == s.dir {
		s.home = elsewhere(cfg)
		cfg.Progress(fmt.Sprintf("The files of PostgreSQL go to %s: %s cannot enter %s.", s.home, user.Name, s.dir))
		if err := discard(s.home); err != nil {
			return err
		}
		if err := os.Symlink(s.home, s.pointer()); err != nil {
			return fmt.Errorf("note where the cluster is: %w", err)
		}
	}
	if err := os.Mkdir(s.home, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkOurs(s.home)
}

// elsewhere names the home of a cluster outside its directory. Data that are to last keep clear of the temporary
// directories, where the system deletes files one by one as they age.
func elsewhere(cfg Config) string {
	base := os.TempDir()
	if cfg.Durable && exists("/var/lib") {
		base = "/var/lib"
	}
	return filepath.Join(base, nameOf(cfg.Dir))
}

// nameOf is a short name for a path, the same each time.
func nameOf(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "nself-" + hex.EncodeToString(sum[:6])
}

// discard deletes the home of a cluster whose directory was deleted: nothing points at it any more.
func discard(home string) error {
	if !exists(home) {
		return nil
	}
	if err := checkOurs(home); err != nil {
		return err
	}
	if err := stopLeftovers(filepath.Join(home, "data")); err != nil {
		return err
	}
	return os.RemoveAll(home)
}

// checkOurs refuses a directory that another user made under the name we would choose.
func checkOurs(home string) error {
	info, err := os.Lstat(home)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that we alone can write: delete it", home)
	}
	return nil
}

// secret reads the key that passwords are derived from, or makes it for a new cluster.
func (s site) secret() ([]byte, error) {
	file := filepath.Join(s.home, "secret")
	text, err := os.ReadFile(file)
	if err == nil {
		return text, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if exists(s.data()) {
		return nil, fmt.Errorf("%s is gone, and with it the passwords: delete the directory to start afresh", file)
	}
	secret := []byte(rand.Text() + rand.Text())
	fresh := file + ".new"
	if err := os.WriteFile(fresh, secret, 0o600); err != nil {
		return nil, err
	}
	return secret, os.Rename(fresh, file)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
