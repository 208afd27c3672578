package goinstall

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

var mock = Program{Module: "github.com/stripe/stripe-mock", Version: "v0.148.0"}

func TestAProgramOfAnotherMakeIsNotTakenForIt(t *testing.T) {
	script := filepath.Join(t.TempDir(), "stripe-mock")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho v0.148.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if path, ok := (search{Program: mock, paths: []string{script, self, script + "-missing"}}).look(); ok {
		t.Errorf("%s is taken for stripe-mock", path)
	}
}

func TestAMissingProgramIsOneSentenceOnHowToInstall(t *testing.T) {
	_, err := search{Program: mock}.find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "go install github.com/stripe/stripe-mock@v0.148.0") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error: %v", err)
	}
}

func TestAMissingProgramIsBuiltOnceByThoseWhoMissItTogether(t *testing.T) {
	found, err := mock.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, builds := t.TempDir(), make(chan string, 4)
	s := search{Program: mock, dir: dir, compile: func(_ context.Context, into string) error {
		builds <- into
		return os.Symlink(found, filepath.Join(into, "stripe-mock"))
	}}
	s.paths = []string{s.built()}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			path, err := s.find(t.Context())
			if err == nil && path != s.built() {
				return errors.New("found " + path)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(builds) != 1 {
		t.Errorf("built %d times", len(builds))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAProgramIsNamedAsItsPackageIs(t *testing.T) {
	p := Program{Module: "example.com/gate", Command: "cmd/gated", Version: "v1.2.3"}
	_, err := search{Program: p}.find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "go install example.com/gate/cmd/gated@v1.2.3") {
		t.Errorf("error: %v", err)
	}
	if got := (search{Program: p, dir: "bin"}).built(); got != "bin/gated-v1.2.3" {
		t.Errorf("built as %s", got)
	}
}

func TestABuildThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	_, err := search{Program: mock, dir: dir, compile: func(context.Context, string) error { return errors.New("no network") }}.find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("error: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
