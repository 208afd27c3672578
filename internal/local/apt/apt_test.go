package apt

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aptGet is a program in the place of apt-get: what is installed is the machine's, and a test does not change that.
func aptGet(t *testing.T, body string) Installer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apt-get")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Installer{Program: path}
}

func never() bool { return false }

func TestTheFileIsThereWhileThePackageIsInstalledAndGoneAfterwards(t *testing.T) {
	dir := t.TempDir()
	file := &File{Path: filepath.Join(dir, "deep", "drop-in"), Text: "quiet\n", Mode: 0o755}
	called := filepath.Join(dir, "called")
	installer := aptGet(t, `echo "$DEBIAN_FRONTEND $*" >>`+called+`; cat `+file.Path+` >>`+called+`; test -x `+file.Path)
	if err := installer.Install(t.Context(), Package{Title: "Thing", Name: "thing", During: file}, never); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(called)
	if err != nil {
		t.Fatal(err)
	}
	want := "noninteractive update\nquiet\nnoninteractive install -y --no-install-recommends thing\nquiet\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(file.Path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestAFailedInstallationSaysWhyInTheLastLines(t *testing.T) {
	installer := aptGet(t, `seq 1 5000; echo "no network for $1"; exit 100`)
	err := installer.Install(t.Context(), Package{Title: "Thing", Name: "thing"}, never)
	for _, words := range []string{"install Thing: apt-get update", "no network for update", "no network for install"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v does not say %q", err, words)
		}
	}
	if err != nil && len(err.Error()) > 2*outputKept+500 {
		t.Errorf("the error is %d bytes long", len(err.Error()))
	}
}

func TestListsThatCannotBeRefreshedMayDo(t *testing.T) {
	installer := aptGet(t, `test "$1" = install`)
	if err := installer.Install(t.Context(), Package{Title: "Thing", Name: "thing"}, never); err != nil {
		t.Error(err)
	}
}

func TestOneInstallsAndTheOthersFindItDone(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "installed")
	installer := aptGet(t, `test "$1" = update || { test ! -e `+mark+` && sleep 0.1 && touch `+mark+`; }`)
	there := func() bool { _, err := os.Stat(mark); return err == nil }
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if err := installer.Install(t.Context(), Package{Title: "Thing", Name: "thing"}, there); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
