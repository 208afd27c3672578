package eventlog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// The migrations grant nself_hasura what the event log needs, and no more is needed.
func TestHasurasRoleInstallsOnTheMigratedSchema(t *testing.T) {
	db := &database{DB: pgtest.Database(t)}
	db.super = db.Superuser(t)
	target := tenantChanged(nil)
	target.Table = metadata.TableName{Schema: "tenants", Name: "tenants"}
	target.Columns = query[[]string](t, db.super, `
		SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'tenants.tenants'::regclass AND attnum > 0 AND NOT attisdropped`)
	start(t, Config{Pool: db.Pool(t, "nself_hasura"), Targets: []Target{target}, Env: testEnv})
	want := []string{
		"notify_hasura_tenant_changed_DELETE on tenants.tenants",
		"notify_hasura_tenant_changed_INSERT on tenants.tenants",
		"notify_hasura_tenant_changed_UPDATE on tenants.tenants",
	}
	if diff := cmp.Diff(want, query[[]string](t, db.super, ours)); diff != "" {
		t.Error(diff)
	}
}
