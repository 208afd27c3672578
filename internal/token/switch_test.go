package token_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

func TestSwitchStaysInTheFamilyAndEndsNoLater(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	execute(t, r.tx, `UPDATE auth.sessions SET expires_at = now() + interval '2 days'`)
	got, err := r.minter.Switch(t.Context(), r.tx, as(first), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Session == first.Session || got.Tenant != other.ID || got.Role != session.Guest || got.Refresh == "" {
		t.Errorf("chosen %+v", got)
	}
	row := read[string](t, r.tx, `SELECT concat_ws(' ', family_id, method, user_agent, expires_at = now() + interval '2 days') FROM auth.sessions WHERE id = $1`, got.Session)
	if want := first.Session.String() + " link a browser t"; row != want {
		t.Errorf("session %s, not %s", row, want)
	}
	if again := refresh(t, r.tx, r.minter, got.Refresh); again.Tenant != other.ID || again.Session != got.Session {
		t.Errorf("refreshed %+v", again)
	}
	if refresh(t, r.tx, r.minter, first.Refresh).Tenant != r.team.ID {
		t.Error("the first tenant's refresh token leads elsewhere")
	}
	if diff := cmp.Diff([]string{other.ID.String() + " session:" + got.Session.String()}, audited(t, r.tx, "switch_tenant")); diff != "" {
		t.Error(diff)
	}
}

func TestSwitchGivesARefreshTokenOnlyWhereThereWasOne(t *testing.T) {
	r := newRolledBack(t)
	minted, err := r.minter.MintForOperator(t.Context(), r.tx, pgtest.Operator, token.Holder{User: r.team.Admin, TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.minter.Switch(t.Context(), r.tx, as(minted), r.team.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Refresh != "" || got.ExpiresAt.After(minted.ExpiresAt) {
		t.Errorf("from a token of a minute: %+v, which ended at %s", got, minted.ExpiresAt)
	}
	bare, err := r.minter.Switch(t.Context(), r.tx, r.team.As(member.Admin), r.team.ID)
	if err != nil || bare.Refresh != "" {
		t.Errorf("from no session: %+v, %v", bare, err)
	}
}

// A client that goes to and fro leaves one session in each tenant, and in each what it
// may refresh with.
func TestGoingToAndFroLeavesNoHeap(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	at, before := first, map[string]token.Token{}
	for i := range 200 {
		to := []pgtest.Team{other, r.team}[i%2]
		got, err := r.minter.Switch(t.Context(), r.tx, as(at), to.ID)
		if err != nil {
			t.Fatal(err)
		}
		if was, again := before[to.Slug]; again && (got.Session != was.Session || got.Refresh == was.Refresh || got.Role != was.Role) {
			t.Fatalf("%+v, then %+v", was, got)
		}
		at, before[to.Slug] = got, got
	}
	if at.Session != first.Session {
		t.Error("back in the first tenant, in another session than the first")
	}
	got := read[string](t, r.tx, `SELECT concat_ws(' ', (SELECT count(*) FROM auth.sessions), (SELECT count(*) FROM auth.refresh_tokens))`)
	if got != "2 2" {
		t.Errorf("sessions and refresh tokens: %s", got)
	}
	noGrant(t, "one that another came in the place of", r.tx, r.minter, token.Refreshing{Token: first.Refresh})
	if !running(t, r.tx, first.Session) {
		t.Error("which is taken for a theft")
	}
	for _, one := range before {
		refresh(t, r.tx, r.minter, one.Refresh)
	}
}

func TestSwitchEntersNoSessionThatGoesFurther(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	choose := func() token.Token {
		t.Helper()
		got, err := r.minter.Switch(t.Context(), r.tx, as(first), other.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	chosen := choose()
	for what, sql := range map[string]string{
		"lasts longer":         `UPDATE auth.sessions SET expires_at = expires_at + interval '1 day' WHERE id = $1`,
		"has ended":            `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1`,
		"is of another family": `UPDATE auth.sessions SET family_id = id WHERE id = $1`,
		"is of another kind":   `UPDATE auth.sessions SET method = 'exchange' WHERE id = $1`,
		"is of another's":      `UPDATE auth.sessions SET user_id = (SELECT owner_user_id FROM tenants.tenants WHERE id = tenant_id) WHERE id = $1`,
		"is past its time":     `UPDATE auth.sessions SET expires_at = now() WHERE id = $1`,
	} {
		execute(t, r.tx, sql, chosen.Session)
		if got := choose(); got.Session == chosen.Session || got.Refresh == "" {
			t.Errorf("a session that %s is entered", what)
		} else {
			execute(t, r.tx, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1 AND ended_at IS NULL`, chosen.Session)
			chosen = got
		}
	}
}

func TestSwitchIsRefused(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	switchFrom := func(actor session.Session, to pgtest.Team) error {
		got, err := r.minter.Switch(t.Context(), r.tx, actor, to.ID)
		if got != (token.Token{}) {
			t.Errorf("%+v", got)
		}
		return err
	}
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	refused(t, "no member", switchFrom(as(first), pgtest.NewTeam(t, r.tx)), fault.NotFound)
	stolen := as(first)
	stolen.User = r.team.Owner
	refused(t, "another's session", switchFrom(stolen, r.team), fault.SessionEnded)
	impersonated, err := r.minter.Impersonate(t.Context(), r.tx, pgtest.Operator,
		token.Impersonation{Holder: token.Holder{User: r.team.Member, Tenant: r.team.ID}, Reason: "a ticket"})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "an impersonation", switchFrom(as(impersonated), other), fault.Forbidden)
	unnamed := r.team.As(member.Plain)
	unnamed.Impersonator = "operator"
	refused(t, "an impersonation without a session", switchFrom(unnamed, other), fault.Forbidden)
	refused(t, "an API key", switchFrom(as(newKey(t, r)), r.team), fault.Forbidden)
	refused(t, "the operator", switchFrom(pgtest.Operator, r.team), fault.Forbidden)
	execute(t, r.tx, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1`, first.Session)
	refused(t, "an ended session", switchFrom(as(first), other), fault.SessionEnded)
}

// newKey makes an API key's identity, opens its session and mints.
func newKey(t testing.TB, r rolledBack) token.Token {
	t.Helper()
	user := pgtest.User(t, r.tx)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	if _, err := member.Add(t.Context(), r.tx, inside, user, member.Plain); err != nil {
		t.Fatal(err)
	}
	if err := r.minter.OpenForKey(t.Context(), r.tx, inside, token.KeySession{User: user, Tenant: r.team.ID, Role: session.Member}); err != nil {
		t.Fatal(err)
	}
	minted, err := r.minter.MintForKey(t.Context(), r.tx, r.team.ID, user)
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

func TestNoSessionChosenMeanwhileOutlivesTheSignOut(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		first := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				if _, err := h.minter.Switch(t.Context(), h.db, as(first), h.team.ID); err != nil && !fault.Is(err, fault.SessionEnded) {
					t.Error(err)
				}
			})
		}
		wait.Go(func() {
			if _, err := token.SignOut(t.Context(), h.db, as(first), token.SigningOut{}); err != nil {
				t.Error(err)
			}
		})
		wait.Wait()
		if n := read[int](t, h.db, `SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL`); n != 0 {
			t.Fatalf("%d sessions run on", n)
		}
	}
}
