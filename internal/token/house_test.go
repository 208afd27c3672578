package token_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// house is a database with a key that signs and a team.
type house struct {
	under  *pgtest.DB
	db     *pgxpool.Pool
	minter *token.Minter
	team   pgtest.Team
}

func newHouse(t testing.TB) house {
	t.Helper()
	under := pgtest.Database(t)
	h := house{under: under, db: under.Pool(t, "nself_server"), minter: newMinter(t, "ES256", 1)}
	if err := h.minter.EnsureKey(t.Context(), h.db); err != nil {
		t.Fatal(err)
	}
	h.team = pgtest.NewTeam(t, h.db)
	return h
}

// rolledBack is one whose rows nobody else sees, for what needs no second connection.
type rolledBack struct {
	tx     pgx.Tx
	minter *token.Minter
	team   pgtest.Team
}

func newRolledBack(t testing.TB) rolledBack {
	t.Helper()
	r := rolledBack{tx: pgtest.Tx(t, "nself_server"), minter: newMinter(t, "ES256", 1)}
	if err := r.minter.EnsureKey(t.Context(), r.tx); err != nil {
		t.Fatal(err)
	}
	r.team = pgtest.NewTeam(t, r.tx)
	return r
}

// signIn opens a session by link.
func signIn(t testing.TB, db pg.DB, m *token.Minter, user id.User, tenant id.Tenant) token.Token {
	t.Helper()
	opened, err := m.Open(t.Context(), db, session.Session{Role: session.User, User: user, RequestID: "test"},
		token.SignIn{User: user, Tenant: tenant, Method: token.ByLink, UserAgent: "a browser"})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// as is the actor a token stands for.
func as(got token.Token) session.Session {
	return session.Session{Role: got.Role, User: got.User, Tenant: got.Tenant, ID: got.Session, RequestID: "test"}
}

// join makes the user a guest of another new team.
func join(t testing.TB, db pg.DB, user id.User) pgtest.Team {
	t.Helper()
	other := pgtest.NewTeam(t, db)
	inOther := pgtest.Operator
	inOther.Tenant = other.ID
	if _, err := member.Add(t.Context(), db, inOther, user, member.Guest); err != nil {
		t.Fatal(err)
	}
	return other
}

func execute(t testing.TB, db pg.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// read reads one value.
func read[T any](t testing.TB, db pg.DB, sql string, args ...any) T {
	t.Helper()
	rows, _ := db.Query(t.Context(), sql, args...)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func refused(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: want %s, got %v", what, code, err)
	}
}

// audited lists the rows of the audit log of this action as "tenant target user".
func audited(t testing.TB, db pg.DB, action string) []string {
	t.Helper()
	rows, _ := db.Query(t.Context(), `SELECT concat_ws(' ', coalesce(tenant_id::text, 'none'), target) FROM audit.log WHERE action = $1 ORDER BY id`, action)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wire is a listener that hands on what the test says.
type wire struct {
	dead        atomic.Bool
	mu          sync.Mutex
	subscribers []func(string)
}

func (w *wire) Live() bool { return !w.dead.Load() }

func (w *wire) Subscribe(f func(string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers = append(w.subscribers, f)
}

func (w *wire) handOn(payload string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.subscribers {
		f(payload)
	}
}

func newVerifier(db *pgxpool.Pool, changes token.Changes) *token.Verifier {
	return token.NewVerifier(token.VerifierConfig{Issuer: "us", Audience: "hasura", DB: db, Changes: changes})
}

// forger has the installation's private key: what it signs is refused for what it says.
type forger struct {
	kid string
	key *ecdsa.PrivateKey
}

func newForger(t testing.TB, db pg.DB) forger {
	t.Helper()
	f := forger{kid: read[string](t, db, `SELECT kid FROM auth.signing_keys ORDER BY signs_from DESC LIMIT 1`)}
	box, err := seal.New(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := box.Open(read[[]byte](t, db, `SELECT private_key FROM auth.signing_keys WHERE kid = $1`, f.kid), f.kid)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	f.key = parsed.(*ecdsa.PrivateKey)
	return f
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign makes a token of a header and a payload in the words of the test.
func (f forger) sign(header, payload string) string {
	text := segment(header) + "." + segment(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, sum[:])
	if err != nil {
		panic(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

func (f forger) header() string { return fmt.Sprintf(`{"alg":"ES256","typ":"JWT","kid":%q}`, f.kid) }

// payload is what a token says, as JSON, with parts put in the place of others.
func payload(t testing.TB, of token.Token, replace ...string) string {
	t.Helper()
	now := time.Now().Unix()
	text := fmt.Sprintf(`{"iss":"us","aud":"hasura","sub":"%[1]s","jti":"x","sid":"%[2]s","iat":%[3]d,"exp":%[4]d,`+
		`"https://hasura.io/jwt/claims":{"x-hasura-allowed-roles":["%[5]s"],"x-hasura-default-role":"%[5]s","x-hasura-user-id":"%[1]s",`+
		`"x-hasura-session-id":"%[2]s","x-hasura-tenant-id":"%[6]s","x-hasura-tenant-ids":"{%[6]s}"}}`,
		of.User, of.Session, now-5, now+600, of.Role, of.Tenant)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the payload has no %s: %s", replace[i], text)
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}
