package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// makeRoles is a migration that can be run again, as the true ones can.
func makeRoles(ctx context.Context, conn *pgx.Conn) error {
	for _, role := range loginRoles {
		_, err := conn.Exec(ctx, `do $$ begin create role `+role+` login; exception when duplicate_object then null; end $$`)
		if err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, `set role nself_app; set search_path = nowhere`) // is not to be felt after the migration
	return err
}

func TestBootstrapGivesEveryRoleItsPassword(t *testing.T) {
	c := mustStart(t, newDir(t))
	for range 2 {
		if err := c.Bootstrap(t.Context(), "App-1", makeRoles); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range loginRoles {
		mustExec(t, c.URL(role, "App-1"), `select`)
	}
	mustExec(t, c.URL("nself_owner", "App-1"), `create schema tenants`)
	mustExec(t, c.URL("nself_hasura", "App-1"), `create schema hdb_catalog`)
	app := mustConnect(t, c.URL("nself_app", "App-1"))
	if _, err := app.Exec(t.Context(), `create schema mine`); err == nil {
		t.Error("nself_app may create a schema")
	}
}

func TestBootstrapPassesOnWhatTheMigrationsSay(t *testing.T) {
	c := mustStart(t, newDir(t))
	broken := errors.New("broken migration")
	err := c.Bootstrap(t.Context(), "app", func(context.Context, *pgx.Conn) error { return broken })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "app") {
		t.Errorf("error: %v", err)
	}
}

func TestBootstrapKeepsPasswordsOutOfTheLog(t *testing.T) {
	dir := newDir(t)
	c := mustStart(t, dir)
	err := c.Bootstrap(t.Context(), "app", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `create role nself_owner; create role nself_hasura`)
		return err
	})
	if err == nil {
		t.Fatal("a password was set for a role that does not exist")
	}
	mustStop(t, c)
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `role "nself_server" does not exist`) {
		t.Errorf("the log does not tell of the failure:\n%s", log)
	}
	if strings.Contains(string(log), c.Password("nself_server")) {
		t.Errorf("the log tells a password:\n%s", log)
	}
}
