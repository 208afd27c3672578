package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func settings(url string, port int) func(string) string {
	values := map[string]string{
		"DATABASE_URL": url, "PORT": fmt.Sprint(port), "NSELF_WEBHOOK_SECRET": "a-webhook-secret-for-tests",
		"NSELF_ENCRYPTION_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)), "LOG_LEVEL": "error",
	}
	return func(name string) string { return values[name] }
}

func TestServeAnswersAndDrainsWhenItIsStopped(t *testing.T) {
	port := freePort(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"serve"}, settings(pgtest.Database(t).URL("nself_server"), port), io.Discard, io.Discard)
	}()
	url := fmt.Sprintf("http://127.0.0.1:%d/readyz", port)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(url)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("never ready: %v", err)
		}
	}
	finish := half(t, port)
	stop()
	if answer := finish(); !strings.HasPrefix(answer, "HTTP/1.1 200 OK") {
		t.Errorf("the request under way was answered %q", answer)
	}
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the port is still open")
	}
}

// half sends half a request, so that it is under way, and returns how to send the rest
// and read the answer.
func half(t *testing.T, port int) (finish func() string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"action":{"name":"myTenants"},"input":{},"session_variables":{"x-hasura-role":"admin"}}`
	head := fmt.Sprintf("POST /actions/myTenants HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: a-webhook-secret-for-tests\r\n"+
		"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err) // the server is reading the body: the request is under way
	}
	return func() string {
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, body); err != nil {
			t.Error(err)
		}
		rest, err := io.ReadAll(answers)
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(rest))
	}
}

func TestServeRefusesARoleThatRowSecurityDoesNotBind(t *testing.T) {
	db := pgtest.Database(t)
	err := run(t.Context(), []string{"serve"}, settings(db.URL("postgres"), freePort(t)), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "bypasses row-level security") {
		t.Errorf("as a superuser: %v", err)
	}
	err = run(t.Context(), []string{"serve"}, settings(db.URL("nself_app"), freePort(t)), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "nself_tenant") {
		t.Errorf("as nself_app: %v", err)
	}
}

func TestServeRefusesAnotherEncryptionKeyThanTheDatabases(t *testing.T) {
	db := pgtest.Database(t)
	minter, err := token.New(token.Config{Algorithm: "ES256", EncryptionKey: bytes.Repeat([]byte{9}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if err := minter.EnsureKey(t.Context(), db.Pool(t, "nself_server")); err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), []string{"serve"}, settings(db.URL("nself_server"), freePort(t)), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "NSELF_ENCRYPTION_KEY") {
		t.Errorf("%v", err)
	}
}

func TestAServerAheadOfItsSchemaIsNotReadyAndTellsStrangersLittle(t *testing.T) {
	db := pgtest.Database(t)
	load := settings(db.URL("nself_server"), freePort(t))
	values, err := config.Load[config.Server](load)
	if err != nil {
		t.Fatal(err)
	}
	server, err := app.New(t.Context(), values, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer server.DB.Close()
	ready := func() (int, string) {
		w := httptest.NewRecorder()
		server.Router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	if _, err := db.Superuser(t).Exec(t.Context(), `DELETE FROM nself.schema_migrations WHERE version = (SELECT max(version) FROM nself.schema_migrations)`); err != nil {
		t.Fatal(err)
	}
	if code, text := ready(); code != http.StatusServiceUnavailable || !strings.Contains(text, "1 pending") {
		t.Errorf("with a migration pending: %d %s", code, text)
	}
	server.DB.Close()
	if code, text := ready(); code != http.StatusServiceUnavailable || strings.Contains(text, "nself_server") || strings.Contains(text, "closed pool") {
		t.Errorf("without a database: %d %s", code, text)
	}
}

func TestServeNamesEveryMissingSetting(t *testing.T) {
	err := run(t.Context(), []string{"serve"}, func(string) string { return "" }, io.Discard, io.Discard)
	for _, name := range []string{"DATABASE_URL", "NSELF_WEBHOOK_SECRET", "NSELF_ENCRYPTION_KEY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestMigrateSaysWhatItDid(t *testing.T) {
	url := pgtest.Empty(t).URL("postgres")
	for i, want := range []string{"applied 1795392000000_ledger_and_roles", "the database is up to date"} {
		var out strings.Builder
		if err := run(t.Context(), []string{"migrate"}, settings(url, 0), &out, io.Discard); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("run %d: %v\n%s", i+1, err, out.String())
		}
	}
}
