package eventlog

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/metadata"
)

// patience bounds every wait of the tests; it is reached only where something is broken.
const patience = 30 * time.Second

// call is one delivery as the webhook saw it.
type call struct {
	header http.Header
	raw    []byte
	body   received
}

// received is the part of a delivery that tests look at one by one.
type received struct {
	ID    string
	Event struct {
		Op      string
		Data    struct{ Old, New any }
		Session any `json:"session_variables"`
	}
	DeliveryInfo struct {
		CurrentRetry int `json:"current_retry"`
		MaxRetries   int `json:"max_retries"`
	} `json:"delivery_info"`
}

// hook is a webhook that remembers its calls.
type hook struct {
	url   string
	calls chan call
}

// newHook answers each call with reply, after it was remembered.
func newHook(t *testing.T, reply func(w http.ResponseWriter, c call)) *hook {
	t.Helper()
	h := &hook{calls: make(chan call, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{header: r.Header}
		var err error
		if c.raw, err = io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		decode(t, c.raw, &c.body)
		h.calls <- c
		reply(w, c)
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// answering is a hook that answers every call with the status.
func answering(t *testing.T, status int) *hook {
	t.Helper()
	return newHook(t, func(w http.ResponseWriter, _ call) { w.WriteHeader(status) })
}

func (h *hook) next(t *testing.T) call {
	t.Helper()
	select {
	case c := <-h.calls:
		return c
	case <-time.After(patience):
		t.Fatal("no delivery arrived")
		return call{}
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Errorf("decode %s: %v", text, err)
	}
}

// until waits for a condition in the database: sql returns one boolean.
func until(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	sql = "SELECT coalesce((" + sql + "), false)"
	for end := time.Now().Add(patience); !query[bool](t, pool, sql, args...); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", sql)
		}
	}
}

var tenantColumns = []string{
	"id", "slug", "name", "plan", "seats", "credit_cents", "ratio", "tags", "settings", "logo", "renews_on", "created_at",
}

// tenantChanged is the trigger of the recorded payloads. Its retries come at once.
func tenantChanged(change func(*metadata.EventTrigger)) Target {
	all := metadata.EventTriggerFields{Columns: metadata.Columns{All: true}}
	target := Target{
		Table:   metadata.TableName{Schema: "public", Name: "tenants"},
		Columns: tenantColumns,
		Trigger: metadata.EventTrigger{
			Name:       "tenant_changed",
			Definition: metadata.EventTriggerDefinition{EnableManual: true, Insert: &all, Update: &all, Delete: &all},
			RetryConf:  metadata.RetryConf{NumRetries: 5},
			Webhook:    "{{HOOK}}/events/tenant",
		},
	}
	if change != nil {
		change(&target.Trigger)
	}
	return target
}

// config delivers to h as the role that owns nothing.
func (db *database) config(t *testing.T, h *hook, targets ...Target) Config {
	t.Helper()
	return Config{
		Pool:     db.Pool(t, standIn),
		Targets:  targets,
		Env:      func(name string) string { return map[string]string{"HOOK": h.url, "SECRET": "s3cret"}[name] },
		Interval: 10 * time.Millisecond,
		Grantees: []string{writer, "no_such_role"},
	}
}

func start(t *testing.T, cfg Config) *Log {
	t.Helper()
	log, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// listener is a log that a test can wait on.
type listener chan string

func (l listener) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, nil))
}

// Write takes one line of the log.
func (l listener) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l listener) until(t *testing.T, words string) {
	t.Helper()
	for end := time.After(patience); ; {
		select {
		case line := <-l:
			if strings.Contains(line, words) {
				return
			}
		case <-end:
			t.Fatalf("the log never said %q", words)
		}
	}
}
