package tenantschema_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/tenantschema"
)

const contacts = "CREATE TABLE contacts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);\n"

// stand is a database with tenants of strategy schema.
type stand struct {
	db            *pgtest.DB
	owner, server *pgxpool.Pool
}

func newStand(t *testing.T) stand {
	db := pgtest.Database(t)
	return stand{db, db.Pool(t, "nself_owner"), db.Pool(t, "nself_server")}
}

// files are a directory, by name without .sql.
func files(t *testing.T, bodies map[string]string) []tenantschema.File {
	t.Helper()
	dir := fstest.MapFS{}
	for name, body := range bodies {
		dir[name+".sql"] = &fstest.MapFile{Data: []byte(body)}
	}
	loaded, err := tenantschema.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// register takes the files in.
func (s stand) register(t *testing.T, bodies map[string]string) {
	t.Helper()
	if _, err := tenantschema.Register(t.Context(), s.owner, files(t, bodies)); err != nil {
		t.Fatal(err)
	}
}

// rehearse tries files on top of what is registered.
func (s stand) rehearse(t *testing.T, bodies map[string]string) error {
	t.Helper()
	registered, err := tenantschema.Registered(t.Context(), s.owner)
	if err != nil {
		t.Fatal(err)
	}
	return tenantschema.Rehearse(t.Context(), s.owner, registered, files(t, bodies))
}

// house is a tenant with a schema of its own.
type house struct {
	tenant.Tenant
	schema string
}

// make creates a tenant as createTenant does.
func (s stand) make(t *testing.T, slug string) (house, error) {
	t.Helper()
	in := tenant.CreateInput{Name: slug, Slug: slug, Plan: "enterprise", Owner: pgtest.User(t, s.server), Strategy: tenant.Schema}
	made, err := tenant.Create(t.Context(), s.server, pgtest.Operator, in, pgtest.Defaults)
	if err != nil {
		return house{}, err
	}
	var schema string
	err = s.server.QueryRow(t.Context(), `SELECT schema_name FROM tenants.tenant_schemas WHERE tenant_id = $1`, made.ID).Scan(&schema)
	return house{made, schema}, err
}

func (s stand) house(t *testing.T, slug string) house {
	t.Helper()
	made, err := s.make(t, slug)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (s stand) houses(t *testing.T, n int) []house {
	t.Helper()
	var all []house
	for i := range n {
		all = append(all, s.house(t, fmt.Sprintf("house-%02d", i)))
	}
	return all
}

func (s stand) fanOut(t *testing.T, in tenantschema.FanOutInput) tenantschema.Report {
	t.Helper()
	report, err := tenantschema.FanOut(t.Context(), s.owner, in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func exec(t *testing.T, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](t *testing.T, db *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, _ := db.Query(t.Context(), sql, args...)
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return found
}

// as runs work in a transaction of a role with the session of a tenant, and rolls it back.
func (s stand) as(t *testing.T, role string, tenant any, work func(tx pgx.Tx)) {
	t.Helper()
	tx, err := s.db.Pool(t, role).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	session := fmt.Sprintf(`{"x-hasura-role": "tenant_service", "x-hasura-tenant-id": "%v"}`, tenant)
	if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, session); err != nil {
		t.Fatal(err)
	}
	work(tx)
}

var nobody = uuid.MustParse("00000000-0000-4000-8000-000000000000")
