package redis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/apt"
)

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAMissingProgramIsOneSentenceOnHowToInstall(t *testing.T) {
	_, err := start(t.Context(), search{dirs: []string{t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error: %v", err)
	}
}

func TestAProgramOfAnotherMakeIsNotTakenForRedis(t *testing.T) {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "redis-server"), "echo Something else v=1.0")
	if path, ok := (search{dirs: []string{dir}}).look(t.Context()); ok {
		t.Errorf("%s is taken for Redis", path)
	}
}

func TestAMissingProgramIsInstalledWithoutStartingAServerOfTheSystem(t *testing.T) {
	dir := t.TempDir()
	policy, program := filepath.Join(dir, "policy-rc.d"), filepath.Join(dir, "redis-server")
	aptGet := filepath.Join(dir, "apt-get")
	script(t, aptGet, `test "$1" = update && exit; `+policy+` && exit 1
printf '#!/bin/sh\necho Redis server v=7.0.15 sha=0\n' > `+program+` && chmod 755 `+program)
	programs := search{dirs: []string{"relative", dir}, installer: &apt.Installer{Program: aptGet}, policy: policy}
	found, err := programs.find(t.Context())
	if err != nil || found != program {
		t.Errorf("found %q, %v", found, err)
	}
	if _, err := os.Stat(policy); !os.IsNotExist(err) {
		t.Errorf("the policy is left: %v", err)
	}
}

func TestAPolicyOfTheSystemStands(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy-rc.d")
	script(t, policy, "exit 101")
	if p := (search{policy: policy}).debian(); p.During != nil {
		t.Errorf("%s would be replaced", policy)
	}
}

func TestAServerThatEndsAsItStartsIsToldWithItsLog(t *testing.T) {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "redis-server"), `test "$1" = --version && { echo "Redis server v=0"; exit; }; echo "bad luck"; exit 1`)
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) { // the server's account has to pass
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := start(t.Context(), search{dirs: []string{dir}})
	if err == nil || !strings.Contains(err.Error(), "it ended as it started") || !strings.Contains(err.Error(), "bad luck") {
		t.Errorf("error: %v", err)
	}
}
