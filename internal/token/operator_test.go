package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

func TestImpersonationIsInSightEverywhere(t *testing.T) {
	r := newRolledBack(t)
	in := token.Impersonation{Holder: token.Holder{User: r.team.Member, Tenant: r.team.ID}, Reason: "  ticket 7\n"}
	got, err := r.minter.Impersonate(t.Context(), r.tx, pgtest.Operator, in)
	if err != nil {
		t.Fatal(err)
	}
	claims := verify(t, r.tx, got.Signed)
	hasura := claims["https://hasura.io/jwt/claims"].(map[string]any)
	if got.Refresh != "" || hasura["x-hasura-impersonator"] != "operator" || hasura["x-hasura-user-id"] != r.team.Member.String() {
		t.Errorf("%+v, %v", got, hasura)
	}
	if diff := cmp.Diff(map[string]any{"sub": "operator"}, claims["act"]); diff != "" {
		t.Error(diff)
	}
	row := read[string](t, r.tx, `SELECT concat_ws('|', method, reason, expires_at = $2) FROM auth.sessions WHERE id = $1`, got.Session, got.ExpiresAt)
	if row != "impersonation|ticket 7|t" {
		t.Errorf("session %s", row)
	}
	if diff := cmp.Diff([]string{r.team.ID.String() + " session:" + got.Session.String()}, audited(t, r.tx, "impersonate")); diff != "" {
		t.Error(diff)
	}
	if reason := read[string](t, r.tx, `SELECT after ->> 'reason' FROM audit.log WHERE action = 'impersonate'`); reason != "ticket 7" {
		t.Errorf("audited with reason %q", reason)
	}
}

func TestImpersonationIsShortAndForAReason(t *testing.T) {
	r := newRolledBack(t)
	holder := token.Holder{User: r.team.Member, Tenant: r.team.ID}
	for what, c := range map[string]struct {
		ttl    time.Duration
		reason string
		taken  bool
	}{
		"no reason":             {0, "", false},
		"a reason of two":       {0, "ab", false},
		"a reason of blanks":    {0, "     ", false},
		"a reason of controls":  {0, "\x00\x01\x02\x03", false},
		"a reason of three":     {0, "äöü", true},
		"a reason of 500":       {0, strings.Repeat("ü", 500), true},
		"a reason of 501":       {0, strings.Repeat("ü", 501), false},
		"an hour":               {time.Hour, "a ticket", true},
		"an hour and a second":  {time.Hour + time.Second, "a ticket", false},
		"a time before its end": {-time.Second, "a ticket", false},
	} {
		holder.TTL = c.ttl
		got, err := r.minter.Impersonate(t.Context(), r.tx, pgtest.Operator, token.Impersonation{Holder: holder, Reason: c.reason})
		if c.taken != (err == nil) || !c.taken && !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%s: %v", what, err)
		}
		if c.taken && time.Until(got.ExpiresAt) > time.Hour {
			t.Errorf("%s: until %s", what, got.ExpiresAt)
		}
	}
	for _, role := range []member.Role{member.Owner, member.Admin} {
		_, err := r.minter.Impersonate(t.Context(), r.tx, r.team.As(role), token.Impersonation{Holder: holder, Reason: "a ticket"})
		refused(t, string(role), err, fault.Forbidden)
	}
	_, err := r.minter.Impersonate(t.Context(), r.tx, pgtest.Operator, token.Impersonation{Holder: token.Holder{User: r.team.Member, Tenant: pgtest.NewTeam(t, r.tx).ID}, Reason: "a ticket"})
	refused(t, "a tenant the user is not in", err, fault.NotFound)
}

func TestNoTokenLivesLongerThanAKeyIsPublished(t *testing.T) {
	r := newRolledBack(t)
	got, err := r.minter.MintForOperator(t.Context(), r.tx, pgtest.Operator, token.Holder{User: r.team.Owner, TTL: 1000 * time.Hour})
	if err != nil || time.Until(got.ExpiresAt) > token.MaxTTL {
		t.Errorf("until %s, %v", got.ExpiresAt, err)
	}
}

func TestAKeyMintsForItsOneSession(t *testing.T) {
	r := newRolledBack(t)
	first := newKey(t, r)
	again, err := r.minter.MintForKey(t.Context(), r.tx, r.team.ID, first.User)
	if err != nil {
		t.Fatal(err)
	}
	if again.Session != first.Session || again.Refresh != "" || again.Role != session.Member || again.Tenant != r.team.ID {
		t.Errorf("%+v, then %+v", first, again)
	}
	verify(t, r.tx, again.Signed)
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.sessions WHERE method = 'api_key'`); n != 1 {
		t.Errorf("%d sessions", n)
	}
	mint := func(tenant id.Tenant, user id.User) error {
		got, err := r.minter.MintForKey(t.Context(), r.tx, tenant, user)
		if got != (token.Token{}) {
			t.Errorf("%+v", got)
		}
		return err
	}
	signIn(t, r.tx, r.minter, r.team.Owner, r.team.ID)
	refused(t, "a person", mint(r.team.ID, r.team.Owner), fault.InvalidGrant)
	refused(t, "another tenant", mint(join(t, r.tx, first.User).ID, first.User), fault.InvalidGrant)
	refused(t, "no tenant", mint(id.Tenant{}, first.User), fault.InvalidGrant)
	execute(t, r.tx, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1`, first.Session)
	refused(t, "ended", mint(r.team.ID, first.User), fault.InvalidGrant)
}

func TestATokenOfAKeyEndsWithTheKey(t *testing.T) {
	r := newRolledBack(t)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	end := time.Now().Add(time.Minute)
	in := token.KeySession{User: r.team.Guest, Tenant: r.team.ID, Role: session.Guest, ExpiresAt: &end}
	if err := r.minter.OpenForKey(t.Context(), r.tx, inside, in); err != nil {
		t.Fatal(err)
	}
	got, err := r.minter.MintForKey(t.Context(), r.tx, r.team.ID, r.team.Guest)
	if err != nil || got.ExpiresAt.After(end) {
		t.Errorf("until %s, %v", got.ExpiresAt, err)
	}
	inside.Tenant = pgtest.NewTeam(t, r.tx).ID
	if err := r.minter.OpenForKey(t.Context(), r.tx, inside, in); err == nil {
		t.Error("opened for another tenant than the actor's")
	}
}

// A key is made by people of the tenant, in a transaction under row-level security.
func TestAKeyIsOpenedFromATenantsOwnTransaction(t *testing.T) {
	r := newRolledBack(t)
	admin := r.team.As(member.Admin)
	if _, err := r.tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true), set_config('role', 'nself_tenant', true)`, admin.Setting()); err != nil {
		t.Fatal(err)
	}
	if err := r.minter.OpenForKey(t.Context(), r.tx, admin, token.KeySession{User: r.team.Guest, Tenant: r.team.ID, Role: session.Guest}); err != nil {
		t.Fatal(err)
	}
	if role := read[string](t, r.tx, `SELECT current_user::text`); role != "nself_tenant" {
		t.Errorf("the transaction goes on as %s", role)
	}
}
