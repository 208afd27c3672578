package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// generate runs gen-env.sh in a copy of its place and returns the path of its .env.
func generate(t *testing.T) (string, func() error) {
	t.Helper()
	top := t.TempDir()
	script, err := os.ReadFile("gen-env.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(top, "deploy"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(top, "deploy", "gen-env.sh")
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func() error { return exec.CommandContext(t.Context(), path).Run() }
	if err := run(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(top, ".env"), run
}

// generated are the lines NAME=value of a .env that gen-env.sh has written.
func generated(t *testing.T) []string {
	t.Helper()
	path, _ := generate(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestGeneratedSecretsAreForTheOwnersEyes(t *testing.T) {
	path, _ := generate(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf(".env has the mode %o", mode)
	}
}

func TestGeneratedSecretsAreLongAndNeverTheSame(t *testing.T) {
	seen := map[string]string{}
	for _, line := range append(generated(t), generated(t)...) {
		name, value, _ := strings.Cut(line, "=")
		if len(value) < 40 {
			t.Errorf("%s has %d characters", name, len(value))
		}
		if other, twice := seen[value]; twice {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[value] = name
	}
}

func TestSecretsAreNotGeneratedTwice(t *testing.T) {
	path, again := generate(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again() == nil {
		t.Error("the second run did not fail")
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the second run changed .env")
	}
}

// A .env that an older version wrote, or a person: what is in it stays to the letter.
func TestSecretsThatAreLackingAreAdded(t *testing.T) {
	path, again := generate(t)
	whole := names(generated(t))
	const before = "# by hand\nREDIS_PASSWORD=\nexport S3_SECRET_ACCESS_KEY=mine\nPOSTGRES_PASSWORD=old\nBASE_DOMAIN=example.com" // and no end of the line
	if err := os.WriteFile(path, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	added, kept := strings.CutPrefix(string(text), before+"\n")
	if !kept {
		t.Fatalf("changed:\n%s", text)
	}
	want := slices.DeleteFunc(whole, func(name string) bool { return name == "S3_SECRET_ACCESS_KEY" || name == "POSTGRES_PASSWORD" })
	if diff := cmp.Diff(want, names(strings.Split(strings.TrimSpace(added), "\n"))); diff != "" {
		t.Errorf("added:\n%s", diff)
	}
	if again() == nil {
		t.Error("nothing was lacking, and the third run did not fail")
	}
}

func names(lines []string) []string {
	found := make([]string, len(lines))
	for i, line := range lines {
		found[i], _, _ = strings.Cut(line, "=")
	}
	slices.Sort(found)
	return found
}
