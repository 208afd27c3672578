package doctor

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestACheckThatLosesTheDatabaseTakesNoOtherWithIt(t *testing.T) {
	db := pgtest.Database(t)
	admin := db.Superuser(t)
	checks := map[string]Check{}
	Run(t.Context(), Config{DatabaseURL: db.URL("nself_owner")}, func(check Check) {
		checks[check.Name] = check
		if check.Name == "PostgreSQL version" {
			if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'nself_owner'`); err != nil {
				t.Error(err)
			}
		}
	})
	fails(t, checks, "migrations", "terminat", "")
	passes(t, checks, "database", "roles", "row-level security", "tenant schemas", "clock of the database")
}
