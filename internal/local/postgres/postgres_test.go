package postgres

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/local/account"
)

func TestStopLeavesNoProcessAndIsIdempotent(t *testing.T) {
	c := mustStart(t, newDir(t))
	mustConnect(t, c.SuperuserURL("postgres")) // an open session does not hold up the end
	if running, err := processesOn(c.site.data()); err != nil || len(running) < 2 {
		t.Fatalf("a running server shows processes %v, %v", running, err)
	}
	mustStop(t, c)
	mustStop(t, c)
	if left, err := processesOn(c.site.data()); err != nil || len(left) > 0 {
		t.Fatalf("processes left: %v, %v", left, err)
	}
}

func TestRestartKeepsRowsPortAndPasswords(t *testing.T) {
	dir := newDir(t)
	first := mustStart(t, dir)
	plant(t, first)
	mustStop(t, first)
	second := mustStart(t, dir)
	wantPlanted(t, second)
	if diff := cmp.Diff(first.SuperuserURL("postgres"), second.SuperuserURL("postgres")); diff != "" {
		t.Error(diff)
	}
}

func TestClusterSpeaksUTF8AndSortsByCodePoint(t *testing.T) {
	c := mustStart(t, newDir(t))
	conn := mustConnect(t, c.SuperuserURL("postgres"))
	rows, err := conn.Query(t.Context(), `select current_setting(name) from unnest(array['server_encoding', 'lc_collate',
		'listen_addresses', 'unix_socket_directories', 'TimeZone', 'fsync']) as name`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"UTF8", "C", "127.0.0.1", "", "UTC", "off"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDurableClusterSyncs(t *testing.T) {
	c, err := Start(t.Context(), Config{Dir: newDir(t), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer mustStop(t, c)
	var fsync, commit string
	conn := mustConnect(t, c.SuperuserURL("postgres"))
	err = conn.QueryRow(t.Context(), `select current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit)
	if err != nil || fsync != "on" || commit != "on" {
		t.Fatalf("fsync %s, synchronous_commit %s, %v", fsync, commit, err)
	}
}

func TestEveryWayInAsksForThePassword(t *testing.T) {
	c := mustStart(t, newDir(t))
	wrong := strings.Replace(c.SuperuserURL("postgres"), c.Password(superuser), c.Password("nself_app"), 1)
	var refusal *pgconn.PgError
	if _, err := pgx.Connect(t.Context(), wrong); !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("a wrong password: %v", err)
	}
	conn := mustConnect(t, c.SuperuserURL("postgres"))
	rows, err := conn.Query(t.Context(), `select distinct auth_method from pg_hba_file_rules`)
	if err != nil {
		t.Fatal(err)
	}
	methods, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"scram-sha-256"}, methods); diff != "" {
		t.Error(diff)
	}
}

func TestSecretIsForItsOwnerAlone(t *testing.T) {
	c := mustStart(t, newDir(t))
	info, err := os.Stat(filepath.Join(c.site.home, "secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode of the secret: %v, %v", info.Mode(), err)
	}
	if unfinished, _ := filepath.Glob(filepath.Join(c.site.home, "init-*")); len(unfinished) > 0 {
		t.Errorf("left with the superuser's password: %v", unfinished)
	}
}

func TestServerIsOutOfReachOfTheTerminal(t *testing.T) {
	c := mustStart(t, newDir(t))
	group, err := syscall.Getpgid(c.server.cmd.Process.Pid)
	if err != nil || group == syscall.Getpgrp() {
		t.Fatalf("the server is in process group %d, as we are; %v", group, err)
	}
}

func TestTwoClustersSideBySide(t *testing.T) {
	one, other := mustStart(t, newDir(t)), mustStart(t, newDir(t))
	plant(t, one)
	plant(t, other)
	mustStop(t, one)
	wantPlanted(t, other)
}

func TestTakenPort(t *testing.T) {
	dir := newDir(t)
	first := mustStart(t, dir)
	mustStop(t, first)
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(first.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	_, err = Start(t.Context(), Config{Dir: dir, Port: first.Port()})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(first.Port())) {
		t.Errorf("a port asked for that is taken: %v", err)
	}
	second := mustStart(t, dir)
	if second.Port() == first.Port() {
		t.Error("the remembered port is taken, and was chosen")
	}
	mustExec(t, second.SuperuserURL("postgres"), `select`)
}

func TestFailedStartCarriesTheLog(t *testing.T) {
	dir := newDir(t)
	c := mustStart(t, dir)
	mustStop(t, c)
	settings := filepath.Join(c.site.data(), "postgresql.conf")
	if err := os.WriteFile(settings, []byte("no_such_setting = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Fatalf("error: %v", err)
	}
	wantNoProcess(t, c.site.data())
}

func TestStartsAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		c := mustStart(t, newDir(t))
		plant(t, c)
		mustStop(t, c)
		return
	}
	binary := filepath.Join(newDir(t), "test")
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, content, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run=^TestStartsAsAnOrdinaryUser$", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = (&account.Account{UID: 65534, GID: 65534}).ChildAttr(syscall.SIGKILL)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestStartsAsAnOrdinaryUser") {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
}
