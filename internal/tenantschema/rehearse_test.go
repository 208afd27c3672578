package tenantschema_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/tenantschema"
)

// lookAround is what of the database a rehearsal could have changed.
const lookAround = `SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
	SELECT c.oid::text || c.relname || coalesce(c.relacl::text, '') || c.relrowsecurity AS line FROM pg_class c WHERE relnamespace <> 'pg_toast'::regnamespace
	UNION ALL SELECT oid::text FROM pg_proc UNION ALL SELECT nspname || coalesce(nspacl::text, '') FROM pg_namespace
	UNION ALL SELECT version::text FROM nself.tenant_migrations) AS l`

func TestRehearsalRefusesWhatWouldNotWorkOrReachFurther(t *testing.T) {
	s := newStand(t)
	exec(t, s.db.Superuser(t), `CREATE TABLE public.shared (id int PRIMARY KEY); ALTER TABLE public.shared OWNER TO nself_owner; INSERT INTO public.shared VALUES (1);
		COMMENT ON TABLE public.shared IS 'of all'; CREATE POLICY open ON public.shared; CREATE SEQUENCE public.numbers; ALTER SEQUENCE public.numbers OWNER TO nself_owner;
		ALTER SCHEMA public OWNER TO nself_owner; SELECT setval('public.numbers', 40);
		CREATE FUNCTION public.ours() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION public.ours() OWNER TO nself_owner`)
	exec(t, s.db.Superuser(t), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO nself_owner', current_database()); END $$`)
	s.register(t, map[string]string{"1_contacts": contacts})
	mine := s.house(t, "mine")
	before := one[string](t, s.owner, lookAround)
	for name, c := range map[string]struct {
		body string
		line int
		says string
	}{
		"syntax":          {"CREATE TABLE a (id int);\nCREATE TABEL b ();", 2, "syntax error"},
		"column":          {"SELECT 1;\n\nSELECT name,\n  nome FROM contacts;", 4, `"nome" does not exist`},
		"table":           {"SELECT ';';\n-- a; comment\nSELECT $a$;\n;$a$;\nALTER TABLE kontakte ADD x int;\nSELECT 1;", 5, `"kontakte" does not exist`},
		"at run time":     {"SELECT 1;\nDO $$ BEGIN\n RAISE EXCEPTION 'not today'; END $$;\nSELECT 2;", 2, "not today"},
		"transaction":     {"SELECT 1;\nCOMMIT;\nSELECT 1;", 2, "transaction commands"},
		"concurrently":    {"CREATE INDEX CONCURRENTLY ON contacts (name);", 1, "CONCURRENTLY"},
		"role":            {"SET ROLE nself_server;", 1, "role"},
		"search_path":     {"SET search_path = public;", 1, "search_path"},
		"setting":         {"SET statement_timeout = '1h';", 0, "the setting statement_timeout"},
		"session":         {`SELECT set_config('hasura.user', '{}', true);`, 1, "hasura.user"},
		"table outside":   {"CREATE TABLE public.evil (id int);", 0, "the table evil"},
		"table inside DO": {"DO $$ BEGIN CREATE TABLE public.evil (id int); EXCEPTION WHEN syntax_error THEN NULL; END $$;", 0, "the table evil"},
		"temporary":       {"CREATE TEMP TABLE evil (id int);", 0, "the table "},
		"column outside":  {"ALTER TABLE public.shared ADD COLUMN x int;", 0, "the table shared"},
		"policy outside":  {"CREATE POLICY evil ON tenants.tenants USING (true);", 0, "the table tenants.tenants"},
		"rows outside":    {"INSERT INTO public.shared VALUES (2);", 0, "rows of the table shared"},
		"no rows outside": {"DELETE FROM public.shared;", 0, "rows of the table shared"},
		"schema":          {"CREATE SCHEMA evil;", 0, "the schema evil"},
		"function":        {"CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS 'SELECT 1';", 0, "the function evil()"},
		"type":            {"CREATE TYPE public.evil AS ENUM ('a');", 0, "the type evil"},
		"grant":           {"GRANT SELECT ON tenants.tenants TO nself_app WITH GRANT OPTION;", 0, "the table tenants.tenants"},
		"default rights":  {"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO nself_app;", 0, "default privileges"},
		"reference":       {"ALTER TABLE contacts ADD shared int REFERENCES public.shared;", 0, "stands by itself"},
		"inherits":        {"CREATE TABLE evil () INHERITS (public.shared);", 0, "inherits from"},
		"materialized":    {"CREATE MATERIALIZED VIEW names AS SELECT name FROM contacts;", 0, "materialized view"},
		"definer":         {"CREATE FUNCTION evil() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';", 0, "SECURITY DEFINER"},
		"rule":            {"CREATE RULE evil AS ON INSERT TO contacts DO ALSO NOTHING;", 0, "the rule evil"},
		"large object":    {"SELECT lo_create(0);", 0, "the large object"},
		"lock":            {"SELECT 1;\nSELECT pg_advisory_lock(1);", 0, "advisory lock"},
		"lock inside DO":  {"DO $$ BEGIN PERFORM pg_try_advisory_lock_shared(3, 4); END $$;", 0, "advisory lock"},
		"comment":         {"COMMENT ON SCHEMA public IS 'evil';", 0, "the schema public"},
		"no comment":      {"COMMENT ON TABLE public.shared IS NULL;", 0, "the table shared"},
		"table dropped":   {"DROP TABLE public.shared;", 0, "the table shared"},
		"table emptied":   {"TRUNCATE public.shared;", 0, "the table shared"},
		"policy dropped":  {"DROP POLICY open ON public.shared;", 0, "the table shared"},
		"number drawn":    {"SELECT nextval('public.numbers');", 0, "the sequence numbers"},
		"number set":      {"SELECT setval('public.numbers', 3);", 0, "the sequence numbers"},
		"right on it all": {"DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO nself_app', current_database()); END $$;", 0, "the database"},
		"collation":       {`CREATE COLLATION public.evil FROM "C";`, 0, "the collation evil"},
		"statistics":      {"CREATE STATISTICS public.evil ON id, name FROM contacts;", 0, "the statistics evil"},
		"text search":     {"CREATE TEXT SEARCH DICTIONARY public.evil (TEMPLATE = simple);", 0, "the text search dictionary evil"},
		"another's rows":  {"CREATE TABLE names AS SELECT name FROM " + mine.schema + ".contacts;", 0, mine.schema + ".contacts"},
		"another's all":   {"DROP SCHEMA " + mine.schema + " CASCADE;", 0, "the schema " + mine.schema},
		"function gone":   {"DROP FUNCTION public.ours();", 0, "the function public.ours()"},
		"prepared":        {"PREPARE evil AS SELECT 1;", 0, "the prepared statement evil"},
		"own schema gone": {"SELECT 1;\nDO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$;", 2, "drops or renames the schema"},
		"own schema name": {"DO $$ BEGIN EXECUTE format('ALTER SCHEMA %I RENAME TO evil', current_schema()); END $$;", 1, "drops or renames the schema"},
		"own schema anew": {"DO $$ DECLARE s text := current_schema(); BEGIN EXECUTE format('DROP SCHEMA %I CASCADE; CREATE SCHEMA %1$I', s); END $$;", 1, "drops or renames the schema"},
		"open policy":     {"CREATE POLICY everybody ON contacts USING (true);", 0, "the policy everybody on contacts"},
	} {
		err := s.rehearse(t, map[string]string{"2_it": c.body})
		var failed *tenantschema.Failure
		if !errors.As(err, &failed) {
			t.Errorf("%s: %v, want a failure", name, err)
			continue
		}
		if failed.File != "2_it.sql" || failed.Line != c.line || !strings.Contains(failed.Error(), c.says) {
			t.Errorf("%s: %s, want line %d and %q", name, failed, c.line, c.says)
		}
		if strings.Contains(failed.Error(), "rehearsal") {
			t.Errorf("%s: %s names the schema that nobody sees", name, failed)
		}
	}
	if one[string](t, s.owner, lookAround) != before {
		t.Error("a rehearsal left something")
	}
	if last := one[int](t, s.owner, `SELECT last_value FROM public.numbers`); last < 40 {
		t.Errorf("the sequence gives numbers again from %d", last)
	}
	if held := one[int](t, s.owner, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); held != 0 {
		t.Errorf("%d locks are held after it", held)
	}
}

func TestRehearsalTakesWhatTenantsNeed(t *testing.T) {
	s := newStand(t)
	s.register(t, map[string]string{"1_all": everything})
	err := s.rehearse(t, map[string]string{
		"2_more": `CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE contacts ADD mood mood; ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> '');
			CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE INDEX ON contacts (name); INSERT INTO contacts (name) VALUES ('Ada');
			CREATE TABLE tags (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text COLLATE "C" UNIQUE); CREATE POLICY named ON tags AS RESTRICTIVE USING (name <> '');
			COMMENT ON TABLE tags IS 'what a contact is known for'; CREATE TABLE old_tags () INHERITS (tags);
			SELECT pg_advisory_xact_lock(5); COMMENT ON COLUMN tags.name IS 'short';
			CREATE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM tags; END $$; CALL tidy();`,
		"3_less": `DROP TABLE old_tags; ALTER TABLE contacts DROP COLUMN mood; DROP TYPE mood; DROP VIEW names; DROP TABLE visits;`,
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheExamplesOfTheDocumentsWork(t *testing.T) {
	examples, err := tenantschema.Load(os.DirFS("../../docs/examples/tenant_migrations"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	if err := tenantschema.Rehearse(t.Context(), newStand(t).owner, nil, examples); err != nil {
		t.Error(err)
	}
}
