package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// privateDir is below a directory that no other user can enter.
func privateDir(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	if err := os.Chmod(base, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "cluster")
	removeAfter(t, dir)
	return dir
}

func TestUnreachableDirectoryWorksAndIsFoundAgain(t *testing.T) {
	dir := privateDir(t)
	first := mustStart(t, dir)
	if outside := first.site.home != dir; outside != (os.Geteuid() == 0) {
		t.Errorf("the files are in %s", first.site.home)
	}
	plant(t, first)
	mustStop(t, first)
	second := mustStart(t, dir)
	wantPlanted(t, second)
	mustStop(t, second)
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory that is not ours was changed to %v, %v", info.Mode(), err)
	}
	if err := Remove(dir); err != nil || exists(second.site.home) || exists(dir) {
		t.Errorf("removed, with its files in %s: %v", second.site.home, err)
	}
}

func TestDeletedDirectoryStartsAfresh(t *testing.T) {
	dir := privateDir(t)
	first := mustStart(t, dir)
	plant(t, first)
	mustStop(t, first)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	plant(t, mustStart(t, dir))
}

func TestRelativeDirectoryIsTheSameDirectory(t *testing.T) {
	dir := newDir(t)
	mustStop(t, mustStart(t, dir))
	t.Chdir(filepath.Dir(dir))
	if c := mustStart(t, filepath.Base(dir)); c.cfg.Dir != dir {
		t.Errorf("%s is taken for %s", dir, c.cfg.Dir)
	}
}

func TestLostSecretIsSaid(t *testing.T) {
	dir := newDir(t)
	c := mustStart(t, dir)
	mustStop(t, c)
	if err := os.Remove(filepath.Join(c.site.home, "secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "secret is gone") {
		t.Fatalf("error: %v", err)
	}
}

func TestHomeThatOthersCanWriteIsRefused(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkOurs(home); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := checkOurs(home); err == nil {
		t.Error("a directory that all can write is taken for ours")
	}
	link := home + "-link"
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := checkOurs(link); err == nil {
		t.Error("a symbolic link is taken for our directory")
	}
}
