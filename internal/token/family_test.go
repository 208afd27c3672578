package token_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func signOutByRefresh(t testing.TB, r rolledBack, in token.Refreshing, want int64) {
	t.Helper()
	if ended, err := r.minter.SignOutByRefresh(t.Context(), r.tx, token.SigningOutBy{Refreshing: in}); ended != want || err != nil {
		t.Errorf("signed out of %d sessions, not %d, %v", ended, want, err)
	}
}

func TestARefreshTokenSignsItsFamilyOut(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first, apart := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	chosen, err := r.minter.Switch(t.Context(), r.tx, as(first), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	signOutByRefresh(t, r, token.Refreshing{Token: first.Refresh, Host: other.ID}, 0)
	if !running(t, r.tx, first.Session) {
		t.Fatal("another tenant's host ended it")
	}
	signOutByRefresh(t, r, token.Refreshing{Token: first.Refresh, Host: r.team.ID, RequestID: "bye"}, 2)
	if running(t, r.tx, first.Session) || running(t, r.tx, chosen.Session) || !running(t, r.tx, apart.Session) {
		t.Error("not just the family ended")
	}
	signOutByRefresh(t, r, token.Refreshing{Token: first.Refresh}, 0)
	signOutByRefresh(t, r, token.Refreshing{Token: apart.Refresh, Host: other.ID}, 1)
	for what, secret := range map[string]string{"nothing": "", "garbage": "nsr_!", "nobody's": "nsr_" + strings.Repeat("A", 43), "an access token": first.Signed} {
		if ended, err := r.minter.SignOutByRefresh(t.Context(), r.tx, token.SigningOutBy{Refreshing: token.Refreshing{Token: secret}}); ended != 0 || err != nil {
			t.Errorf("%s: %d, %v", what, ended, err)
		}
	}
	want := []string{r.team.ID.String() + " session:" + first.Session.String(), "none session:" + apart.Session.String()}
	if diff := cmp.Diff(want, audited(t, r.tx, "sign_out")); diff != "" {
		t.Error(diff)
	}
	row := read[string](t, r.tx, `SELECT concat_ws(' ', actor_role, actor_user_id, session_id, request_id) FROM audit.log WHERE request_id = 'bye'`)
	if want := "tenant_member " + r.team.Member.String() + " " + first.Session.String() + " bye"; row != want {
		t.Errorf("audited %q, not %q", row, want)
	}
}

// All of a person's sessions end by the newest refresh token of one that runs; by one that
// was spent, which a thief may have, its own family alone.
func TestEverywhereTakesARefreshTokenThatCouldBeSpent(t *testing.T) {
	for name, want := range map[string]int64{"unspent": 2, "spent": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRolledBack(t)
			first, apart := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
			if name == "spent" {
				if _, err := r.minter.Refresh(t.Context(), r.tx, token.Refreshing{Token: first.Refresh}); err != nil {
					t.Fatal(err)
				}
			}
			ended, err := r.minter.SignOutByRefresh(t.Context(), r.tx, token.SigningOutBy{Refreshing: token.Refreshing{Token: first.Refresh}, Everywhere: true})
			if ended != want || err != nil || running(t, r.tx, first.Session) || running(t, r.tx, apart.Session) != (name == "spent") {
				t.Errorf("%d ended, %v", ended, err)
			}
			if rows := audited(t, r.tx, "sign_out"); len(rows) != 1 {
				t.Errorf("on record %v", rows)
			}
		})
	}
}

// Whoever signs out is asked for nothing that they may have lost.
func TestARefreshTokenSignsOutWhateverBecameOfIt(t *testing.T) {
	r := newRolledBack(t)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	spent, late, suspended := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, r.team.ID),
		signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	gone := signIn(t, r.tx, r.minter, r.team.Guest, r.team.ID)
	refresh(t, r.tx, r.minter, spent.Refresh)
	execute(t, r.tx, `UPDATE auth.refresh_tokens SET expires_at = now() WHERE session_id = $1`, late.Session)
	if _, err := member.Remove(t.Context(), r.tx, inside, r.team.Guest); err != nil {
		t.Fatal(err)
	}
	if _, err := tenant.Suspend(t.Context(), r.tx, inside, ""); err != nil {
		t.Fatal(err)
	}
	for _, one := range []token.Token{spent, late, suspended} {
		signOutByRefresh(t, r, token.Refreshing{Token: one.Refresh}, 1)
	}
	signOutByRefresh(t, r, token.Refreshing{Token: gone.Refresh}, 0)
	if n := len(audited(t, r.tx, "refresh_token_reused")); n != 0 {
		t.Error("a spent token that signs out is taken for a theft")
	}
}

// The answer to a phone that loses its network is lost; the phone asks again when it has
// one again. Nobody used what it was to get, so nobody stole it.
func TestALostAnswerIsGivenAgainHoweverLate(t *testing.T) {
	h := newHouse(t)
	first := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	second := refresh(t, h.db, h.minter, first.Refresh)
	execute(t, h.db, `UPDATE auth.refresh_tokens SET spent_at = spent_at - interval '20 days', expires_at = expires_at - interval '20 days' WHERE spent_at IS NOT NULL`)
	if again := refresh(t, h.db, h.minter, first.Refresh); again.Refresh != second.Refresh || again.Session != first.Session {
		t.Error("another successor")
	}
	if n := read[int](t, h.db, `SELECT count(*) FROM auth.refresh_tokens`); n != 2 {
		t.Errorf("%d refresh tokens", n)
	}
	refresh(t, h.db, h.minter, second.Refresh)
	noGrant(t, "its successor was used", h.db, h.minter, token.Refreshing{Token: first.Refresh})
	if running(t, h.db, first.Session) {
		t.Error("the family runs on")
	}
}

func TestAnAnswerLostForTooLongIsGone(t *testing.T) {
	h := newHouse(t)
	first := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	refresh(t, h.db, h.minter, first.Refresh)
	execute(t, h.db, `UPDATE auth.refresh_tokens SET spent_at = spent_at - interval '1 hour', expires_at = now()`)
	noGrant(t, "its successor is past its time", h.db, h.minter, token.Refreshing{Token: first.Refresh})
}

func TestUsersWhoGoWhileTheySignInStopNobody(t *testing.T) {
	h := newHouse(t)
	super := h.under.Superuser(t)
	inside := pgtest.Operator
	inside.Tenant = h.team.ID
	for range 25 {
		user := pgtest.User(t, h.db)
		if _, err := member.Add(t.Context(), h.db, inside, user, member.Plain); err != nil {
			t.Fatal(err)
		}
		first := signIn(t, h.db, h.minter, user, h.team.ID)
		var wait sync.WaitGroup
		begin := make(chan struct{})
		for _, work := range []func() error{
			func() error {
				_, err := super.Exec(t.Context(), `DELETE FROM auth.users WHERE id = $1`, user)
				return err
			},
			func() error {
				_, err := h.minter.Open(t.Context(), h.db, as(first), token.SignIn{User: user, Tenant: h.team.ID, Method: token.ByLink})
				return err
			},
			func() error {
				_, err := h.minter.Refresh(t.Context(), h.db, token.Refreshing{Token: first.Refresh})
				return err
			},
			func() error { _, err := h.minter.Switch(t.Context(), h.db, as(first), h.team.ID); return err },
			func() error {
				_, err := h.minter.MintForOperator(t.Context(), h.db, pgtest.Operator, token.Holder{User: user, Tenant: h.team.ID})
				return err
			},
		} {
			wait.Go(func() {
				<-begin
				if err := work(); err != nil && !fault.Is(err, fault.InvalidGrant) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.SessionEnded) {
					t.Error(err)
				}
			})
		}
		close(begin)
		wait.Wait()
	}
}
