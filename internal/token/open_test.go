package token_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func TestOpenBeginsAFamilyWithARefreshToken(t *testing.T) {
	r := newRolledBack(t)
	got := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	if got.Role != session.Member || got.Tenant != r.team.ID || got.User != r.team.Member || !strings.HasPrefix(got.Refresh, "nsr_") || len(got.Refresh) != 47 {
		t.Errorf("opened %+v", got)
	}
	row := read[string](t, r.tx, `SELECT concat_ws(' ', family_id = id, method, role, user_agent, ended_at, extract(day FROM expires_at - now()))
		FROM auth.sessions WHERE id = $1`, got.Session)
	if row != "t link tenant_member a browser 90" {
		t.Errorf("session: %s", row)
	}
	claims := verify(t, r.tx, got.Signed)
	hasura := claims["https://hasura.io/jwt/claims"].(map[string]any)
	if claims["sid"] != got.Session.String() || hasura["x-hasura-session-id"] != got.Session.String() || claims["jti"] == claims["sid"] {
		t.Errorf("claims %v", claims)
	}
	if _, there := hasura["x-hasura-impersonator"]; there || claims["act"] != nil {
		t.Error("a user's own token says that somebody else acts")
	}
	if diff := cmp.Diff([]string{r.team.ID.String() + " session:" + got.Session.String()}, audited(t, r.tx, "sign_in")); diff != "" {
		t.Error(diff)
	}
}

func TestRefreshTokensAreKeptAsHashesOnly(t *testing.T) {
	r := newRolledBack(t)
	got := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.refresh_tokens WHERE token_hash = sha256($1::text::bytea)`, got.Refresh); n != 1 {
		t.Errorf("%d rows have the hash", n)
	}
	all := read[string](t, r.tx, `SELECT string_agg(r::text, ' ') FROM auth.refresh_tokens r`) +
		read[string](t, r.tx, `SELECT string_agg(l::text, ' ') FROM audit.log l`)
	if strings.Contains(all, got.Refresh) || strings.Contains(all, got.Signed) {
		t.Error("a token stands in the database")
	}
}

func TestOpenWithoutTenantIsRoleUser(t *testing.T) {
	r := newRolledBack(t)
	got := signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	if got.Role != session.User || !got.Tenant.IsZero() || got.Refresh == "" {
		t.Errorf("opened %+v", got)
	}
	if diff := cmp.Diff([]string{"none session:" + got.Session.String()}, audited(t, r.tx, "sign_in")); diff != "" {
		t.Error(diff)
	}
}

func TestOpenProvesTheMembership(t *testing.T) {
	r := newRolledBack(t)
	stranger := pgtest.User(t, r.tx)
	open := func(user id.User, in id.Tenant) error {
		got, err := r.minter.Open(t.Context(), r.tx, session.Session{Role: session.User, User: user}, token.SignIn{User: user, Tenant: in, Method: token.ByLink})
		if got != (token.Token{}) {
			t.Errorf("refused with a token: %+v", got)
		}
		return err
	}
	refused(t, "a stranger", open(stranger, r.team.ID), fault.NotFound)
	refused(t, "no such tenant", open(r.team.Owner, id.New[id.Tenant]()), fault.NotFound)
	refused(t, "no such user", open(id.New[id.User](), id.Tenant{}), fault.NotFound)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	if _, err := tenant.Suspend(t.Context(), r.tx, inside, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, "a suspended tenant", open(r.team.Owner, r.team.ID), fault.NotFound)
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.sessions`); n != 0 {
		t.Errorf("%d sessions were opened all the same", n)
	}
}

func TestOpenIsForPeopleWhoSignIn(t *testing.T) {
	r := newRolledBack(t)
	for _, method := range []token.Method{"", token.ByKey, token.ByOperator, token.ByImpersonation} {
		in := token.SignIn{User: r.team.Owner, Tenant: r.team.ID, Method: method}
		if _, err := r.minter.Open(t.Context(), r.tx, r.team.As(member.Owner), in); err == nil {
			t.Errorf("signed in by %q", method)
		}
	}
}

func TestWhatABrowserSaysIsKeptShortAndPrintable(t *testing.T) {
	r := newRolledBack(t)
	said := "a\x00b\xff\n" + strings.Repeat("ü", 400)
	got, err := r.minter.Open(t.Context(), r.tx, session.Session{}, token.SignIn{User: r.team.Owner, Method: token.ByExchange, UserAgent: said})
	if err != nil {
		t.Fatal(err)
	}
	if kept := read[string](t, r.tx, `SELECT user_agent FROM auth.sessions WHERE id = $1`, got.Session); kept != "ab"+strings.Repeat("ü", 298) {
		t.Errorf("kept %q", kept)
	}
}

func TestATokenNeverOutlivesItsSession(t *testing.T) {
	r := newRolledBack(t)
	short, err := token.New(token.Config{
		Issuer: "us", Audience: "hasura", TTL: time.Hour, SessionTTL: time.Minute, RefreshTTL: time.Hour,
		Algorithm: "ES256", EncryptionKey: bytes.Repeat([]byte{1}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := signIn(t, r.tx, short, r.team.Member, r.team.ID)
	if !read[bool](t, r.tx, `SELECT expires_at >= $2 FROM auth.sessions WHERE id = $1`, got.Session, got.ExpiresAt) {
		t.Errorf("the token ends at %s, after its session", got.ExpiresAt)
	}
	exp, _ := verify(t, r.tx, got.Signed).GetExpirationTime()
	if !exp.Equal(got.ExpiresAt) {
		t.Errorf("exp %s, said %s", exp, got.ExpiresAt)
	}
	if !read[bool](t, r.tx, `SELECT r.expires_at = s.expires_at FROM auth.refresh_tokens r JOIN auth.sessions s ON s.id = r.session_id`) {
		t.Error("the refresh token outlives the session")
	}
}

func TestTheListOfTenantsFitsAHeader(t *testing.T) {
	r := newRolledBack(t)
	execute(t, r.tx, `INSERT INTO tenants.tenants (id, slug, name, plan, strategy, owner_user_id)
		SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'many-' || n, 'many', 'free', 'rls', $1 FROM generate_series(1, 300) n`, r.team.Owner)
	execute(t, r.tx, `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, $1, 'owner' FROM tenants.tenants WHERE name = 'many'`, r.team.Owner)
	got := signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	ids := verify(t, r.tx, got.Signed)["https://hasura.io/jwt/claims"].(map[string]any)["x-hasura-tenant-ids"].(string)
	if n := strings.Count(ids, ",") + 1; n != 100 || !strings.Contains(ids, r.team.ID.String()) || len(got.Signed) > 8<<10 {
		t.Errorf("%d tenants in a token of %d bytes, its own among them: %t", n, len(got.Signed), strings.Contains(ids, r.team.ID.String()))
	}
}
