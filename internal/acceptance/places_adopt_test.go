package acceptance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// legacySQL is a database from before there were tenants: one table that knows nothing of
// them, and one whose column somebody added and never filled.
const legacySQL = `
CREATE TABLE public.users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, name text NOT NULL DEFAULT '', CONSTRAINT users_email_key UNIQUE (email));
CREATE TABLE public.products (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid, seller bigint NOT NULL REFERENCES public.users ON DELETE CASCADE,
  sku text NOT NULL UNIQUE, price integer NOT NULL CHECK (price > 0));
CREATE INDEX products_by_seller ON public.products (seller);
INSERT INTO public.users (email) SELECT n || '@example.com' FROM generate_series(1, 2000) n;
INSERT INTO public.products (seller, sku, price) SELECT 1 + n % 2000, 'sku-' || n, 1 + n FROM generate_series(1, 20000) n;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.users, public.products TO legacy;`

// firstTenant and other are the tenants of a stand; firstUser owns both.
const (
	firstUser   = "00000000-0000-4000-8000-0000000000b7"
	firstTenant = "0a000000-0000-4000-9000-000000000001"
	otherTenant = "0b000000-0000-4000-9000-000000000002"
)

const tenantsSQL = `
INSERT INTO auth.users (id, email) VALUES ('` + firstUser + `', 'first@example.com');
INSERT INTO tenants.tenants (id, slug, name, owner_user_id) VALUES ('` + firstTenant + `', 'first', 'First', '` + firstUser + `'), ('` + otherTenant + `', 'other', 'Other', '` + firstUser + `');
INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, owner_user_id, 'owner' FROM tenants.tenants;`

// of is the session of a service that acts for a tenant by itself.
func of(tenant string) map[string]string {
	return map[string]string{"x-hasura-role": "tenant_admin", "x-hasura-tenant-id": tenant}
}

// settle makes two tenants, the tables of before, and the role of whoever writes them.
func (s stand) settle(t *testing.T, tables string) (owner *pgx.Conn, legacy string) {
	t.Helper()
	super := dial(t, s.super)
	exec1(t, super, `DO $$ BEGIN CREATE ROLE legacy LOGIN PASSWORD 'legacy'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	config, err := pgx.ParseConfig(s.owner)
	if err != nil {
		t.Fatal(err)
	}
	legacy = strings.Replace(s.owner, "nself_owner:"+config.Password, "legacy:legacy", 1)
	owner = dial(t, s.owner)
	exec1(t, owner, "BEGIN;"+tenantsSQL+"COMMIT;"+tables)
	return owner, legacy
}

// sell is what an application of before does: it knows no tenant.
func sell(ctx context.Context, conn *pgx.Conn, name string) (string, error) {
	var user int64
	if err := conn.QueryRow(ctx, `INSERT INTO public.users (email) VALUES ($1) RETURNING id`, name+"@writers.example").Scan(&user); err != nil {
		return "", err
	}
	if _, err := conn.Exec(ctx, `UPDATE public.users SET name = 'seller' WHERE id = $1`, user); err != nil {
		return "", err
	}
	_, err := conn.Exec(ctx, `INSERT INTO public.products (seller, sku, price) VALUES ($1, $2, 5)`, user, name)
	return name, err
}

func adoptUnderWriters(t *testing.T, s stand) {
	t.Helper()
	owner, legacy := s.settle(t, legacySQL)
	before := shape(t, owner, "public")
	dry := s.must(t, "tenant", "adopt", "public.users", "public.products", "--tenant", "first", "--dry-run")
	for _, word := range []string{"ACCESS EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "CONCURRENTLY", "VALIDATE CONSTRAINT", "ROW LEVEL SECURITY", "tenants.current_tenant_id()"} {
		if !strings.Contains(dry.out, word) {
			t.Errorf("--dry-run says nothing of %s:\n%s", word, dry.out)
		}
	}
	if diff := cmp.Diff(before, shape(t, owner, "public")); diff != "" {
		t.Errorf("--dry-run changed (-before +after):\n%s", diff)
	}
	write := newWriters(t, legacy, 3, sell)
	reader := dial(t, legacy)
	exec1(t, reader, `BEGIN; SELECT count(*) FROM public.users; SELECT count(*) FROM public.products`) // a report that takes long
	adopt := []string{"tenant", "adopt", "public.users", "public.products", "--tenant", "first", "--max-wait", "100ms", "--batch", "1000", "--pause", "10ms", "--yes"}
	prepare := append(adopt, "--prepare")
	for range 2 {
		nself(t, 600*time.Millisecond, []string{"DATABASE_URL=" + s.owner}, prepare)
	}
	exec1(t, reader, `COMMIT`)
	s.killed(t, 8, prepare...)
	known := write.end(t)
	s.killed(t, 3, adopt...)
	wantAdopted(t, s, owner, known)
	s.refuses(t, []string{"tenant", "adopt", "public.users", "public.products", "--undo", "--yes"})
}

func wantAdopted(t *testing.T, s stand, owner *pgx.Conn, known map[string]bool) {
	t.Helper()
	wantKeys(t, owner, known, `SELECT sku FROM public.products`)
	for sql, want := range map[string]int{
		`SELECT count(*) FROM public.products WHERE tenant_id IS DISTINCT FROM '` + firstTenant + `'`:                                                                                0,
		`SELECT count(*) FROM public.users WHERE tenant_id IS DISTINCT FROM '` + firstTenant + `'`:                                                                                   0,
		`SELECT count(*) FROM public.products WHERE sku LIKE 'sku-%'`:                                                                                                                20000,
		`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relrowsecurity AND relforcerowsecurity`:                                     2,
		`SELECT count(*) FROM pg_attribute WHERE attrelid IN ('public.users'::regclass, 'public.products'::regclass) AND attname = 'tenant_id' AND attnotnull`:                       2,
		`SELECT count(*) FROM pg_index WHERE indrelid IN ('public.users'::regclass, 'public.products'::regclass) AND NOT indisvalid`:                                                 0,
		`SELECT count(*) FROM pg_constraint WHERE conrelid IN ('public.users'::regclass, 'public.products'::regclass) AND NOT convalidated`:                                          0,
		`SELECT count(*) FROM pg_constraint WHERE conrelid = 'public.products'::regclass AND confrelid = 'public.users'::regclass`:                                                   1,
		`SELECT count(*) FROM pg_constraint WHERE conrelid = 'public.products'::regclass AND confrelid = 'public.users'::regclass AND cardinality(conkey) = 2 AND confdeltype = 'c'`: 1,
		`SELECT count(*) FROM pg_constraint WHERE conrelid IN ('public.users'::regclass, 'public.products'::regclass) AND contype IN ('u', 'p') AND cardinality(conkey) < 2`:         0,
		`SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('public.users'::regclass, 'public.products'::regclass) AND NOT tgisinternal AND tgname NOT IN ('tenant_id_is_immutable')`: 0,
		`SELECT count(*) FROM pg_class WHERE relname IN ('users', 'products') AND relnamespace = 'public'::regnamespace AND relowner = 'nself_owner'::regrole`:                       2,
		`SELECT count(*) FROM nself.adoptions WHERE state = 'done'`:                                                                                                                  1,
	} {
		if got := number(t, owner, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	app := dial(t, s.app)
	inSession(t, app, of(firstTenant), func(tx pgx.Tx) {
		if n := number(t, tx, `WITH made AS (INSERT INTO public.users (email) VALUES ('ada@example.com') RETURNING 1) SELECT count(*) FROM made`); n != 1 {
			t.Errorf("the default tenant's service writes %d rows", n)
		}
	})
	inSession(t, app, of(otherTenant), func(tx pgx.Tx) {
		if n := number(t, tx, `SELECT (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.products)`); n != 0 {
			t.Errorf("another tenant sees %d rows", n)
		}
		// A value of the first tenant's is no secret that a key tells, and free for this one.
		if _, err := tx.Exec(t.Context(), `INSERT INTO public.users (email) VALUES ('1@example.com')`); err != nil {
			t.Errorf("another tenant may not have an address of the first: %v", err)
		}
	})
}

func adoptionUndone(t *testing.T, s stand) {
	t.Helper()
	owner, legacy := s.settle(t, legacySQL)
	before := shape(t, owner, "public")
	write := newWriters(t, legacy, 2, sell)
	adopt := []string{"tenant", "adopt", "public.users", "public.products", "--tenant", firstTenant, "--max-wait", "100ms", "--batch", "2000", "--yes"}
	nself(t, 700*time.Millisecond, []string{"DATABASE_URL=" + s.owner}, append(adopt, "--pause", "20ms", "--prepare"))
	s.must(t, append(adopt, "--prepare")...)
	s.killed(t, 4, append(adopt, "--undo")...)
	known := write.end(t)
	wantKeys(t, owner, known, `SELECT sku FROM public.products`)
	if diff := cmp.Diff(before, shape(t, owner, "public")); diff != "" {
		t.Errorf("--undo left (-before +after):\n%s", diff)
	}
	s.refuses(t, []string{"tenant", "adopt", "public.nothing", "crm.nothing", "--tenant", "nobody", "--yes"}, "nobody", "public.nothing", "crm.nothing")
}

const shapeSQL = `
SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = $1::regnamespace
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = $1::regnamespace
UNION ALL SELECT indexrelid::regclass || ' ' || pg_get_indexdef(indexrelid) || indisvalid FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = $1::regnamespace
UNION ALL SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND c.relnamespace = $1::regnamespace
UNION ALL SELECT polrelid::regclass || ' ' || polname FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE c.relnamespace = $1::regnamespace
UNION ALL SELECT relname || ' ' || relrowsecurity || relforcerowsecurity || relowner::regrole || coalesce(relacl::text, '') FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace
ORDER BY 1`

// shape is all that the catalog says of the tables of a schema.
func shape(t *testing.T, conn *pgx.Conn, schema string) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), shapeSQL, schema)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
