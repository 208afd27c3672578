package acceptance

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Settings are all checked before anything is reached for, and every fault is
// told at once with its name.
func TestEveryWrongSettingIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	serve := func(settings ...string) string {
		cmd := exec.CommandContext(t.Context(), path, "serve")
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, settings...)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%v was served", settings)
		}
		return string(out)
	}
	out := serve("DATABASE_URL=mysql://x", "NSELF_WEBHOOK_SECRET=short", "NSELF_ENCRYPTION_KEY=x", "PORT=none", "TENANT_STRATEGY=cloud", "JWT_ALGORITHM=HS256", "LOG_LEVEL=loud")
	for _, name := range []string{"DATABASE_URL", "NSELF_WEBHOOK_SECRET", "NSELF_ENCRYPTION_KEY", "PORT", "TENANT_STRATEGY", "JWT_ALGORITHM", "LOG_LEVEL"} {
		if !strings.Contains(out, name) {
			t.Errorf("nothing is said of %s:\n%s", name, out)
		}
	}
	if strings.Contains(out, "slog.") || strings.Count(out, "PORT") > 1 {
		t.Errorf("the faults are told in the program's words, or twice:\n%s", out)
	}
	valid := []string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "NSELF_WEBHOOK_SECRET=0123456789abcdef0123", "NSELF_ENCRYPTION_KEY=ifX+p8tbu9FP9QmYMUGiV8gjcVHW5JBRwi4flwOHpWI="}
	if out := serve(valid...); !strings.Contains(out, "connect") {
		t.Fatalf("the valid settings are refused: %s", out)
	}
	for _, wrong := range []string{
		"PORT=0", "PORT=65536", "BASE_DOMAIN=a b", "BASE_DOMAIN=.example", "BASE_DOMAIN=https://example.com", "TENANT_SCHEMA_PREFIX=A-b", "TENANT_SCHEMA_PREFIX=pg_",
		"TENANT_RESTORE_DAYS=0", "TENANT_RESTORE_DAYS=999999999", "JWT_TTL=1s", "JWT_TTL=48h", "MAX_BODY_BYTES=0", "REQUEST_TIMEOUT=0s", "REQUEST_TIMEOUT=31s", "JWT_ISSUER= ",
	} {
		name, _, _ := strings.Cut(wrong, "=")
		if out := serve(append(valid, wrong)...); !strings.Contains(out, name) {
			t.Errorf("%s was not refused: %.120s", wrong, out)
		}
	}
}

// A database that is gone is told as such, by name of no role and no host, and
// the run does not go on as if nothing had happened.
func TestRunThatLosesItsDatabaseSaysSoAndEndsOrHeals(t *testing.T) {
	t.Parallel()
	r := start(t, place(t))
	settings := r.ready(t)
	database, err := url.Parse(settings["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range leftovers(t, r.dir) {
		if pid != r.cmd.Process.Pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	gone, ended := "", false
	eventually(t, "the run ends, heals or says that it is not ready", func() bool {
		resp, body := probe(settings["SERVER_URL"] + "/readyz")
		gone, ended = body, resp != http.StatusOK && resp != http.StatusServiceUnavailable
		return resp != http.StatusOK
	})
	for _, secret := range []string{"nself_server", database.Port(), "dial tcp"} {
		if !ended && strings.Contains(gone, secret) {
			t.Errorf("/readyz tells anyone %q: %s", secret, gone)
		}
	}
	eventually(t, "the run ends or heals", func() bool {
		status, _ := probe(settings["SERVER_URL"] + "/readyz")
		return status == http.StatusOK || status == 0
	})
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	r.end(t)
	wantNothingLeft(t, r.dir)
	again := start(t, r.dir)
	again.ready(t)
	again.signal(t, syscall.SIGTERM)
	again.end(t)
}

// probe gets a page; status 0 where nobody answers.
func probe(address string) (int, string) {
	resp, err := client.Get(address)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(text)
}
