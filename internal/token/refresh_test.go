package token_test

import (
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func refresh(t testing.TB, db pg.DB, m *token.Minter, secret string) token.Token {
	t.Helper()
	got, err := m.Refresh(t.Context(), db, token.Refreshing{Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// noGrant shows a token that gets nothing, with the one answer there is.
func noGrant(t testing.TB, what string, db pg.DB, m *token.Minter, in token.Refreshing) {
	t.Helper()
	got, err := m.Refresh(t.Context(), db, in)
	if got != (token.Token{}) || !fault.Is(err, fault.InvalidGrant) ||
		fault.From(err).Message != "the refresh token is not good, or no longer; sign in again" || fault.From(err).Details != nil {
		t.Errorf("%s: %+v, %v", what, got, err)
	}
	if in.Token != "" && err != nil && strings.Contains(err.Error(), in.Token) {
		t.Errorf("%s: the error has the token", what)
	}
}

func running(t testing.TB, db pg.DB, one id.Session) bool {
	t.Helper()
	return read[bool](t, db, `SELECT EXISTS (SELECT FROM auth.sessions WHERE id = $1 AND ended_at IS NULL)`, one)
}

func TestRefreshTokensRotate(t *testing.T) {
	r := newRolledBack(t)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	second := refresh(t, r.tx, r.minter, first.Refresh)
	third := refresh(t, r.tx, r.minter, second.Refresh)
	if second.Refresh == first.Refresh || third.Refresh == second.Refresh || third.Session != first.Session || third.Signed == first.Signed {
		t.Errorf("%+v, then %+v, then %+v", first, second, third)
	}
	verify(t, r.tx, third.Signed)
	if diff := cmp.Diff(2, read[int](t, r.tx, `SELECT count(*) FROM auth.refresh_tokens WHERE spent_at IS NOT NULL`)); diff != "" {
		t.Error(diff)
	}
	if !read[bool](t, r.tx, `SELECT refreshed_at = now() FROM auth.sessions WHERE id = $1`, first.Session) {
		t.Error("the session does not tell when it was refreshed")
	}
	if n := read[int](t, r.tx, `SELECT count(*) FROM audit.log WHERE action LIKE '%refresh%'`); n != 0 {
		t.Errorf("%d rows of the audit log for what is routine", n)
	}
}

func TestTheSuccessorCannotBeToldFromTheTokenAlone(t *testing.T) {
	r := newRolledBack(t)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	ours := refresh(t, r.tx, r.minter, first.Refresh).Refresh
	// Another encryption key, the same token shown within its grace.
	other := newMinter(t, "ES256", 2)
	execute(t, r.tx, `UPDATE auth.signing_keys SET retired_at = now()`)
	if err := other.EnsureKey(t.Context(), r.tx); err != nil {
		t.Fatal(err)
	}
	if theirs := refresh(t, r.tx, other, first.Refresh).Refresh; theirs == ours {
		t.Error("the successor does not depend on the encryption key")
	}
}

func TestRefreshReadsThePresentRole(t *testing.T) {
	r := newRolledBack(t)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	execute(t, r.tx, `UPDATE tenants.tenant_members SET role = 'guest' WHERE user_id = $1`, r.team.Member)
	second := refresh(t, r.tx, r.minter, first.Refresh)
	if role := read[string](t, r.tx, `SELECT role FROM auth.sessions WHERE id = $1`, first.Session); second.Role != session.Guest || role != "tenant_guest" {
		t.Errorf("role %s, in the session %s", second.Role, role)
	}
}

func TestRefreshRefusesEverythingElseAlike(t *testing.T) {
	r := newRolledBack(t)
	open := func() token.Token { return signIn(t, r.tx, r.minter, r.team.Member, r.team.ID) }
	good := open().Refresh
	for what, secret := range map[string]string{
		"nothing": "", "a prefix alone": "nsr_", "garbage": "nsr_!", "an access token": open().Signed,
		"no prefix": good[4:], "another prefix": "nsk_" + good[4:], "capitals": "NSR_" + good[4:],
		"one that was never made": "nsr_" + strings.Repeat("A", 43), "a byte more": good + "A", "padding": good + "=",
		"a space before": " " + good, "a newline after": good + "\n", "a NUL": good[:46] + "\x00", "a megabyte": "nsr_" + strings.Repeat("A", 1<<20),
		"the same bits in other letters": sameBits(good),
	} {
		noGrant(t, what, r.tx, r.minter, token.Refreshing{Token: secret})
	}
	for what, sql := range map[string]string{
		"its time is over":      `UPDATE auth.refresh_tokens SET expires_at = now() WHERE session_id = $1`,
		"its session ended":     `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1`,
		"its session's time up": `UPDATE auth.sessions SET expires_at = now() WHERE id = $1`,
		"its session is gone":   `DELETE FROM auth.sessions WHERE id = $1`,
	} {
		opened := open()
		execute(t, r.tx, sql, opened.Session)
		noGrant(t, what, r.tx, r.minter, token.Refreshing{Token: opened.Refresh})
	}
	refresh(t, r.tx, r.minter, good)
	if n := len(audited(t, r.tx, "refresh_token_reused")); n != 0 {
		t.Errorf("%d reuses", n)
	}
}

// sameBits spells the last character of 43 otherwise: two of its bits belong to no byte.
func sameBits(secret string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, secret[len(secret)-1])
	other := secret[:len(secret)-1] + string(letters[last^1])
	one, _ := base64.RawURLEncoding.DecodeString(secret[4:])
	two, _ := base64.RawURLEncoding.DecodeString(other[4:])
	if string(one) != string(two) {
		panic("other bits")
	}
	return other
}

func TestRefreshEndsWithTheMembershipAndTheTenant(t *testing.T) {
	r := newRolledBack(t)
	guest, admin := signIn(t, r.tx, r.minter, r.team.Guest, r.team.ID), signIn(t, r.tx, r.minter, r.team.Admin, r.team.ID)
	if _, err := member.Remove(t.Context(), r.tx, r.team.As(member.Owner), r.team.Guest); err != nil {
		t.Fatal(err)
	}
	noGrant(t, "removed", r.tx, r.minter, token.Refreshing{Token: guest.Refresh})
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	if _, err := tenant.Suspend(t.Context(), r.tx, inside, ""); err != nil {
		t.Fatal(err)
	}
	noGrant(t, "suspended", r.tx, r.minter, token.Refreshing{Token: admin.Refresh})
	if _, err := tenant.Activate(t.Context(), r.tx, inside); err != nil {
		t.Fatal(err)
	}
	refresh(t, r.tx, r.minter, admin.Refresh)
}

func TestAtAnotherTenantsHostATokenIsRefusedUnspent(t *testing.T) {
	r := newRolledBack(t)
	other := pgtest.NewTeam(t, r.tx)
	opened, nowhere := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	noGrant(t, "another tenant's host", r.tx, r.minter, token.Refreshing{Token: opened.Refresh, Host: other.ID})
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.refresh_tokens WHERE spent_at IS NOT NULL`); n != 0 {
		t.Error("it was spent")
	}
	if _, err := r.minter.Refresh(t.Context(), r.tx, token.Refreshing{Token: opened.Refresh, Host: r.team.ID}); err != nil {
		t.Errorf("at its own host: %v", err)
	}
	if _, err := r.minter.Refresh(t.Context(), r.tx, token.Refreshing{Token: nowhere.Refresh, Host: r.team.ID}); err != nil {
		t.Errorf("a session of no tenant, at a tenant's host: %v", err)
	}
	execute(t, r.tx, `UPDATE auth.refresh_tokens SET spent_at = now() - interval '1 hour'`)
	noGrant(t, "spent long ago, another tenant's host", r.tx, r.minter, token.Refreshing{Token: opened.Refresh, Host: other.ID})
	if !running(t, r.tx, opened.Session) {
		t.Error("another tenant's host ended the family")
	}
}

func TestFiftyWhoRefreshAtOnceGetOneSuccessor(t *testing.T) {
	h := newHouse(t)
	opened := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	const tabs = 50
	got := make([]token.Token, tabs)
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for i := range tabs {
		wait.Go(func() {
			<-begin
			var err error
			if got[i], err = h.minter.Refresh(t.Context(), h.db, token.Refreshing{Token: opened.Refresh}); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	wait.Wait()
	for _, one := range got {
		if one.Refresh != got[0].Refresh || one.Session != opened.Session {
			t.Fatalf("%+v and %+v", got[0], one)
		}
		verify(t, h.db, one.Signed)
	}
	if n := read[int](t, h.db, `SELECT count(*) FROM auth.refresh_tokens`); n != 2 {
		t.Errorf("%d refresh tokens", n)
	}
	refresh(t, h.db, h.minter, got[0].Refresh)
}

func TestReuseAfterTheGraceEndsTheFamilyOnRecord(t *testing.T) {
	h := newHouse(t)
	other := join(t, h.db, h.team.Member)
	first := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	apart := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	chosen, err := h.minter.Switch(t.Context(), h.db, as(first), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	second := refresh(t, h.db, h.minter, first.Refresh)
	execute(t, h.db, `UPDATE auth.refresh_tokens SET spent_at = spent_at - interval '9 seconds' WHERE spent_at IS NOT NULL`)
	if again := refresh(t, h.db, h.minter, first.Refresh); again.Refresh != second.Refresh {
		t.Error("within the grace: another successor")
	}
	third := refresh(t, h.db, h.minter, second.Refresh)
	execute(t, h.db, `UPDATE auth.refresh_tokens SET spent_at = spent_at - interval '2 seconds' WHERE spent_at IS NOT NULL`)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			noGrant(t, "after it", h.db, h.minter, token.Refreshing{Token: first.Refresh, RequestID: "thief"})
		})
	}
	wait.Wait()
	for what, one := range map[string]token.Token{"the session": first, "the one chosen from it": chosen} {
		if running(t, h.db, one.Session) {
			t.Errorf("%s runs on", what)
		}
	}
	if !running(t, h.db, apart.Session) {
		t.Error("another sign-in of the same user was ended")
	}
	noGrant(t, "the thief's own", h.db, h.minter, token.Refreshing{Token: third.Refresh})
	noGrant(t, "the other tenant's", h.db, h.minter, token.Refreshing{Token: chosen.Refresh})
	if diff := cmp.Diff([]string{h.team.ID.String() + " session:" + first.Session.String()}, audited(t, h.db, "refresh_token_reused")); diff != "" {
		t.Error(diff)
	}
	row := read[string](t, h.db, `SELECT concat_ws(' ', actor_role, request_id, after ->> 'ended', after ->> 'user_id') FROM audit.log WHERE action = 'refresh_token_reused'`)
	if want := "server thief 2 " + h.team.Member.String(); row != want {
		t.Errorf("audited %q, not %q", row, want)
	}
}

func TestReuseOfATokenPastItsTimeEndsTheFamilyToo(t *testing.T) {
	h := newHouse(t)
	first := signIn(t, h.db, h.minter, h.team.Member, id.Tenant{})
	refresh(t, h.db, h.minter, refresh(t, h.db, h.minter, first.Refresh).Refresh)
	execute(t, h.db, `UPDATE auth.refresh_tokens SET spent_at = now() - interval '1 day', expires_at = now() - interval '1 hour' WHERE spent_at IS NOT NULL`)
	noGrant(t, "spent and past its time", h.db, h.minter, token.Refreshing{Token: first.Refresh})
	if running(t, h.db, first.Session) {
		t.Error("the family runs on")
	}
	if diff := cmp.Diff([]string{"none session:" + first.Session.String()}, audited(t, h.db, "refresh_token_reused")); diff != "" {
		t.Error(diff)
	}
}

func TestWhoEndsAndWhoRenewsDoNotStopEachOther(t *testing.T) {
	h := newHouse(t)
	for range 15 {
		owner := pgtest.User(t, h.db)
		inside := pgtest.Operator
		inside.Tenant = h.team.ID
		if _, err := member.Add(t.Context(), h.db, inside, owner, member.Owner); err != nil {
			t.Fatal(err)
		}
		first := signIn(t, h.db, h.minter, owner, h.team.ID)
		actor := as(first)
		var wait sync.WaitGroup
		var after token.Token
		for _, work := range []func() error{
			func() error { _, err := member.Remove(t.Context(), h.db, inside, owner); return err },
			func() error {
				_, err := h.minter.Refresh(t.Context(), h.db, token.Refreshing{Token: first.Refresh})
				return err
			},
			func() (err error) { after, err = h.minter.Switch(t.Context(), h.db, actor, h.team.ID); return err },
			func() error { _, err := token.SignOut(t.Context(), h.db, actor, token.SigningOut{}); return err },
			func() error { return token.EndSessions(t.Context(), h.db, inside, time.Now(), "test") },
			func() error {
				_, err := token.SignOut(t.Context(), h.db, actor, token.SigningOut{Everywhere: true})
				return err
			},
		} {
			wait.Go(func() {
				if err := work(); err != nil && !fault.Is(err, fault.InvalidGrant) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.SessionEnded) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if running(t, h.db, first.Session) || running(t, h.db, after.Session) {
			t.Error("a session of a member who is gone and signed out runs on")
		}
	}
}
