package apikey_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a database of its own with one tenant in it.
type house struct {
	under  *pgtest.DB
	db     *pgxpool.Pool // as nself_server
	minter *token.Minter
	team   pgtest.Team
}

func newHouse(t *testing.T) house {
	t.Helper()
	under := pgtest.Database(t)
	h := house{under: under, db: under.Pool(t, "nself_server")}
	minter, err := token.New(token.Config{
		Issuer: "test", Audience: "hasura", TTL: time.Minute, Algorithm: "ES256", EncryptionKey: bytes.Repeat([]byte{7}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := minter.EnsureKey(t.Context(), h.db); err != nil {
		t.Fatal(err)
	}
	h.minter, h.team = minter, pgtest.NewTeam(t, h.db)
	return h
}

// inside runs work as an action of the actor runs: for a tenant under its walls.
func (h house) inside(t *testing.T, actor session.Session, work func(pgx.Tx) error) error {
	t.Helper()
	return pg.InTx(t.Context(), h.db, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, actor); err != nil {
			return err
		}
		return work(tx)
	})
}

func (h house) create(t *testing.T, actor session.Session, in apikey.CreateInput) apikey.Key {
	t.Helper()
	var problems fault.Problems
	if in.Validate(&problems); problems != nil {
		t.Fatal(problems)
	}
	var made apikey.Key
	err := h.inside(t, actor, func(tx pgx.Tx) (err error) {
		made, err = apikey.Create(t.Context(), tx, actor, h.minter, in)
		return err
	})
	if err != nil {
		t.Fatalf("create a key: %v", err)
	}
	return made
}

func (h house) revoke(t *testing.T, actor session.Session, key id.APIKey) (revoked apikey.Key, err error) {
	t.Helper()
	err = h.inside(t, actor, func(tx pgx.Tx) (err error) {
		revoked, err = apikey.Revoke(t.Context(), tx, actor, key)
		return err
	})
	return revoked, err
}

// refused fails the test unless the key is refused, always with the same words.
func (h house) refused(t *testing.T, what, plain string) {
	t.Helper()
	holder, err := apikey.Use(t.Context(), h.db, plain)
	if f := fault.From(err); f == nil || f.Code != fault.InvalidGrant || f.Message != fault.From(firstRefusal(t, h)).Message || f.Details != nil {
		t.Errorf("%s: %v, %v", what, holder, err)
	}
	if holder != (apikey.Holder{}) {
		t.Errorf("%s is refused and named: %v", what, holder)
	}
}

// firstRefusal is how a key that never was is refused.
func firstRefusal(t *testing.T, h house) error {
	t.Helper()
	_, err := apikey.Use(t.Context(), h.db, "")
	return err
}

func (h house) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := h.under.Superuser(t).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (h house) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	if err := h.under.Superuser(t).QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func owner(team pgtest.Team) session.Session { return team.As(member.Owner) }
