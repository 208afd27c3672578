package postgres

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// holderVariable makes the test binary a process that starts a cluster in the directory it names and holds it.
const holderVariable = "NSELF_TEST_HOLD_CLUSTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderVariable); dir != "" {
		hold(dir)
		return
	}
	os.Exit(m.Run())
}

// hold prints each step of the start, then that it is ready, and waits to be killed.
func hold(dir string) {
	progress := func(line string) { fmt.Println(line) }
	c, err := Start(context.Background(), Config{Dir: dir, Progress: progress})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready", c.Port())
	select {}
}

// startHolder runs a holder of dir until it prints a line that begins with the words.
func startHolder(t *testing.T, dir, words string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, cmd) })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), words) {
			return cmd
		}
	}
	t.Fatalf("the holder ended before it printed %q", words)
	return nil
}

// kill ends a holder without a chance to tidy up.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState != nil {
		return
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

// newDir is a directory that the account of the servers can enter; what is in it is removed in the end.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(Scratch(), "nself-postgres-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, dir)
	return dir
}

func removeAfter(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
}

func mustStart(t *testing.T, dir string) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

func mustStop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
}

func mustExec(t *testing.T, url, statement string) {
	t.Helper()
	conn := mustConnect(t, url)
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func mustConnect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// plant leaves a row that wantPlanted looks for after a restart.
func plant(t *testing.T, c *Cluster) {
	t.Helper()
	mustExec(t, c.SuperuserURL("postgres"), `create table planted as select 42 as answer`)
}

func wantPlanted(t *testing.T, c *Cluster) {
	t.Helper()
	var answer int
	conn := mustConnect(t, c.SuperuserURL("postgres"))
	if err := conn.QueryRow(t.Context(), `select answer from planted`).Scan(&answer); err != nil || answer != 42 {
		t.Fatalf("the planted row: %d, %v", answer, err)
	}
}

// wantNoProcess fails if a process on the data is still there when a server has had all the time it needs to end.
func wantNoProcess(t *testing.T, data string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		left, err := processesOn(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v are left on %s", left, data)
		}
		time.Sleep(pollEvery)
	}
}
