package token_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newMinter(t testing.TB, algorithm string, key byte) *token.Minter {
	t.Helper()
	m, err := token.New(token.Config{
		Issuer: "us", Audience: "hasura", TTL: 15 * time.Minute, Algorithm: algorithm, EncryptionKey: bytes.Repeat([]byte{key}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// verify reads a token with the published keys, as any library would.
func verify(t testing.TB, db pg.DB, signed string) jwt.MapClaims {
	t.Helper()
	text, err := token.JWKS(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(signed, func(unverified *jwt.Token) (any, error) {
		key := set.Key(unverified.Header["kid"].(string))[0]
		if key.Use != "sig" || key.Algorithm != unverified.Method.Alg() || !key.IsPublic() {
			t.Errorf("published key %+v", key)
		}
		return key.Key, nil
	}, jwt.WithIssuer("us"), jwt.WithAudience("hasura"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Claims.(jwt.MapClaims)
}

func TestATokenCarriesJustTheClaimsHasuraReads(t *testing.T) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		db := pgtest.Database(t).Pool(t, "nself_server")
		minter := newMinter(t, algorithm, 1)
		if err := minter.EnsureKey(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
		inOther := pgtest.Operator
		inOther.Tenant = other.ID
		if _, err := member.Add(t.Context(), db, inOther, team.Admin, member.Guest); err != nil {
			t.Fatal(err)
		}
		minted, err := minter.Switch(t.Context(), db, team.As(member.Admin), team.ID)
		if err != nil {
			t.Fatal(err)
		}
		claims := verify(t, db, minted.Signed)
		hasura := claims["https://hasura.io/jwt/claims"].(map[string]any)
		for name, want := range map[string]string{
			"x-hasura-default-role": "tenant_admin", "x-hasura-user-id": team.Admin.String(), "x-hasura-tenant-id": team.ID.String(),
		} {
			if hasura[name] != want {
				t.Errorf("%s is %v, want %s", name, hasura[name], want)
			}
		}
		if roles := hasura["x-hasura-allowed-roles"].([]any); len(roles) != 1 || roles[0] != "tenant_admin" {
			t.Errorf("roles %v", roles)
		}
		ids := hasura["x-hasura-tenant-ids"].(string)
		if len(ids) != 2*36+3 || !strings.Contains(ids, team.ID.String()) || !strings.Contains(ids, other.ID.String()) || ids[0] != '{' {
			t.Errorf("tenant ids %s", ids)
		}
		issued, _ := claims.GetIssuedAt()
		expires, _ := claims.GetExpirationTime()
		if ahead := time.Since(issued.Time); ahead < 5*time.Second {
			t.Errorf("iat is only %s back", ahead)
		}
		if !expires.Time.Equal(minted.ExpiresAt) {
			t.Errorf("exp %s, said %s", expires, minted.ExpiresAt)
		}
	}
}

func TestNoMemberRoleEverBecomesHasurasAdmin(t *testing.T) {
	for _, role := range []member.Role{member.Owner, member.Admin, member.Plain, member.Guest} {
		if got := role.Session(); got == session.Operator || !strings.HasPrefix(string(got), "tenant_") {
			t.Errorf("%s becomes %s", role, got)
		}
	}
}

func TestATokenWithoutTenantHasRoleUser(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	minter := newMinter(t, "ES256", 1)
	if err := minter.EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	minted, err := minter.MintForOperator(t.Context(), db, pgtest.Operator, token.Holder{User: pgtest.User(t, db), TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	hasura := verify(t, db, minted.Signed)["https://hasura.io/jwt/claims"].(map[string]any)
	if _, has := hasura["x-hasura-tenant-id"]; has || hasura["x-hasura-default-role"] != "user" || hasura["x-hasura-tenant-ids"] != "{}" {
		t.Errorf("claims %v", hasura)
	}
}

func TestServersThatStartAtOnceAgreeOnOneKey(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			if err := newMinter(t, "ES256", 1).EnsureKey(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var n int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM auth.signing_keys`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
}

func TestAWrongEncryptionKeyIsFoundAtStart(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	if err := newMinter(t, "ES256", 1).EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	err := newMinter(t, "ES256", 2).EnsureKey(t.Context(), db)
	if err == nil || !strings.Contains(err.Error(), "NSELF_ENCRYPTION_KEY") {
		t.Errorf("%v", err)
	}
	if err := newMinter(t, "ES256", 1).EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if err := db.QueryRow(t.Context(), `SELECT private_key FROM auth.signing_keys`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte{0x2b, 0x81, 0x04}) || bytes.Contains(sealed, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d}) {
		t.Error("the private key lies open in the database")
	}
	if _, err := db.Exec(t.Context(), `UPDATE auth.signing_keys SET kid = 'another'`); err != nil {
		t.Fatal(err)
	}
	if err := newMinter(t, "ES256", 1).EnsureKey(t.Context(), db); err == nil {
		t.Error("a key put in another's place opens")
	}
}

func TestARetiredKeySignsNoMoreAndIsPublishedUntilItsTime(t *testing.T) {
	under := pgtest.Database(t)
	db := under.Pool(t, "nself_server")
	minter := newMinter(t, "ES256", 1)
	if err := minter.EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	for retired, published := range map[string]int{"now() + interval '1 hour'": 1, "now() - interval '1 second'": 0} {
		if _, err := db.Exec(t.Context(), `UPDATE auth.signing_keys SET retired_at = `+retired); err != nil {
			t.Fatal(err)
		}
		text, err := token.JWKS(t.Context(), db)
		if err != nil || strings.Count(string(text), `"kid"`) != published {
			t.Errorf("retired %s: %s, %v", retired, text, err)
		}
		holder := token.Holder{User: pgtest.User(t, db)}
		if _, err := minter.MintForOperator(t.Context(), db, pgtest.Operator, holder); !fault.Is(err, fault.Unavailable) {
			t.Errorf("retired %s: it still signs, or says %v", retired, err)
		}
	}
}

func TestTheClaimListsOnlyTenantsInService(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	minter := newMinter(t, "ES256", 1)
	if err := minter.EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	inOther := pgtest.Operator
	inOther.Tenant = other.ID
	if _, err := member.Add(t.Context(), db, inOther, team.Owner, member.Guest); err != nil {
		t.Fatal(err)
	}
	if _, err := tenant.Suspend(t.Context(), db, inOther, ""); err != nil {
		t.Fatal(err)
	}
	minted, err := minter.Switch(t.Context(), db, team.As(member.Owner), team.ID)
	if err != nil {
		t.Fatal(err)
	}
	hasura := verify(t, db, minted.Signed)["https://hasura.io/jwt/claims"].(map[string]any)
	if hasura["x-hasura-tenant-ids"] != "{"+team.ID.String()+"}" {
		t.Errorf("tenant ids %v", hasura["x-hasura-tenant-ids"])
	}
}

func TestAStrangerGetsNoToken(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	minter := newMinter(t, "ES256", 1)
	team := pgtest.NewTeam(t, db)
	stranger := session.Session{Role: session.User, User: pgtest.User(t, db)}
	if _, err := minter.Switch(t.Context(), db, stranger, team.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	for _, bytes := range []int{0, 5, 16, 24, 33} {
		if _, err := token.New(token.Config{EncryptionKey: make([]byte, bytes)}); err == nil {
			t.Errorf("an encryption key of %d bytes was taken", bytes)
		}
	}
}
