package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

var schemas = flag.Int("places.schemas", 1000, "how many tenants have a schema of their own")

// schemaFile are the five tables of a tenant's schema: keys, references and an index, as a
// small product has them.
const schemaFile = `
CREATE TABLE contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE);
CREATE TABLE deals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), contact_id uuid NOT NULL REFERENCES contacts, company_id uuid REFERENCES companies, amount bigint NOT NULL);
CREATE TABLE tasks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), deal_id uuid NOT NULL REFERENCES deals ON DELETE CASCADE, title text NOT NULL, done boolean NOT NULL DEFAULT false);
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE, body text NOT NULL);
CREATE INDEX notes_by_contact ON notes (contact_id);`

const adminSecret = "the admin secret"

// town is a database of tenants with schemas of their own, the command, and a stand-in for
// Hasura.
type town struct {
	db      *pgtest.DB
	server  *pgxpool.Pool
	owner   *pgx.Conn
	mayor   id.User // who owns all tenants
	command string
	dir     string // of the customer's migrations
	hasura  string
}

// BenchmarkPlaces measures tenants with a schema of their own.
func BenchmarkPlaces(b *testing.B) {
	b.Run("schemas", func(b *testing.B) {
		w := newTown(b)
		b.Run("create", w.create)
		b.Run("catalog", w.catalog)
		b.Run("nothing-new", w.nothingNew)
		b.Run("one-statement", w.oneStatement)
		b.Run("hasura", w.tracked)
	})
}

func newTown(b *testing.B) *town {
	b.Helper()
	w := &town{db: pgtest.Database(b), dir: b.TempDir()}
	w.server = w.db.Pool(b, "nself_server")
	w.owner = newReader(b, w.db, "nself_owner", session.Session{}).conn
	w.mayor = pgtest.User(b, w.server)
	w.command = filepath.Join(b.TempDir(), "nself")
	if out, err := exec.Command("go", "build", "-o", w.command, "../cmd/nself").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return w
}

// nself runs the command, with Hasura where that runs, and returns what it said.
func (w *town) nself(b *testing.B, args ...string) string {
	b.Helper()
	cmd := exec.Command(w.command, args...)
	cmd.Env = []string{"DATABASE_URL=" + w.db.URL("nself_owner")}
	if w.hasura != "" {
		cmd.Env = append(cmd.Env, "HASURA_GRAPHQL_ENDPOINT="+w.hasura, "HASURA_GRAPHQL_ADMIN_SECRET="+adminSecret)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("nself %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (w *town) file(b *testing.B, name, text string) {
	b.Helper()
	must(b, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
}

func (w *town) sql(b *testing.B, sql string) {
	b.Helper()
	if _, err := w.owner.PgConn().Exec(b.Context(), sql).ReadAll(); err != nil {
		b.Fatalf("%.80s: %v", sql, err)
	}
}

func (w *town) figure(b *testing.B, sql string) float64 {
	b.Helper()
	n, err := pg.Scalar[float64](b.Context(), w.owner, sql, nil)
	must(b, err)
	return n
}

// create compares a tenant with a schema, made as the action makes it, with the bare
// statements of its tables in a transaction, and leaves all tenants behind.
func (w *town) create(b *testing.B) {
	w.file(b, "1_crm.sql", schemaFile)
	w.nself(b, "tenant", "migrate", "--dir", w.dir)
	names, bares := 0, 0
	whole := side{"tenant", func() error {
		names++
		return w.house(b, fmt.Sprintf("house-%d", names))
	}}
	bare := side{"bare DDL", func() error {
		bares++
		_, err := w.owner.PgConn().Exec(b.Context(), fmt.Sprintf("BEGIN; CREATE SCHEMA bare_%[1]d; SET LOCAL search_path = bare_%[1]d; %[2]s COMMIT", bares, schemaFile)).ReadAll()
		return err
	}}
	turns := compare(b, 1, whole, bare)
	b.ReportMetric(turns.ratio(0, 1), "x-bare-DDL")
	b.ReportMetric(turns.micros(0)/1000, "ms")
	b.ReportMetric(turns.micros(1)/1000, "bare-ms")
	before, started, first := w.figure(b, catalogSQL), time.Now(), names
	for names < *schemas {
		must(b, whole.do())
	}
	if names > first {
		b.ReportMetric(float64(names-first)/time.Since(started).Seconds(), "tenants/s")
		b.ReportMetric((w.figure(b, catalogSQL)-before)/float64(names-first)/1024, "catalog-kB/tenant")
	}
	w.dropBare(b)
}

func (w *town) house(b *testing.B, slug string) error {
	return pg.InTx(b.Context(), w.server, func(tx pgx.Tx) error {
		_, err := tenant.Create(b.Context(), tx, pgtest.Operator, tenant.CreateInput{Name: slug, Slug: slug, Plan: "enterprise", Owner: w.mayor, Strategy: tenant.Schema}, pgtest.Defaults)
		return err
	})
}

func (w *town) dropBare(b *testing.B) {
	b.Helper()
	rows, _ := w.owner.Query(b.Context(), `SELECT 'DROP SCHEMA ' || nspname || ' CASCADE' FROM pg_namespace WHERE nspname LIKE 'bare\_%'`)
	drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(b, err)
	for _, drop := range drops {
		w.sql(b, drop)
	}
}

const catalogSQL = `SELECT sum(pg_total_relation_size(oid))::float8 FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'`

func (w *town) catalog(b *testing.B) {
	for b.Loop() {
		n := w.figure(b, `SELECT count(*)::float8 FROM tenants.tenant_schemas`)
		for name, sql := range map[string]string{
			"pg_class-rows/tenant":  `SELECT count(*)::float8 FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'tenant\_%'`,
			"pg_policy-rows/tenant": `SELECT count(*)::float8 FROM pg_policy p JOIN pg_class c ON c.oid = polrelid WHERE relnamespace::regnamespace::text LIKE 'tenant\_%'`,
			"data-kB/tenant":        `SELECT sum(pg_total_relation_size(oid))::float8 / 1024 FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text LIKE 'tenant\_%'`,
		} {
			b.ReportMetric(w.figure(b, sql)/n, name)
		}
		b.ReportMetric(n, "tenants")
	}
	b.ReportMetric(0, "ns/op")
}

// nothingNew is the command on tenants that have everything.
func (w *town) nothingNew(b *testing.B) {
	rounds, started := 0, time.Now()
	for b.Loop() {
		rounds++
		w.nself(b, "tenant", "migrate", "--dir", w.dir)
	}
	b.ReportMetric(time.Since(started).Seconds()/float64(rounds), "s")
	b.ReportMetric(0, "ns/op")
}

// oneStatement compares the command, with one new file, with the bare statement in each
// schema, one after the other on one connection.
func (w *town) oneStatement(b *testing.B) {
	rows, _ := w.owner.Query(b.Context(), `SELECT format('ALTER TABLE %I.contacts ADD COLUMN bare text', schema_name) FROM tenants.tenant_schemas`)
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(b, err)
	for n := 2; b.Loop(); n++ {
		started := time.Now()
		for _, statement := range statements {
			w.sql(b, statement)
		}
		bare := time.Since(started)
		for _, statement := range statements {
			w.sql(b, statement[:len(statement)-len("ADD COLUMN bare text")]+"DROP COLUMN bare")
		}
		w.file(b, fmt.Sprintf("%d_column.sql", n), fmt.Sprintf("ALTER TABLE contacts ADD COLUMN column_%d text;", n))
		started = time.Now()
		w.nself(b, "tenant", "migrate", "--dir", w.dir)
		took := time.Since(started)
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(bare.Seconds(), "bare-s")
		b.ReportMetric(took.Seconds()/bare.Seconds(), "x-bare-DDL")
		b.ReportMetric(float64(len(statements)), "schemas")
	}
	b.ReportMetric(0, "ns/op")
}

// tracked is what all the tables come to in Hasura's metadata, and how long the stand-in
// takes to be given it.
func (w *town) tracked(b *testing.B) {
	tree, err := fs.Sub(hasura.Metadata, "metadata")
	must(b, err)
	loaded, err := metadata.Load(tree)
	must(b, err)
	running, err := engine.Start(b.Context(), engine.Config{
		Metadata: loaded, DatabaseURL: w.db.URL("nself_hasura"), AdminSecret: adminSecret,
		Env: func(string) string { return "http://127.0.0.1:9" }, Log: slog.New(slog.DiscardHandler), EventInterval: time.Hour,
	})
	must(b, err)
	defer func() { must(b, running.Close()) }()
	served := httptest.NewServer(running.Handler())
	defer served.Close()
	w.hasura = served.URL
	for b.Loop() {
		before := len(w.export(b))
		started := time.Now()
		w.nself(b, "tenant", "migrate", "--dir", w.dir)
		b.ReportMetric(time.Since(started).Seconds(), "track-all-s")
		document := w.export(b)
		b.ReportMetric(float64(len(document)-before)/1024/float64(*schemas), "metadata-kB/tenant")
		started = time.Now()
		w.ask(b, map[string]any{"type": "replace_metadata", "version": 2, "args": map[string]any{"metadata": document}})
		b.ReportMetric(time.Since(started).Seconds(), "replace-s")
	}
	b.ReportMetric(0, "ns/op")
}

func (w *town) export(b *testing.B) json.RawMessage {
	b.Helper()
	return w.ask(b, map[string]any{"type": "export_metadata", "args": map[string]any{}})
}

func (w *town) ask(b *testing.B, command map[string]any) json.RawMessage {
	b.Helper()
	body, err := json.Marshal(command)
	must(b, err)
	post, err := http.NewRequestWithContext(b.Context(), http.MethodPost, w.hasura+"/v1/metadata", bytes.NewReader(body))
	must(b, err)
	post.Header.Set("X-Hasura-Admin-Secret", adminSecret)
	reply, err := http.DefaultClient.Do(post)
	must(b, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = errors.New(string(text))
	}
	must(b, err)
	return text
}
