package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
