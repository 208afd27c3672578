package tracking

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const adminSecret = "the admin secret"

// contactsSQL is a tenant migration: types of the schema's own, a reference, a generated
// column and one that GraphQL has no name for.
const contactsSQL = `
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
CREATE TABLE contacts (
  id integer PRIMARY KEY, name text NOT NULL, mood mood, mail email, company_id uuid REFERENCES companies,
  shouted text GENERATED ALWAYS AS (upper(name)) STORED, "two words" text, "50% o'clock" integer);`

// stand is a Hasura beside a database with tenants that have a schema of their own.
type stand struct {
	db     *pgtest.DB
	server *pgxpool.Pool
	admin  *pgxpool.Pool
	url    string
	hasura *hasuraapi.Client
	*Tracker
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{db: pgtest.Database(t)}
	s.server, s.admin = s.db.Pool(t, "nself_server"), s.db.Superuser(t)
	files, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := metadata.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys": []}`)) }))
	t.Cleanup(keys.Close)
	running, err := engine.Start(t.Context(), engine.Config{
		Metadata: loaded, DatabaseURL: s.db.URL("nself_hasura"), AdminSecret: adminSecret, JWKSURL: keys.URL,
		Env: func(string) string { return "http://localhost:1" }, Log: slog.New(slog.DiscardHandler), EventInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	})
	listening := httptest.NewServer(running.Handler())
	t.Cleanup(listening.Close)
	s.url = listening.URL
	if s.hasura, err = hasuraapi.New(s.url, hasuraapi.Credential{AdminSecret: adminSecret}, nil); err != nil {
		t.Fatal(err)
	}
	s.Tracker = New(Config{DB: s.server, Hasura: s.hasura, Log: slog.New(slog.DiscardHandler)})
	return s
}

// exec runs a statement as the superuser.
func (s *stand) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// register adds a tenant migration, and gives it to the tenants there are.
func (s *stand) register(t *testing.T, version int, sql string) {
	t.Helper()
	s.exec(t, `INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES ($1, 'file', $2, repeat('0', 64))`, version, sql)
	s.exec(t, `SELECT tenants.apply_tenant_migrations(tenant_id) FROM tenants.tenant_schemas`)
}

// tenant makes a team of strategy schema, and returns it with the name of its schema.
func (s *stand) tenant(t *testing.T) (pgtest.Team, string) {
	t.Helper()
	team := pgtest.NewTeam(t, s.server)
	s.exec(t, `UPDATE tenants.tenants SET strategy = 'schema' WHERE id = $1`, team.ID)
	name, err := pg.Scalar[string](t.Context(), s.server, `SELECT tenants.create_tenant_schema(@tenant_id, 'tenant_')`, pgx.NamedArgs{"tenant_id": team.ID})
	if err != nil {
		t.Fatal(err)
	}
	return team, name
}

// track tracks what waits, of which there must be so many schemas.
func (s *stand) track(t *testing.T, want int64) {
	t.Helper()
	if got, err := s.Track(t.Context()); err != nil || got != want {
		t.Fatalf("Track() = %d, %v; want %d", got, err, want)
	}
}

// ask sends a document as a member with a session that stands; the answer is data, or the
// first error's message.
func (s *stand) ask(t *testing.T, team pgtest.Team, role, document string) string {
	t.Helper()
	users := map[string]id.User{"tenant_owner": team.Owner, "tenant_admin": team.Admin, "tenant_member": team.Member, "tenant_guest": team.Guest}
	session, err := pg.Scalar[id.Session](t.Context(), s.admin, openSessionSQL, pgx.NamedArgs{"tenant_id": team.ID, "user_id": users[role], "role": role})
	if err != nil {
		t.Fatal(err)
	}
	return s.post(t, document, map[string]string{"X-Hasura-Role": role, "X-Hasura-Tenant-Id": team.ID.String(),
		"X-Hasura-User-Id": users[role].String(), "X-Hasura-Session-Id": session.String()})
}

const openSessionSQL = `
WITH made AS (SELECT gen_random_uuid() AS id)
INSERT INTO auth.sessions (id, family_id, method, tenant_id, user_id, role, expires_at)
SELECT id, id, 'operator', @tenant_id, @user_id, @role, now() + interval '1 hour' FROM made RETURNING id`

func (s *stand) post(t *testing.T, document string, session map[string]string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Hasura-Admin-Secret", adminSecret)
	for name, value := range session {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var reply struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	if len(reply.Errors) > 0 {
		return reply.Errors[0].Message
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, reply.Data); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}
