package dev_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/dev"
)

// start runs everything in dir until the returned function is called.
func start(t testing.TB, dir string) (*dev.Environment, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan *dev.Environment, 1), make(chan error, 1)
	go func() {
		done <- dev.Run(ctx, dev.Options{
			DataDir: dir, Log: io.Discard, Progress: func(string) {}, Ready: func(e *dev.Environment) { ready <- e },
		})
	}()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	select {
	case e := <-ready:
		return e, stop
	case err := <-done:
		t.Fatalf("it did not start: %v", err)
	case <-time.After(60 * time.Second):
		t.Fatal("it is not ready after a minute")
	}
	return nil, nil
}

func status(t testing.TB, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestTheSameDataServesAgainWithTheSameTenantsAndSecrets(t *testing.T) {
	t.Parallel() // they wait more than they work
	dir := filepath.Join(t.TempDir(), "with space")
	first, stop := start(t, dir)
	if got := status(t, first.Get("SERVER_URL")+"/readyz"); got != http.StatusOK {
		t.Errorf("readyz answers %d", got)
	}
	used := demoUsage(t, first)
	if used != "acme api_requests 1234, acme compute_hours 12.5, acme storage 8022654976, acme users 4, techco api_requests 420, techco compute_hours 0.75, techco storage 14336, techco users 4" {
		t.Errorf("the demo tenants have used %s", used)
	}
	stop()
	second, stop := start(t, dir)
	defer stop()
	if again := demoUsage(t, second); again != used {
		t.Errorf("and after another start %s", again)
	}
	for _, name := range []string{"ACME_TENANT_ID", "TECHCO_GUEST_ID", "HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET"} {
		if first.Get(name) == "" || first.Get(name) != second.Get(name) {
			t.Errorf("%s was %q and is %q", name, first.Get(name), second.Get(name))
		}
	}
}

// demoUsage is what the demo tenants have used.
func demoUsage(t *testing.T, e *dev.Environment) (used string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.Get("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	const sql = `SELECT string_agg(n.slug || ' ' || t.meter || ' ' || trim_scale(t.used), ', ' ORDER BY n.slug, t.meter)
		FROM billing.usage_totals t JOIN tenants.tenants n ON n.id = t.tenant_id`
	if err := conn.QueryRow(t.Context(), sql).Scan(&used); err != nil {
		t.Fatal(err)
	}
	return used
}

func TestDevEnvHoldsWhatANewcomerNeedsForTheirEyesOnly(t *testing.T) {
	t.Parallel() // they wait more than they work
	e, stop := start(t, t.TempDir())
	defer stop()
	text, err := os.ReadFile(e.File)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	names := []string{"GRAPHQL_ENDPOINT", "SERVER_URL", "DATABASE_URL", "APP_DATABASE_URL", "HASURA_DATABASE_URL", "HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET"}
	for _, tenant := range []string{"ACME", "TECHCO"} {
		names = append(names, tenant+"_TENANT_ID")
		for _, role := range []string{"OWNER", "ADMIN", "MEMBER", "GUEST"} {
			names = append(names, tenant+"_"+role+"_ID", tenant+"_"+role+"_TOKEN")
		}
	}
	for _, name := range names {
		if !strings.Contains("\n"+string(text), "\n"+name+"=") || e.Get(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTwoRunSideBySide(t *testing.T) {
	t.Parallel() // they wait more than they work
	one, stopOne := start(t, t.TempDir())
	defer stopOne()
	two, stopTwo := start(t, t.TempDir())
	defer stopTwo()
	if one.Get("SERVER_URL") == two.Get("SERVER_URL") || one.Get("DATABASE_URL") == two.Get("DATABASE_URL") {
		t.Error("they share a port")
	}
}

func TestASecondRunOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel() // they wait more than they work
	dir := t.TempDir()
	_, stop := start(t, dir)
	defer stop()
	err := dev.Run(t.Context(), dev.Options{DataDir: dir, Log: io.Discard, Progress: func(string) {}, Ready: func(*dev.Environment) {}})
	if err == nil {
		t.Error("two servers run on one database")
	}
}

func TestATakenPortIsSaidBeforeAnythingStarts(t *testing.T) {
	t.Parallel() // they wait more than they work
	e, stop := start(t, t.TempDir())
	defer stop()
	var port int
	for _, r := range e.Get("SERVER_URL")[strings.LastIndex(e.Get("SERVER_URL"), ":")+1:] {
		port = port*10 + int(r-'0')
	}
	err := dev.Run(t.Context(), dev.Options{Port: port, DataDir: t.TempDir(), Log: io.Discard, Progress: func(string) {}, Ready: func(*dev.Environment) {}})
	if err == nil || !strings.Contains(err.Error(), "--port") {
		t.Errorf("%v", err)
	}
}

func TestItEndsWhenItsPostgresDoes(t *testing.T) {
	t.Parallel() // they wait more than they work
	ready, done := make(chan *dev.Environment, 1), make(chan error, 1)
	go func() {
		done <- dev.Run(t.Context(), dev.Options{
			DataDir: t.TempDir(), Log: io.Discard, Progress: func(string) {}, Ready: func(e *dev.Environment) { ready <- e },
		})
	}()
	select {
	case e := <-ready:
		if err := syscall.Kill(postmaster(t, e), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	case err := <-done:
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("%v", err)
	}
}

// postmaster is the process id of the parent of a session's process.
func postmaster(t *testing.T, e *dev.Environment) (pid int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.Get("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var backend string
	if err := conn.QueryRow(t.Context(), `SELECT pg_backend_pid()::text`).Scan(&backend); err != nil {
		t.Fatal(err)
	}
	parent, err := exec.CommandContext(t.Context(), "ps", "-o", "ppid=", "-p", backend).Output()
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(parent))); err != nil {
		t.Fatal(err)
	}
	return pid
}

// BenchmarkStart measures from nothing to ready, and from data of an earlier run.
func BenchmarkStart(b *testing.B) {
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			_, stop := start(b, b.TempDir())
			stop()
		}
	})
	b.Run("again", func(b *testing.B) {
		dir := b.TempDir()
		_, stop := start(b, dir)
		stop()
		for b.Loop() {
			_, stop := start(b, dir)
			stop()
		}
	})
}
