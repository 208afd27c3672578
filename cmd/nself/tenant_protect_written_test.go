package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// migrationsOf are the folders of a project that are not among ours.
func migrationsOf(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "migrations/default/*/up.sql"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool {
		_, err := os.Stat(filepath.Join("../../hasura/migrations/default", filepath.Base(filepath.Dir(path))))
		return err == nil
	})
}

// starts runs all of a project's migrations in order, as the server and Hasura's CLI do,
// on the database as it is.
func starts(t *testing.T, conn *pgx.Conn, dir string) {
	t.Helper()
	for _, path := range migrationsOf(t, dir) {
		if _, err := conn.PgConn().Exec(t.Context(), contentOf(t, path)).ReadAll(); err != nil {
			t.Errorf("%s: %v", filepath.Base(filepath.Dir(path)), err)
		}
	}
}

func TestWhatWasWrittenIsWhatIsApplied(t *testing.T) {
	const both = "crm.contacts crm.deals"
	for name, steps := range map[string][]string{
		"written, then applied":             {both + " --write", both + " --apply"},
		"the other way about":               {both + " --apply", both + " --write"},
		"in another order, and again":       {both + " --write", "crm.deals crm.contacts --apply", both + " --apply", "crm.deals --write --apply"},
		"written, then written and applied": {both + " --write", "crm.deals --write --apply", both + " --write"},
	} {
		t.Run(name, func(t *testing.T) {
			env, conn := withCRM(t)
			dir := copyOf(t, "../../hasura")
			for _, step := range steps {
				env.mustDo(t, append([]string{"tenant", "protect", "--dir", dir}, strings.Fields(step)...)...)
			}
			for range 2 {
				starts(t, conn, dir)
			}
			env.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
		})
	}
}

func TestTheWrittenMigrationIsRunUnderItsNumberAndNoOtherIsMade(t *testing.T) {
	env, conn := withCRM(t)
	dir := copyOf(t, "../../hasura")
	protect := []string{"tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir}
	env.mustDo(t, append(protect, "--write")...)
	env.mustRefuse(t, exitRefused, "was not run on DATABASE_URL yet: run it with --apply, or remove the folder", append(protect, "--write")...)
	written := migrationsOf(t, dir)
	if len(written) != 1 {
		t.Fatalf("%v", written)
	}
	folder := filepath.Base(filepath.Dir(written[0]))
	out := env.mustDo(t, append(protect, "--write", "--apply")...)
	if !strings.HasPrefix(out, "✓ migrations/default/"+folder+" run on DATABASE_URL\nThe project has all of it already: nothing was written.\n") {
		t.Errorf("%s", out)
	}
	if again := migrationsOf(t, dir); !slices.Equal(again, written) {
		t.Errorf("%v", again)
	}
	var own string
	const ownSQL = `SELECT string_agg(version || '_' || name, ' ') FROM nself.schema_migrations WHERE name LIKE 'protect%'`
	if err := conn.QueryRow(t.Context(), ownSQL).Scan(&own); err != nil || own != folder {
		t.Errorf("the ledger holds %s, %v", own, err)
	}
}

// What the list was changed to after the migration was written comes on top of it.
func TestAListThatChangedSinceIsAppliedAfterWhatWasWritten(t *testing.T) {
	env, conn := withCRM(t)
	dir := copyOf(t, "../../hasura")
	protect := []string{"tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir}
	env.mustDo(t, append(protect, "--write")...)
	list := filepath.Join(dir, "tenant_tables.yaml")
	before, after, _ := strings.Cut(contentOf(t, list), "- table: crm.deals")
	narrowed := strings.Replace(after, "nself_app: [select, insert, update, delete]", "nself_app: [select]", 1)
	if narrowed == after {
		t.Fatalf("no grants in %s", after)
	}
	if err := os.WriteFile(list, []byte(before+"- table: crm.deals"+narrowed), 0o600); err != nil {
		t.Fatal(err)
	}
	env.mustDo(t, append(protect, "--write", "--apply")...)
	if written := migrationsOf(t, dir); len(written) != 2 {
		t.Errorf("%v", written)
	}
	starts(t, conn, dir)
	env.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
}

func TestATableIsForgottenByWhatWasWritten(t *testing.T) {
	env, conn := withCRM(t)
	dir := copyOf(t, "../../hasura")
	env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir, "--write", "--apply")
	if _, err := conn.Exec(t.Context(), `DROP TABLE crm.deals`); err != nil {
		t.Fatal(err)
	}
	forget := []string{"tenant", "protect", "crm.deals", "--forget", "--dir", dir}
	env.mustDo(t, append(forget, "--write")...)
	if out := env.mustDo(t, append(forget, "--apply")...); !strings.Contains(out, "_forget_crm_deals run on DATABASE_URL\n") {
		t.Errorf("%s", out)
	}
	if written := migrationsOf(t, dir); len(written) != 2 {
		t.Errorf("%v", written)
	}
	starts(t, conn, dir)
}

func TestAMigrationWrittenLateIsSaidToHoldTheWallAlone(t *testing.T) {
	env, _ := withCRM(t)
	dir := copyOf(t, "../../hasura")
	env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
	out := env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir, "--write")
	if strings.Count(out, "was protected before its migration was written: it holds the wall alone") != 2 {
		t.Errorf("%s", out)
	}
}
