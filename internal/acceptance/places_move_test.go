package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// crmSQL are tables of the customer's before protect; the rows come after it.
const crmSQL = `
CREATE SCHEMA crm;
CREATE TABLE crm.contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text);
CREATE TABLE crm.deals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), contact_id uuid NOT NULL REFERENCES crm.contacts ON DELETE CASCADE, amount bigint NOT NULL);`

// %[1]s is a tenant, %[2]s what its names begin with.
const crmRowsSQL = `
INSERT INTO crm.contacts (tenant_id, name) SELECT '%[1]s', '%[2]s-' || n FROM generate_series(1, 3000) n;
INSERT INTO crm.deals (tenant_id, contact_id, amount) SELECT tenant_id, id, 1 FROM crm.contacts WHERE tenant_id = '%[1]s';`

// protectCRM puts the tables behind the wall by the files that the command writes.
func (s stand) protectCRM(t *testing.T, owner *pgx.Conn) {
	t.Helper()
	exec1(t, owner, crmSQL)
	dir := filepath.Join(place(t), "hasura")
	s.must(t, "tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir, "--apply")
	exec1(t, owner, fmt.Sprintf(crmRowsSQL, firstTenant, "first")+fmt.Sprintf(crmRowsSQL, otherTenant, "other"))
}

// serve is what a service of the customer's does that finds its tenant's place itself: in
// the tenant's schema where it has one, else in the shared table. A write that came too
// late for the place it was meant for is refused and tried again.
func serve(setting string) func(context.Context, *pgx.Conn, string) (string, error) {
	return func(ctx context.Context, conn *pgx.Conn, name string) (string, error) {
		for range 100 {
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return writeOne(ctx, tx, setting, name) })
			var refused *pgconn.PgError
			if err == nil {
				return name, nil
			}
			if !errors.As(err, &refused) || refused.Code == "55P03" {
				return "", err
			}
			if refused.Message == "" || strings.Contains(refused.Message, "does not exist") {
				return "", err
			}
		}
		return "", fmt.Errorf("%s was refused a hundred times", name)
	}
}

func writeOne(ctx context.Context, tx pgx.Tx, setting, name string) error {
	if _, err := tx.Exec(ctx, `SELECT set_config('hasura.user', $1, true)`, setting); err != nil {
		return err
	}
	var schema *string
	if err := tx.QueryRow(ctx, `SELECT tenants.tenant_schema()`).Scan(&schema); err != nil {
		return err
	}
	in := "crm"
	if schema != nil {
		in = pgx.Identifier{*schema}.Sanitize()
	}
	var contact string
	if err := tx.QueryRow(ctx, `INSERT INTO `+in+`.contacts (name) VALUES ($1) RETURNING id`, name).Scan(&contact); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+in+`.deals (contact_id, amount) VALUES ($1, 7)`, contact); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE `+in+`.contacts SET email = name || '@example.com' WHERE id = $1`, contact)
	return err
}

func moveUnderWriters(t *testing.T, s stand) {
	t.Helper()
	owner, _ := s.settle(t, "")
	s.protectCRM(t, owner)
	dir := place(t)
	files(t, dir, map[string]string{"1_contacts": contactsFile})
	s.must(t, "tenant", "migrate", "--dir", dir)
	s.refuses(t, []string{"tenant", "move", "first", "--to", "schema", "--yes"}, "deals")
	files(t, dir, map[string]string{"2_deals": dealsFile})
	s.must(t, "tenant", "migrate", "--dir", dir)
	mine, err := json.Marshal(of(firstTenant))
	if err != nil {
		t.Fatal(err)
	}
	write := newWriters(t, s.app, 2, serve(string(mine)))
	move := []string{"tenant", "move", "first", "--to", "schema", "--batch", "200", "--max-wait", "200ms", "--yes"}
	s.must(t, append(move, "--dry-run")...)
	s.killed(t, 8, move...)
	schema := "tenant_0a000000"
	if n := number(t, owner, `SELECT count(*) FROM tenants.tenants WHERE id = '`+firstTenant+`' AND strategy = 'schema'`); n != 1 {
		t.Error("the tenant's strategy is not schema after the move")
	}
	s.must(t, "tenant", "move", "first", "--undo", "--yes")
	s.killed(t, 4, move...)
	known := write.end(t)
	wantKeys(t, owner, known, `SELECT name FROM `+schema+`.contacts c WHERE email = name || '@example.com' AND EXISTS (SELECT FROM `+schema+`.deals d WHERE d.contact_id = c.id)`)
	wantMoved(t, s, owner, schema)
	s.must(t, "tenant", "move", "first", "--confirm", "--yes")
	for sql, want := range map[string]int{
		`SELECT count(*) FROM crm.contacts WHERE tenant_id = '` + firstTenant + `'`:                                                                                              0,
		`SELECT count(*) FROM crm.contacts WHERE tenant_id = '` + otherTenant + `'`:                                                                                              3000,
		`SELECT count(*) FROM crm.deals WHERE tenant_id = '` + otherTenant + `'`:                                                                                                 3000,
		`SELECT count(*) FROM nself.move_changes`:                                                                                                                                0,
		`SELECT count(*) FROM nself.moves WHERE state IN ('copying', 'cut')`:                                                                                                     0,
		`SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('crm.contacts'::regclass, 'crm.deals'::regclass) AND NOT tgisinternal AND tgname <> 'tenant_id_is_immutable'`:         0,
		`SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('` + schema + `.contacts'::regclass, '` + schema + `.deals'::regclass) AND NOT tgisinternal AND tgname LIKE '%move%'`: 0,
	} {
		if got := number(t, owner, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	s.refuses(t, []string{"tenant", "move", "first", "--undo", "--yes"})
	s.refuses(t, []string{"tenant", "move", "first", "--to", "schema", "--yes"}, "first")
	s.must(t, "tenant", "move", "first", "--to", "rls", "--yes")
	wantKeys(t, owner, known, `SELECT name FROM crm.contacts WHERE tenant_id = '`+firstTenant+`'`)
}

// wantMoved: the rows are all there once, and whoever still writes to the old place is told.
func wantMoved(t *testing.T, s stand, owner *pgx.Conn, schema string) {
	t.Helper()
	for sql, want := range map[string]int{
		`SELECT count(*) FROM ` + schema + `.contacts WHERE name LIKE 'first-%'`:                                                  3000,
		`SELECT count(*) FROM ` + schema + `.contacts WHERE name LIKE 'other-%'`:                                                  0,
		`SELECT count(*) FROM ` + schema + `.deals d LEFT JOIN ` + schema + `.contacts c ON c.id = contact_id WHERE c.id IS NULL`: 0,
		`SELECT count(*) FROM pg_constraint WHERE conrelid = '` + schema + `.deals'::regclass AND contype = 'f' AND convalidated`: 1,
	} {
		if got := number(t, owner, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	app := dial(t, s.app)
	for _, sql := range []string{`INSERT INTO crm.contacts (name) VALUES ('late')`, `UPDATE crm.contacts SET name = 'late'`, `DELETE FROM crm.contacts`} {
		inSession(t, app, of(firstTenant), func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), sql)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) {
				t.Errorf("the old place takes %d rows (%v): %s", tag.RowsAffected(), err, sql)
			} else if !strings.Contains(refused.Hint, schema) {
				t.Errorf("the old place does not say where the tenant is: %v, hint %q", err, refused.Hint)
			}
		})
	}
	inSession(t, app, of(otherTenant), func(tx pgx.Tx) {
		if _, err := tx.Exec(t.Context(), `UPDATE crm.contacts SET email = 'x'`); err != nil {
			t.Errorf("another tenant's service is hurt: %v", err)
		}
		var n int
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM `+schema+`.contacts`).Scan(&n); err == nil && n != 0 {
			t.Errorf("another tenant sees %d rows of the schema", n)
		}
	})
}
