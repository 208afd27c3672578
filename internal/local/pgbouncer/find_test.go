package pgbouncer

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nself/tenancy/internal/local/apt"
)

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestVersionsAreReadAndDecideWhatIsAsked(t *testing.T) {
	for text, want := range map[string]struct {
		version
		follows bool
		quick   syscall.Signal
	}{
		"PgBouncer 1.18.0\nlibevent 2.1.12-stable\n": {version{1, 18}, false, syscall.SIGTERM},
		"PgBouncer 1.21.0\n":                         {version{1, 21}, true, syscall.SIGTERM},
		"PgBouncer 1.23.1":                           {version{1, 23}, true, syscall.SIGQUIT},
		"PgBouncer 2.0.0":                            {version{2, 0}, true, syscall.SIGQUIT},
	} {
		got, err := parseVersion(text)
		if err != nil || got != want.version || got.followsPrepared() != want.follows || got.quickEnd() != want.quick {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "PgBouncer", "PgBouncer x.y", "pgpool 4.1", "PgBouncer 1.y"} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestAMissingProgramIsOneSentenceOnHowToInstall(t *testing.T) {
	_, err := start(t.Context(), Config{URLs: []string{"postgres://a:b@h:1/d"}}, search{dirs: []string{t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "apt-get install pgbouncer") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error: %v", err)
	}
}

func TestAMissingProgramIsInstalledWithoutStartingABouncerOfTheSystem(t *testing.T) {
	dir := t.TempDir()
	policy, program := filepath.Join(dir, "policy-rc.d"), filepath.Join(dir, "pgbouncer")
	aptGet := filepath.Join(dir, "apt-get")
	script(t, aptGet, `test "$1" = update && exit; `+policy+` && exit 1
printf '#!/bin/sh\necho PgBouncer 1.22.0\n' > `+program+` && chmod 755 `+program)
	programs := search{dirs: []string{"relative", dir}, installer: &apt.Installer{Program: aptGet}, policy: policy}
	found, err := programs.find(t.Context())
	if err != nil || found != (binary{program, version{1, 22}}) {
		t.Errorf("found %v, %v", found, err)
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
