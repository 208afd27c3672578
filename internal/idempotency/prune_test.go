package idempotency_test

import (
	"testing"

	"github.com/nself/tenancy/internal/idempotency"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestKeysAreForgottenAfterThirtyFiveDaysAndNotBefore(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	const keys = `INSERT INTO nself.idempotency_keys (actor, action, key, request_hash, created_at)
		SELECT 'operator', 'createTenant', $1 || n, '', now() - $2::interval FROM generate_series(1, $3) n`
	for _, k := range []struct {
		prefix, age string
		count       int
	}{{"old", "35 days 1 minute", 2500}, {"kept", "34 days 23 hours", 2}} {
		if _, err := db.Exec(t.Context(), keys, k.prefix, k.age, k.count); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{2500, 0} {
		if gone, err := idempotency.Prune(t.Context(), db); err != nil || gone != want {
			t.Errorf("%d went, %v", gone, err)
		}
	}
	if left, err := pg.Scalar[int64](t.Context(), db, `SELECT count(*) FROM nself.idempotency_keys`, nil); err != nil || left != 2 {
		t.Errorf("%d are left, %v", left, err)
	}
}
