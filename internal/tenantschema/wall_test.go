package tenantschema_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
)

// everything is one object of each kind.
const everything = contacts + `
CREATE TABLE notes (id serial PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contacts, body text);
CREATE VIEW names AS SELECT name FROM contacts;
CREATE TABLE visits (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
CREATE FUNCTION count_contacts() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM contacts';
CREATE FUNCTION keep_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO notes (contact_id, body) VALUES (NEW.id, 'new');
  RETURN NULL;
END $$;
CREATE TRIGGER keep_note AFTER INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION keep_note();`

func TestATenantReachesItsOwnSchemaAlone(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_all": everything})
	mine, other := s.house(t, "mine"), s.house(t, "other")
	exec(t, s.owner, `INSERT INTO `+other.schema+`.contacts (name) VALUES ('Otto')`)
	for _, role := range []string{"nself_app", "nself_hasura"} {
		s.as(t, role, mine.ID, func(tx pgx.Tx) {
			var found int
			err := tx.QueryRow(t.Context(), `WITH added AS (INSERT INTO `+mine.schema+`.contacts (name) VALUES ('Ada') RETURNING id) SELECT count(*) FROM added`).Scan(&found)
			if err != nil || found != 1 {
				t.Fatalf("%s: insert: %d, %v", role, found, err)
			}
			for sql, want := range map[string]int{
				`SELECT count(*) FROM ` + mine.schema + `.contacts`:                                         1,
				`SELECT count(*) FROM ` + mine.schema + `.notes`:                                            1, // by the trigger, whatever search_path is
				`SELECT count(*) FROM ` + mine.schema + `.names`:                                            1,
				`SELECT ` + mine.schema + `.count_contacts()`:                                               1,
				`SELECT count(*) FROM ` + other.schema + `.contacts`:                                        0,
				`SELECT count(*) FROM ` + other.schema + `.names`:                                           0,
				`SELECT ` + other.schema + `.count_contacts()`:                                              0,
				`WITH d AS (DELETE FROM ` + other.schema + `.contacts RETURNING id) SELECT count(*) FROM d`: 0,
			} {
				if err := tx.QueryRow(t.Context(), sql).Scan(&found); err != nil || found != want {
					t.Errorf("%s: %s: %d, want %d (%v)", role, sql, found, want, err)
				}
			}
		})
		for _, sql := range []string{
			`INSERT INTO ` + other.schema + `.contacts (name) VALUES ('Eve')`, `SELECT * FROM ` + mine.schema + `.visits_rest`,
			`TRUNCATE ` + mine.schema + `.contacts`, `SELECT nextval('` + mine.schema + `.contacts_id_seq')`, `CREATE TABLE ` + mine.schema + `.more (id int)`,
		} {
			s.as(t, role, mine.ID, func(tx pgx.Tx) {
				var refused *pgconn.PgError
				if _, err := tx.Exec(t.Context(), sql); !errors.As(err, &refused) || refused.Code != "42501" {
					t.Errorf("%s: %s: %v, want it refused", role, sql, err)
				}
			})
		}
	}
}

func TestTenantSchemaIsTheActiveTenantsOwn(t *testing.T) {
	s := newStand(t)
	mine := s.house(t, "mine")
	ask := func(tenant any) (found *string) {
		s.as(t, "nself_app", tenant, func(tx pgx.Tx) {
			if err := tx.QueryRow(t.Context(), `SELECT tenants.tenant_schema()`).Scan(&found); err != nil {
				t.Error(err)
			}
		})
		return found
	}
	if got := ask(mine.ID); got == nil || *got != mine.schema {
		t.Errorf("the schema is %v, want %s", got, mine.schema)
	}
	if got := ask(nobody); got != nil {
		t.Errorf("a tenant that is none has the schema %s", *got)
	}
	exec(t, s.owner, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, mine.ID)
	if got := ask(mine.ID); got != nil {
		t.Errorf("a suspended tenant has the schema %s", *got)
	}
}

// What somebody opens by hand the next look closes, and a second look changes nothing.
func TestTheWallMendsWhatWasOpened(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_all": everything})
	h := s.house(t, "mine")
	const wallsSQL = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT format('%s %s %s %s %s %s %s', relname, relowner::regrole, relrowsecurity, relforcerowsecurity, reloptions, nself.rights(relacl, relowner),
			ARRAY(SELECT nself.rights(attacl, relowner) FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL AND attacl <> '{}')) AS line
		FROM pg_class c WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
		UNION ALL SELECT format('%s %s %s %s %s', tablename, policyname, roles, qual, with_check) FROM pg_policies WHERE schemaname = $1
		UNION ALL SELECT format('%s %s %s', proname, nself.rights(proacl, proowner), proconfig) FROM pg_proc WHERE pronamespace = $1::text::regnamespace) AS l`
	before, above := one[string](t, s.owner, wallsSQL, h.schema), s.db.Superuser(t)
	for _, hole := range []string{
		`ALTER TABLE %.contacts DISABLE ROW LEVEL SECURITY`, `ALTER TABLE %.contacts NO FORCE ROW LEVEL SECURITY`,
		`CREATE POLICY more ON %.contacts TO nself_app USING (true)`, `DROP POLICY active_tenant ON %.contacts`,
		`ALTER POLICY hasura_session ON %.contacts USING (true)`, `ALTER POLICY active_tenant ON %.contacts TO PUBLIC`,
		`GRANT SELECT ON %.contacts TO PUBLIC`, `GRANT TRUNCATE ON %.contacts TO nself_app`, `GRANT UPDATE (name) ON %.contacts TO nself_tenant`,
		`GRANT SELECT ON %.visits_rest TO nself_app`, `REVOKE SELECT ON %.contacts FROM nself_hasura`,
		`ALTER VIEW %.names RESET (security_invoker)`, `GRANT INSERT ON %.names TO nself_app`,
		`GRANT ALL ON SEQUENCE %.contacts_id_seq TO nself_app`, `GRANT EXECUTE ON FUNCTION %.count_contacts() TO PUBLIC`,
		`GRANT CREATE ON SCHEMA % TO nself_app`, `GRANT USAGE ON SCHEMA % TO PUBLIC`, `ALTER TABLE %.contacts OWNER TO nself_hasura`,
	} {
		exec(t, above, strings.ReplaceAll(hole, "%", h.schema))
		if after := one[string](t, s.owner, wallsSQL, h.schema); after == before && !strings.Contains(hole, "SCHEMA") {
			t.Errorf("%s: opened nothing, so nothing is tested", hole)
		}
		exec(t, s.server, `SELECT tenants.wall_tenant_schema($1)`, h.ID)
		if diff := cmp.Diff(before, one[string](t, s.owner, wallsSQL, h.schema)); diff != "" {
			t.Errorf("%s: stays open (-walled +is):\n%s", hole, diff)
		}
		if found := one[*string](t, s.owner, `SELECT nself.unwalled_tenant_objects($1)`, h.schema); found != nil {
			t.Errorf("%s: a second look would still run %s", hole, *found)
		}
	}
}

func TestARestrictivePolicyOfTheCustomersStays(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_all": contacts + `CREATE POLICY named ON contacts AS RESTRICTIVE USING (name <> '')`})
	h := s.house(t, "mine")
	if n := one[int](t, s.owner, `SELECT count(*) FROM pg_policies WHERE schemaname = $1`, h.schema); n != 5 {
		t.Errorf("%d policies, want the four of the wall and the customer's", n)
	}
}

// One failed file leaves neither the tenant nor its schema, and the operator learns which.
func TestATenantWhoseMigrationFailsIsNotMade(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_contacts": contacts, "2_late": "SELECT 1;\nALTER TABLE kontakte ADD x int;"})
	_, err := s.make(t, "mine")
	var refused *fault.Fault
	if !errors.As(err, &refused) || refused.Code != fault.TenantMigration || !strings.Contains(refused.Message, `2_late.sql: relation "kontakte" does not exist`) {
		t.Fatalf("%v, want the fault %s that names the file and what Postgres said", err, fault.TenantMigration)
	}
	left := one[[]string](t, s.owner, `SELECT array_agg(nspname::text) FROM pg_namespace WHERE nspname LIKE 'tenant\_%'`)
	left = slices.DeleteFunc(left, func(name string) bool { return name == "tenant_reads" })
	if n := one[int](t, s.owner, `SELECT count(*) FROM tenants.tenants`); n != 0 || len(left) > 0 {
		t.Errorf("%d tenants and the schemas %v are left", n, left)
	}
}

func TestDroppingTakesTheSchemaAndItsRow(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_all": everything})
	h, other := s.house(t, "mine"), s.house(t, "other")
	if !one[bool](t, s.owner, `SELECT tenants.drop_tenant_schema($1)`, h.ID) || one[bool](t, s.owner, `SELECT tenants.drop_tenant_schema($1)`, h.ID) {
		t.Error("want true where there was a schema, and false where there is none")
	}
	if n := one[int](t, s.owner, `SELECT count(*) FROM pg_namespace WHERE nspname IN ($1, $2)`, h.schema, other.schema); n != 1 {
		t.Errorf("%d of the two schemas are left, want the other's", n)
	}
	// A row that names another schema is no way to drop it.
	digits := strings.ReplaceAll(other.ID.String(), "-", "")[:8]
	exec(t, s.owner, `CREATE SCHEMA crm_`+digits+`_more`)
	for _, name := range []string{"audit", "crm_" + digits + "_more"} {
		exec(t, s.server, `UPDATE tenants.tenant_schemas SET schema_name = $2 WHERE tenant_id = $1`, other.ID, name)
		if _, err := s.owner.Exec(t.Context(), `SELECT tenants.drop_tenant_schema($1)`, other.ID); err == nil {
			t.Errorf("the schema %s was dropped as a tenant's", name)
		}
	}
	exec(t, s.server, `UPDATE tenants.tenant_schemas SET schema_name = $2 WHERE tenant_id = $1`, other.ID, other.schema)
	if _, err := s.server.Exec(t.Context(), `SELECT tenants.drop_tenant_schema($1)`, other.ID); err == nil {
		t.Error("the server drops the schema of an active tenant")
	}
	exec(t, s.owner, `DROP SCHEMA `+other.schema+` CASCADE`)
	if _, err := s.server.Exec(t.Context(), `SELECT tenants.apply_tenant_migrations($1)`, other.ID); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("a schema that somebody dropped is migrated: %v", err)
	}
}
