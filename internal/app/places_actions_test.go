package app

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/local/redis"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestATenantThatIsMadeHasItsPlaceAMomentLaterAndTheOperatorItsKeys(t *testing.T) {
	t.Parallel() // it waits more than it works
	db, beside := pgtest.Database(t), mustStart(t)
	a := newAppWith(t, db, map[string]string{"REDIS_URL": beside.URL()})
	_, stop := serve(t, a)
	defer stop()
	owner := pgtest.User(t, a.DB)
	if status, said := act(t, a, "createTenant", map[string]any{"name": "Moon", "slug": "moon", "ownerUserId": owner}); status != http.StatusOK {
		t.Fatalf("%d %s", status, said)
	}
	about := map[string]any{"tenant": "moon", "kind": "redis"}
	first := awaitKeys(t, a, about, func(k shownKeys) bool { return k.Made == 1 && k.Open })
	if status, said := act(t, a, "rotateTenantResource", about); status != http.StatusOK || strings.Contains(said, first.Secret) || strings.Contains(said, "secret") {
		t.Errorf("%d %s", status, said)
	}
	second := awaitKeys(t, a, about, func(k shownKeys) bool { return k.Made == 2 })
	if second.Secret == first.Secret || second.Scope != first.Scope {
		t.Errorf("rotated from %+v to %+v", first.Scope, second.Scope)
	}
	if status, said := act(t, a, "deleteTenant", map[string]any{"tenant": "moon", "confirmSlug": "moon"}); status != http.StatusOK {
		t.Fatalf("%d %s", status, said)
	}
	awaitKeys(t, a, about, func(k shownKeys) bool { return !k.Open })
	for kind, code := range map[string]string{"objects": "not-found", "mail": "invalid-input"} {
		if _, said := act(t, a, "tenantResourceCredentials", map[string]any{"tenant": "moon", "kind": kind}); !strings.Contains(said, code) {
			t.Errorf("%s: %s", kind, said)
		}
	}
}

func mustStart(t *testing.T) *redis.Redis {
	t.Helper()
	r, err := redis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

type shownKeys struct {
	Made   int    `json:"made"`
	Open   bool   `json:"open"`
	Secret string `json:"secret"`
	Scope  string `json:"scope"`
}

// awaitKeys asks until the keys are as they should become.
func awaitKeys(t *testing.T, a *App, about map[string]any, become func(shownKeys) bool) (keys shownKeys) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, said := act(t, a, "tenantResourceCredentials", about)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, said)
		}
		if err := json.Unmarshal([]byte(said), &keys); err != nil {
			t.Fatal(err)
		}
		if become(keys) {
			return keys
		}
		if time.Now().After(until) {
			t.Fatalf("they stay made %d, open %v", keys.Made, keys.Open)
		}
	}
}
