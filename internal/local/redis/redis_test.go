package redis_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	client "github.com/redis/go-redis/v9"

	"github.com/nself/tenancy/internal/local/redis"
)

func mustStart(t *testing.T) *redis.Redis {
	t.Helper()
	r, err := redis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func connect(t *testing.T, address string) *client.Client {
	t.Helper()
	options, err := client.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTwoServersCountApart(t *testing.T) {
	one, other := connect(t, mustStart(t).URL()), connect(t, mustStart(t).URL())
	for range 3 {
		if err := one.Incr(t.Context(), "asked").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := one.Get(t.Context(), "asked").Int(); err != nil || n != 3 {
		t.Errorf("counted %d, %v", n, err)
	}
	if n, err := other.Exists(t.Context(), "asked").Result(); err != nil || n != 0 {
		t.Errorf("the other server knows of it: %d, %v", n, err)
	}
}

func TestNobodyIsLetInWithoutThePassword(t *testing.T) {
	address := mustStart(t).URL()
	_, host, _ := strings.Cut(address, "@")
	for _, wrong := range []string{"redis://" + host, "redis://default:wrong@" + host} {
		if err := connect(t, wrong).Ping(t.Context()).Err(); err == nil {
			t.Errorf("%s is let in", wrong)
		}
	}
}

func TestCloseLeavesNoProcessAndNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the server's account has to pass
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	r := mustStart(t)
	c := connect(t, r.URL())
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("a client is still served")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
