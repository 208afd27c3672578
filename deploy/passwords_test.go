package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
)

// installation is a cluster of its own, for its roles get other passwords, migrated as
// the service "migrate" does it: as the superuser of a database called nself.
func installation(t *testing.T) *postgres.Cluster {
	t.Helper()
	dir := filepath.Join(postgres.Scratch(), "nself-deploy-"+rand.Text())
	cluster, err := postgres.Start(t.Context(), postgres.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cluster.Stop(), postgres.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	as(t, cluster.SuperuserURL("postgres"), func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), `CREATE DATABASE nself`)
		return err
	})
	as(t, cluster.SuperuserURL("nself"), func(conn *pgx.Conn) error {
		_, err := migrate.Up(t.Context(), conn)
		return err
	})
	return cluster
}

func as(t *testing.T, url string, work func(*pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }() // nothing of it is left to lose
	if err := work(conn); err != nil {
		t.Fatal(err)
	}
}

// setPasswords runs the script as the service "roles" does, with the generated secrets.
func setPasswords(t *testing.T, cluster *postgres.Cluster, env []string) (string, error) {
	t.Helper()
	service := project(t).Services["roles"]
	arguments := append([]string{}, service.Entrypoint[1:]...)
	for i := range arguments {
		arguments[i] = strings.Replace(arguments[i], "=/passwords.sql", "=postgres/passwords.sql", 1)
	}
	psql := exec.CommandContext(t.Context(), service.Entrypoint[0], append(arguments, cluster.SuperuserURL("nself"))...)
	psql.Env = append(env, "PATH="+os.Getenv("PATH"))
	out, err := psql.CombinedOutput()
	return string(out), err
}

func TestRolesGetThePasswordsOfTheEnvironment(t *testing.T) {
	cluster := installation(t)
	env := generated(t)
	if out, err := setPasswords(t, cluster, env); err != nil || out != "" {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range env {
		name, password, _ := strings.Cut(line, "=")
		role, isRole := strings.CutSuffix(strings.ToLower(name), "_password")
		if !isRole || !strings.HasPrefix(role, "nself_") {
			continue
		}
		address, err := url.Parse(cluster.SuperuserURL("nself"))
		if err != nil {
			t.Fatal(err)
		}
		address.User = url.UserPassword(role, password)
		as(t, address.String(), func(conn *pgx.Conn) error {
			var as string
			err := conn.QueryRow(t.Context(), `SELECT current_user`).Scan(&as)
			if as != role {
				t.Errorf("%s signs in as %s", role, as)
			}
			return err
		})
		address.User = url.UserPassword(role, password+"x")
		if conn, err := pgx.Connect(t.Context(), address.String()); err == nil {
			_ = conn.Close(t.Context()) // it should not be there
			t.Errorf("%s signs in with another password", role)
		}
	}
}

func TestPasswordsStayOutOfTheLog(t *testing.T) {
	cluster := installation(t)
	as(t, cluster.SuperuserURL("nself"), func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), `ALTER SYSTEM SET log_statement = 'all'`)
		if err == nil {
			_, err = conn.Exec(t.Context(), `SELECT pg_reload_conf()`)
		}
		return err
	})
	env := generated(t)
	if out, err := setPasswords(t, cluster, env); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.ReadFile(filepath.Join(cluster.Dir(), "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range env {
		if _, value, _ := strings.Cut(line, "="); strings.Contains(string(log), value) {
			t.Errorf("the log holds the value of %s", line[:strings.Index(line, "=")])
		}
	}
}

func TestAMissingPasswordIsTold(t *testing.T) {
	cluster := installation(t)
	env := generated(t)
	for i, line := range env {
		if strings.HasPrefix(line, "NSELF_HASURA_PASSWORD=") {
			env[i] = "OTHER=x"
		}
	}
	if out, err := setPasswords(t, cluster, env); err == nil {
		t.Errorf("psql is content: %s", out)
	}
}
