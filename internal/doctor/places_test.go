package doctor

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestATenantsSchemaThatWaitsIsTold(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	admin := db.Superuser(t)
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	look := func() map[string]Check {
		checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
		return checks
	}
	do(`SELECT tenants.create_tenant_schema($1, 'tenant_')`, team.ID)
	passes(t, look(), "tenant schemas", "row-level security")

	do(`UPDATE tenants.tenant_schemas SET changed_at = now() - interval '1 hour'`)
	fails(t, look(), "tenant schemas", "Hasura does not know 1 of 1", "HASURA_GRAPHQL_ENDPOINT")
	do(`INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (1, 'notes', 'CREATE TABLE notes (id integer)', repeat('0', 64))`)
	fails(t, look(), "tenant schemas", "1 of 1 lack a migration", "nself tenant migrate")
	do(`UPDATE tenants.tenant_schemas SET failed_version = 1, failure = 'no such column', failed_at = now()`)
	fails(t, look(), "tenant schemas", team.Slug+": no such column", "nself tenant migrate")
	do(`SELECT tenants.apply_tenant_migrations($1)`, team.ID)
	passes(t, look(), "tenant schemas", "row-level security")

	do(`ALTER TABLE tenant_` + team.ID.String()[:8] + `.notes DISABLE ROW LEVEL SECURITY`)
	fails(t, look(), "row-level security", "notes lacks: the wall of its tenant", "tenants.wall_tenant_schema")
}

func TestATenantsSchemaThatIsNotThereIsTold(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	if _, err := db.Superuser(t).Exec(t.Context(), `SELECT tenants.create_tenant_schema('`+team.ID.String()+`', 'tenant_'); DROP SCHEMA tenant_`+team.ID.String()[:8]); err != nil {
		t.Fatal(err)
	}
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "tenant schemas", "the schema of "+team.Slug+" is not there", "backup")
}
