package token_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func signOut(t testing.TB, db pg.DB, actor session.Session, in token.SigningOut, want int64) {
	t.Helper()
	if ended, err := token.SignOut(t.Context(), db, actor, in); ended != want || err != nil {
		t.Errorf("signed out of %d sessions, not %d, %v", ended, want, err)
	}
}

func TestSignOutEndsTheFamilyInAllItsTenants(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first, apart := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	chosen, err := r.minter.Switch(t.Context(), r.tx, as(first), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	signOut(t, r.tx, as(chosen), token.SigningOut{}, 2)
	if running(t, r.tx, first.Session) || running(t, r.tx, chosen.Session) || !running(t, r.tx, apart.Session) {
		t.Error("not just the family ended")
	}
	noGrant(t, "signed out", r.tx, r.minter, token.Refreshing{Token: first.Refresh})
	signOut(t, r.tx, as(chosen), token.SigningOut{}, 0)
	if diff := cmp.Diff([]string{other.ID.String() + " session:" + chosen.Session.String()}, audited(t, r.tx, "sign_out")); diff != "" {
		t.Error(diff)
	}
}

func TestSignOutOfAnotherOfOnesSessions(t *testing.T) {
	r := newRolledBack(t)
	here, there := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	theirs := signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	signOut(t, r.tx, as(here), token.SigningOut{Session: there.Session}, 1)
	if !running(t, r.tx, here.Session) || running(t, r.tx, there.Session) {
		t.Error("another session ended than the one named")
	}
	if diff := cmp.Diff([]string{"none session:" + there.Session.String()}, audited(t, r.tx, "sign_out")); diff != "" {
		t.Error(diff)
	}
	for what, in := range map[string]token.SigningOut{"another's": {Session: theirs.Session}, "nobody's": {Session: id.New[id.Session]()}} {
		_, err := token.SignOut(t.Context(), r.tx, as(here), in)
		refused(t, what, err, fault.NotFound)
	}
	_, err := token.SignOut(t.Context(), r.tx, as(here), token.SigningOut{User: r.team.Owner, Everywhere: true})
	refused(t, "another user", err, fault.Forbidden)
	_, err = token.SignOut(t.Context(), r.tx, r.team.As(member.Plain), token.SigningOut{})
	refused(t, "a token of no session", err, fault.InvalidInput)
	if !running(t, r.tx, theirs.Session) {
		t.Error("another's session ended")
	}
}

func TestWhoeverActsInAUsersPlaceSignsOutOfTheVisitAlone(t *testing.T) {
	r := newRolledBack(t)
	theirs := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	visit, err := r.minter.Impersonate(t.Context(), r.tx, pgtest.Operator, token.Impersonation{
		Holder: token.Holder{User: r.team.Member, Tenant: r.team.ID}, Reason: "Ticket 7",
	})
	if err != nil {
		t.Fatal(err)
	}
	inPlace := as(visit)
	inPlace.Impersonator = "operator"
	for what, in := range map[string]token.SigningOut{"everywhere": {Everywhere: true}, "another session": {Session: theirs.Session}} {
		_, err := token.SignOut(t.Context(), r.tx, inPlace, in)
		refused(t, what, err, fault.Forbidden)
	}
	signOut(t, r.tx, inPlace, token.SigningOut{Session: visit.Session}, 1)
	if !running(t, r.tx, theirs.Session) {
		t.Error("the user was signed out")
	}
}

func TestSignOutEverywhereEndsAllOfTheUserAlone(t *testing.T) {
	r := newRolledBack(t)
	key := newKey(t, r)
	theirs := signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	one, two := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	signOut(t, r.tx, as(one), token.SigningOut{Everywhere: true}, 2)
	if running(t, r.tx, one.Session) || running(t, r.tx, two.Session) || !running(t, r.tx, theirs.Session) || !running(t, r.tx, key.Session) {
		t.Error("not just the user's sessions ended")
	}
	if diff := cmp.Diff([]string{"none user:" + r.team.Member.String()}, audited(t, r.tx, "sign_out")); diff != "" {
		t.Error(diff)
	}
}

func TestTheOperatorSignsAnybodyOut(t *testing.T) {
	r := newRolledBack(t)
	one, two := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	signOut(t, r.tx, pgtest.Operator, token.SigningOut{Session: one.Session}, 1)
	if !running(t, r.tx, two.Session) {
		t.Error("all ended")
	}
	_, err := token.SignOut(t.Context(), r.tx, pgtest.Operator, token.SigningOut{Session: two.Session, User: r.team.Owner})
	refused(t, "the session of another than named", err, fault.NotFound)
	_, err = token.SignOut(t.Context(), r.tx, pgtest.Operator, token.SigningOut{Everywhere: true})
	refused(t, "everywhere of nobody", err, fault.InvalidInput)
	signOut(t, r.tx, pgtest.Operator, token.SigningOut{User: r.team.Member, Everywhere: true}, 1)
	if reason := read[string](t, r.tx, `SELECT end_reason FROM auth.sessions WHERE id = $1`, two.Session); reason != "signed out by the operator" {
		t.Errorf("reason %q", reason)
	}
}

func TestAnAPIKeyDoesNotSignOut(t *testing.T) {
	r := newRolledBack(t)
	key := newKey(t, r)
	for what, in := range map[string]token.SigningOut{"its session": {}, "by name": {Session: key.Session}, "everywhere": {Everywhere: true}} {
		_, err := token.SignOut(t.Context(), r.tx, as(key), in)
		refused(t, what, err, fault.Forbidden)
	}
	_, err := token.SignOut(t.Context(), r.tx, pgtest.Operator, token.SigningOut{Session: key.Session})
	refused(t, "by the operator", err, fault.Forbidden)
	if !running(t, r.tx, key.Session) {
		t.Error("it ended")
	}
}

func TestRevokeStaysInsideTheTenant(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	first := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	apart := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	elsewhere, err := r.minter.Switch(t.Context(), r.tx, as(first), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	back, err := r.minter.Switch(t.Context(), r.tx, as(elsewhere), r.team.ID)
	if err != nil {
		t.Fatal(err)
	}
	admin := r.team.As(member.Admin)
	revoke := func(in token.Revoking) (ended int64, err error) {
		err = pg.InTx(t.Context(), r.tx, func(tx pgx.Tx) error {
			if err := pg.EnterTenant(t.Context(), tx, admin); err != nil {
				return err
			}
			ended, err = token.Revoke(t.Context(), tx, admin, in)
			return err
		})
		execute(t, r.tx, `SET LOCAL ROLE nself_server`)
		return ended, err
	}
	_, err = revoke(token.Revoking{Session: elsewhere.Session})
	refused(t, "a session of another tenant", err, fault.NotFound)
	_, err = revoke(token.Revoking{User: other.Owner})
	refused(t, "a user of another tenant", err, fault.NotFound)
	if ended, err := revoke(token.Revoking{Session: first.Session}); ended != 1 || err != nil {
		t.Errorf("ended %d, %v", ended, err)
	}
	if back.Session != first.Session || running(t, r.tx, first.Session) || !running(t, r.tx, elsewhere.Session) || !running(t, r.tx, apart.Session) {
		t.Error("not just the family in the tenant ended")
	}
	if ended, err := revoke(token.Revoking{User: r.team.Member}); ended != 1 || err != nil || running(t, r.tx, apart.Session) {
		t.Errorf("ended %d, %v", ended, err)
	}
	here := r.team.ID.String()
	if diff := cmp.Diff([]string{here + " session:" + first.Session.String(), here + " user:" + r.team.Member.String()}, audited(t, r.tx, "revoke_sessions")); diff != "" {
		t.Error(diff)
	}
}

func TestWhoMayRevoke(t *testing.T) {
	r := newRolledBack(t)
	owners := signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	revoke := func(actor session.Session, in token.Revoking) error {
		actor.Tenant = r.team.ID
		_, err := token.Revoke(t.Context(), r.tx, actor, in)
		return err
	}
	for _, role := range []member.Role{member.Plain, member.Guest} {
		refused(t, string(role), revoke(r.team.As(role), token.Revoking{User: r.team.Guest}), fault.Forbidden)
	}
	refused(t, "role user", revoke(session.Session{Role: session.User, User: r.team.Owner}, token.Revoking{User: r.team.Guest}), fault.Forbidden)
	for what, in := range map[string]token.Revoking{"all": {User: r.team.Owner}, "one": {Session: owners.Session}} {
		refused(t, "an admin, an owner's: "+what, revoke(r.team.As(member.Admin), in), fault.Forbidden)
	}
	refused(t, "nothing named", revoke(r.team.As(member.Owner), token.Revoking{}), fault.InvalidInput)
	refused(t, "both named", revoke(r.team.As(member.Owner), token.Revoking{User: r.team.Owner, Session: owners.Session}), fault.InvalidInput)
	if !running(t, r.tx, owners.Session) {
		t.Fatal("the owner's session ended")
	}
	if err := revoke(r.team.As(member.Owner), token.Revoking{Session: owners.Session}); err != nil || running(t, r.tx, owners.Session) {
		t.Errorf("an owner: %v", err)
	}
	if err := revoke(pgtest.Operator, token.Revoking{User: r.team.Guest}); err != nil {
		t.Errorf("the operator: %v", err)
	}
}

func TestRevokeLeavesAPIKeysAlone(t *testing.T) {
	r := newRolledBack(t)
	key := newKey(t, r)
	for _, actor := range []session.Session{r.team.As(member.Owner), r.team.As(member.Admin), pgtest.Operator} {
		actor.Tenant = r.team.ID
		_, err := token.Revoke(t.Context(), r.tx, actor, token.Revoking{Session: key.Session})
		refused(t, "its session", err, fault.Forbidden)
		if ended, err := token.Revoke(t.Context(), r.tx, actor, token.Revoking{User: key.User}); ended != 0 || err != nil {
			t.Errorf("all of its user: %d, %v", ended, err)
		}
	}
	if !running(t, r.tx, key.Session) {
		t.Error("it ended")
	}
}

func TestATenantOutOfServiceLosesItsSessionsAndKeepsItsKeys(t *testing.T) {
	r := newRolledBack(t)
	key := newKey(t, r)
	other := join(t, r.tx, r.team.Member)
	opened, elsewhere := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, other.ID)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	if _, err := tenant.Suspend(t.Context(), r.tx, inside, ""); err != nil {
		t.Fatal(err)
	}
	server := session.Session{Role: session.Server, Tenant: r.team.ID}
	if err := token.EndSessions(t.Context(), r.tx, server, time.Now().Add(time.Minute), "tenant suspended"); err != nil {
		t.Fatal(err)
	}
	if running(t, r.tx, opened.Session) || !running(t, r.tx, elsewhere.Session) {
		t.Error("not just the tenant's sessions ended")
	}
	_, err := r.minter.MintForKey(t.Context(), r.tx, r.team.ID, key.User)
	refused(t, "a key of a suspended tenant", err, fault.InvalidGrant)
	refused(t, "its token", token.Admit(t.Context(), r.tx, as(key)), fault.TenantNotActive)
	if _, err := tenant.Activate(t.Context(), r.tx, inside); err != nil {
		t.Fatal(err)
	}
	noGrant(t, "a session from before", r.tx, r.minter, token.Refreshing{Token: opened.Refresh})
	if _, err := r.minter.MintForKey(t.Context(), r.tx, r.team.ID, key.User); err != nil {
		t.Errorf("a key of a tenant that is back: %v", err)
	}
	if err := token.Admit(t.Context(), r.tx, as(key)); err != nil {
		t.Errorf("its token: %v", err)
	}
}
