package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakePrograms puts programs below root that say they are of a version.
func fakePrograms(t *testing.T, root, version string) string {
	t.Helper()
	dir := filepath.Join(root, version, "bin")
	script(t, filepath.Join(dir, "postgres"), fmt.Sprintf("echo 'postgres (PostgreSQL) %s'", version))
	script(t, filepath.Join(dir, "initdb"), "exit 1")
	return dir
}

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func silent(string) {}

func TestFindPrefersPathThenPgConfigThenTheNewest(t *testing.T) {
	packages, elsewhere, tools := t.TempDir(), t.TempDir(), t.TempDir()
	globs := []string{filepath.Join(packages, "*", "bin")}
	newest := fakePrograms(t, packages, "17.2 (Debian 17.2-1)")
	fakePrograms(t, packages, "9.6.24")
	fakePrograms(t, packages, "16.1")
	onPath := fakePrograms(t, elsewhere, "15.4")
	configured := fakePrograms(t, elsewhere, "18beta1")
	script(t, filepath.Join(tools, "pg_config"), `test "$1" = --bindir && echo '`+configured+`'`)

	tests := []struct {
		name, path string
		want       binaries
	}{
		{"programs on the path", onPath + ":" + tools, binaries{onPath, 15}},
		{"pg_config on the path", "relative:" + tools, binaries{configured, 18}},
		{"packages", t.TempDir(), binaries{newest, 17}},
	}
	for _, test := range tests {
		got, err := search{path: test.path, globs: globs}.find(t.Context(), 0, silent)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(binaries{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestFindKeepsToTheVersionOfTheData(t *testing.T) {
	packages := t.TempDir()
	old := fakePrograms(t, packages, "15.4")
	fakePrograms(t, packages, "17.2")
	programs := search{globs: []string{filepath.Join(packages, "*", "bin")}}
	if got, err := programs.find(t.Context(), 15, silent); err != nil || got.dir != old {
		t.Errorf("data of 15: %v, %v", got, err)
	}
	if _, err := programs.find(t.Context(), 16, silent); err == nil || !strings.Contains(err.Error(), "PostgreSQL 16") {
		t.Errorf("data of 16: %v", err)
	}
}

func TestMissingProgramsAreOneSentenceOnHowToInstall(t *testing.T) {
	old := t.TempDir()
	fakePrograms(t, old, "14.9")
	for _, programs := range []search{
		{path: t.TempDir()},
		{globs: []string{filepath.Join(old, "*", "bin")}},
	} {
		dir := t.TempDir()
		_, err := start(t.Context(), Config{Dir: dir}, programs)
		if err == nil {
			t.Fatal("started without programs")
		}
		for _, words := range []string{"PostgreSQL 15 or newer was not found", "apt-get install", "dnf install", "brew install"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%q does not say %q", err, words)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a sentence: %q", err)
		}
	}
}

func TestMissingProgramsAreInstalledWithoutAClusterOfTheirOwn(t *testing.T) {
	root := t.TempDir()
	conf := filepath.Join(root, "createcluster.d")
	called := filepath.Join(root, "called")
	aptGet := filepath.Join(root, "apt-get")
	installed := fakePrograms(t, filepath.Join(root, "package"), "15.4")
	script(t, aptGet, `echo "$DEBIAN_FRONTEND $*" >> `+called+`
cat `+conf+`/* >> `+called+`
test "$1" = update || cp -r `+filepath.Join(root, "package")+` `+filepath.Join(root, "usr"))
	programs := search{globs: []string{filepath.Join(root, "usr", "*", "bin")}, apt: &apt{program: aptGet, conf: conf}}

	var progress []string
	got, err := programs.find(t.Context(), 0, func(line string) { progress = append(progress, line) })
	if err != nil || got.dir != strings.Replace(installed, "/package/", "/usr/", 1) {
		t.Fatalf("found %v, %v", got, err)
	}
	if len(progress) != 1 {
		t.Errorf("progress: %q", progress)
	}
	log, err := os.ReadFile(called)
	if err != nil {
		t.Fatal(err)
	}
	want := `noninteractive update
create_main_cluster = false
noninteractive install -y --no-install-recommends postgresql
create_main_cluster = false
`
	if diff := cmp.Diff(want, string(log)); diff != "" {
		t.Error(diff)
	}
	if left, _ := os.ReadDir(conf); len(left) > 0 {
		t.Errorf("left in the system's settings: %v", left)
	}
}

func TestFailedInstallSaysWhy(t *testing.T) {
	root := t.TempDir()
	aptGet := filepath.Join(root, "apt-get")
	script(t, aptGet, `echo "no network for $1"; exit 100`)
	programs := search{apt: &apt{program: aptGet, conf: root}}
	_, err := programs.find(t.Context(), 0, silent)
	for _, words := range []string{"no network for update", "no network for install"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v does not say %q", err, words)
		}
	}
}
