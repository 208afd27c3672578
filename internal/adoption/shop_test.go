package adoption_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

// shopSQL are tables of an application that knows nothing of tenants: keys and references
// of every kind, to one another, to themselves and to what all tenants share. Orders have a
// tenant column already, which nobody fills.
const shopSQL = `
	CREATE SCHEMA shop;
	CREATE TABLE shop.countries (code text PRIMARY KEY);
	CREATE TABLE shop.users (
		id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, country text REFERENCES shop.countries,
		invited_by uuid REFERENCES shop.users ON DELETE SET NULL, visits integer NOT NULL DEFAULT 0);
	ALTER TABLE shop.users REPLICA IDENTITY USING INDEX users_email_key;
	CREATE UNIQUE INDEX users_lower_email ON shop.users (lower(email) DESC) WHERE email <> '';
	CREATE TABLE shop.products (
		id serial PRIMARY KEY, owner_id uuid NOT NULL REFERENCES shop.users ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
		name text NOT NULL, price integer NOT NULL DEFAULT 1, UNIQUE (owner_id, name) INCLUDE (price));
	CREATE TABLE shop.orders (id bigserial PRIMARY KEY, product integer REFERENCES shop.products, amount integer NOT NULL DEFAULT 1, tenant_id uuid);
	CREATE INDEX ON shop.orders (product)`

const shopRowsSQL = `
	INSERT INTO shop.countries VALUES ('ch'), ('de');
	INSERT INTO shop.users (email, country) SELECT 'user-' || n, 'ch' FROM generate_series(1, 500) n;
	UPDATE shop.users SET invited_by = (SELECT id FROM shop.users WHERE email = 'user-1') WHERE email <> 'user-1';
	INSERT INTO shop.products (owner_id, name) SELECT id, 'of ' || email FROM shop.users;
	INSERT INTO shop.orders (product) SELECT 1 + n % 500 FROM generate_series(1, 20000) n`

// shop is a database with the tables, their rows and a tenant.
type shop struct {
	db     *pgtest.DB
	super  *pgxpool.Pool
	team   pgtest.Team
	tables []isolation.Name
}

func newShop(t testing.TB) shop {
	t.Helper()
	db := pgtest.Database(t)
	s := shop{db: db, super: db.Superuser(t), team: pgtest.NewTeam(t, db.Pool(t, "nself_server"))}
	for _, table := range []string{"users", "products", "orders"} {
		s.tables = append(s.tables, isolation.Name{Schema: "shop", Name: table})
	}
	s.do(t, shopSQL)
	s.do(t, shopRowsSQL)
	return s
}

func (s shop) do(t testing.TB, sql string) {
	t.Helper()
	if _, err := s.super.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

func (s shop) plan(t testing.TB) (adoption.Adoption, error) {
	t.Helper()
	ours, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	return adoption.Plan(t.Context(), s.super, adoption.Input{List: ours, Tables: s.tables, Column: "tenant_id", Tenant: s.team.Slug})
}

// begun is a stored plan.
func (s shop) begun(t testing.TB) adoption.Adoption {
	t.Helper()
	plan, err := s.plan(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := adoption.Begin(t.Context(), s.super, plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

// runner works on a connection of its own, and tells its progress.
func (s shop) runner(t testing.TB, progress func(string)) *adoption.Runner {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if progress == nil {
		progress = func(string) {}
	}
	runner, err := adoption.New(adoption.Config{Conn: conn, Pace: adoption.Pace{MaxWait: 200 * time.Millisecond, Batch: 1000}, Progress: progress})
	if err != nil {
		t.Fatal(err)
	}
	return runner
}

func (s shop) adopt(t testing.TB, of adoption.Adoption, prepare bool) adoption.Adoption {
	t.Helper()
	done, err := s.runner(t, nil).Run(t.Context(), of, prepare)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// catalogSQL is all that the catalog says of the tables.
const catalogSQL = `
	WITH r AS (SELECT c.* FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace)
	SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT oid::regclass || ' ' || relkind::text || ' of ' || relowner::regrole || ' ' || relrowsecurity || relforcerowsecurity || relreplident::text || ' '
			|| coalesce((SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) a), '-') AS line FROM r
		UNION ALL SELECT a.attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '-')
			FROM r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE attnum > 0 AND NOT attisdropped AND relkind = 'r'
		UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(k.oid) || ' ' || convalidated FROM r JOIN pg_constraint k ON k.conrelid = r.oid
		UNION ALL SELECT pg_get_indexdef(indexrelid) || ' ' || indisvalid || indisready || indisprimary || indisreplident FROM r JOIN pg_index i ON i.indrelid = r.oid
		UNION ALL SELECT p.polrelid::regclass || ' ' || polname || ' ' || polroles::regrole[]::text || ' ' || coalesce(pg_get_expr(polqual, polrelid), '') || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
			FROM r JOIN pg_policy p ON p.polrelid = r.oid
		UNION ALL SELECT pg_get_triggerdef(g.oid) FROM r JOIN pg_trigger g ON g.tgrelid = r.oid WHERE NOT tgisinternal
	) AS lines`

func (s shop) catalog(t testing.TB) string {
	t.Helper()
	text, err := pg.Scalar[string](t.Context(), s.super, catalogSQL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// agrees holds the tables against the list, and every row to the tenant.
func (s shop) agrees(t testing.TB) {
	t.Helper()
	list, err := isolation.Installed(t.Context(), s.super)
	if err != nil {
		t.Fatal(err)
	}
	found, err := list.Differences(t.Context(), s.super, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d.Table.Schema == "shop" {
			t.Error(d)
		}
	}
	for _, table := range s.tables {
		if _, registered := list.Find(table); !registered {
			t.Errorf("%s is not on the list", table)
		}
		others, err := pg.Scalar[int](t.Context(), s.super, "SELECT count(*) FROM "+table.Quoted()+" WHERE tenant_id IS DISTINCT FROM '"+s.team.ID.String()+"'", nil)
		if err != nil || others > 0 {
			t.Errorf("%d rows of %s are not the tenant's, %v", others, table, err)
		}
	}
	if left := s.catalog(t); strings.Contains(left, "nself_adopt") {
		t.Errorf("something is left on the way: %s", left)
	}
}
