package acceptance

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the server once for all process tests.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "server")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/server").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// run is one process of the server, or of something that starts it.
type run struct {
	cmd   *exec.Cmd
	dir   string
	out   logBook
	ended chan error // one value: how Wait ended
}

// place makes a directory for data that an unprivileged Postgres can reach.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acceptance-data")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// launch starts a command on a data directory; whatever it leaves behind when
// the test ends is killed.
func launch(t *testing.T, dir string, cmd *exec.Cmd) *run {
	t.Helper()
	r := &run{cmd: cmd, dir: dir, ended: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for _, pid := range leftovers(t, dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return r
}

func start(t *testing.T, dir string, more ...string) *run {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, dir, exec.Command(path, append([]string{"dev", "--port", "0", "--data-dir", dir}, more...)...))
}

// ready waits for /readyz and returns the settings of dev.env.
func (r *run) ready(t *testing.T) map[string]string {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-r.ended:
			t.Fatalf("ended before it was ready: %v\n%s", err, &r.out)
		default:
		}
		text, err := os.ReadFile(filepath.Join(r.dir, "dev.env"))
		if err != nil {
			continue
		}
		settings := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			settings[name] = value
		}
		if resp, err := client.Get(settings["SERVER_URL"] + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return settings
			}
		}
	}
	t.Fatal("never ready")
	return nil
}

// end waits for the process to go and returns its exit status.
func (r *run) end(t *testing.T) int {
	t.Helper()
	select {
	case err := <-r.ended:
		t.Logf("ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatalf("still runs 20 s after it was told to stop\n%s", &r.out)
	}
	return r.cmd.ProcessState.ExitCode()
}

func (r *run) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// leftovers lists the processes that name the directory or live in it.
func leftovers(t *testing.T, dir string) []int {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range processes {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if state, err := os.ReadFile(p + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			continue
		}
		words, _ := os.ReadFile(p + "/cmdline")
		home, _ := os.Readlink(p + "/cwd")
		if bytes.Contains(words, []byte(dir)) || strings.HasPrefix(home, dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func wantNothingLeft(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "every process of "+dir+" is gone", func() bool { return len(leftovers(t, dir)) == 0 })
}

// asOperator asks a running installation by its settings.
func asOperator(t *testing.T, settings map[string]string, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, settings["GRAPHQL_ENDPOINT"], strings.NewReader(fmt.Sprintf(`{"query": %q}`, query)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hasura-Admin-Secret", settings["HASURA_GRAPHQL_ADMIN_SECRET"])
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
