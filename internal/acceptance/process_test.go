package acceptance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSignalsLeaveNoProcessBehind(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			r := start(t, place(t))
			r.ready(t)
			r.signal(t, s)
			if code := r.end(t); code != 0 && s != syscall.SIGHUP {
				t.Errorf("exit status %d after %v:\n%s", code, s, &r.out)
			}
			wantNothingLeft(t, r.dir)
		})
	}
}

func TestSignalDuringTheStartLeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	r := start(t, place(t))
	eventually(t, "Postgres is being made", func() bool { return len(leftovers(t, r.dir)) > 1 })
	r.signal(t, syscall.SIGTERM)
	r.end(t)
	wantNothingLeft(t, r.dir)
	again := start(t, r.dir)
	again.ready(t)
	again.signal(t, syscall.SIGTERM)
	again.end(t)
	wantNothingLeft(t, r.dir)
}

func TestKilledRunStartsAgainWithoutRepairAndKeepsItsRows(t *testing.T) {
	t.Parallel()
	dir := place(t)
	first := start(t, dir)
	settings := first.ready(t)
	made := asOperator(t, settings, `mutation { createTenant(name: "Kept", slug: "kept", ownerUserId: "`+settings["ACME_GUEST_ID"]+`") { id } }`)
	first.signal(t, syscall.SIGKILL)
	first.end(t)
	wantNothingLeft(t, dir)
	second := start(t, dir)
	again := second.ready(t)
	kept := asOperator(t, again, `{ tenants(where: {slug: {_in: ["acme", "techco", "kept"]}}) { id } }`)
	if strings.Count(kept, `"id"`) != 3 {
		t.Errorf("after the kill there is %s, made was %s", kept, made)
	}
	for _, name := range []string{"ACME_TENANT_ID", "ACME_OWNER_ID", "HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET"} {
		if settings[name] != again[name] {
			t.Errorf("%s changed between two runs on the same data", name)
		}
	}
	third := start(t, dir)
	if code := third.end(t); code == 0 {
		t.Error("a second server ran on data in use")
	}
	wantOneSentence(t, third.out.String())
	if got := asOperator(t, again, `{ tenants { id } }`); strings.Contains(got, "errors") {
		t.Errorf("the first was hurt by the second: %s", got)
	}
	second.signal(t, syscall.SIGTERM)
	second.end(t)
	wantNothingLeft(t, dir)
}

// wantOneSentence demands that an error is one line a person can act on.
func wantOneSentence(t *testing.T, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	if len(last) < 20 || len(last) > 400 || strings.Contains(out, "goroutine") || strings.Contains(out, "Usage:") || strings.Contains(out, "panic") {
		t.Errorf("no sentence to act on:\n%s", out)
	}
}

func TestTwoRunsServeSideBySide(t *testing.T) {
	t.Parallel()
	base := place(t)
	// Names that a shell or a connection string would trip over.
	one, two := filepath.Join(base, "with spaces & 'quotes'", "data"), filepath.Join(base, "ünïcode $HOME %20 #x")
	first, second := start(t, one), start(t, two)
	a, b := first.ready(t), second.ready(t)
	if a["SERVER_URL"] == b["SERVER_URL"] || a["DATABASE_URL"] == b["DATABASE_URL"] || a["HASURA_GRAPHQL_ADMIN_SECRET"] == b["HASURA_GRAPHQL_ADMIN_SECRET"] {
		t.Error("two runs share an address or a secret")
	}
	asOperator(t, a, `mutation { updateTenant(tenant: "acme", name: "Changed") { id } }`)
	if got := asOperator(t, b, `{ tenants(where: {name: {_eq: "Changed"}}) { id } }`); strings.Contains(got, `"id"`) {
		t.Errorf("one run changed the other: %s", got)
	}
	for _, r := range []*run{first, second} {
		r.signal(t, syscall.SIGTERM)
		r.end(t)
	}
	wantNothingLeft(t, base)
}

func TestOccupiedPortIsOneSentenceAndLeavesNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	r := start(t, place(t), "--port", port)
	if code := r.end(t); code != 1 {
		t.Errorf("exit status %d", code)
	}
	wantOneSentence(t, r.out.String())
	if !strings.Contains(r.out.String(), port) {
		t.Errorf("the port is not named:\n%s", &r.out)
	}
	wantNothingLeft(t, r.dir)
}

func TestWrongOptionsAreRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	base := place(t)
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{
		{"dev", "--port", "abc"}, {"dev", "--port", "70000"}, {"dev", "--port", "-1"}, {"dev", "--nonsense"}, {"dev", "surplus"}, {"nonsense"},
		{"dev", "--data-dir", file}, {"dev", "--data-dir", filepath.Join(file, "under")},
	} {
		cmd := exec.Command(path, options...)
		cmd.Dir = base
		r := launch(t, base, cmd)
		if code := r.end(t); code == 0 {
			t.Errorf("%v was accepted", options)
		}
		if out := r.out.String(); len(out) < 10 || strings.Contains(out, "goroutine") {
			t.Errorf("%v: %s", options, out)
		}
	}
	wantNothingLeft(t, base)
}

// go run dies of SIGTERM without telling what it started.
func TestGoRunKilledBySIGTERMLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := place(t)
	cmd := exec.Command("go", "run", "./cmd/server", "dev", "--port", "0", "--data-dir", dir)
	cmd.Dir = "../.."
	r := launch(t, dir, cmd)
	r.ready(t)
	r.signal(t, syscall.SIGTERM)
	r.end(t)
	wantNothingLeft(t, dir)
}

func TestUnprivilegedUserRunsItFromAnyDirectory(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	home := place(t)
	cmd := exec.Command(path, "dev", "--port", "0") // the default directory, relative to where one stands
	cmd.Dir = home
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	r := launch(t, filepath.Join(home, ".nself"), cmd)
	settings := r.ready(t)
	if got := asOperator(t, settings, `{ tenants { id } }`); strings.Count(got, `"id"`) != 2 {
		t.Errorf("%s", got)
	}
	r.signal(t, syscall.SIGTERM)
	r.end(t)
	wantNothingLeft(t, home)
}

func TestPrivateParentDirectoryIsNoObstacle(t *testing.T) {
	t.Parallel()
	parent := place(t)
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, filepath.Join(parent, "data"))
	settings := r.ready(t)
	wantSettings(t, r.dir, settings)
	wantPage(t, r, settings)
	r.signal(t, syscall.SIGINT)
	r.end(t)
	wantNothingLeft(t, parent)
}
