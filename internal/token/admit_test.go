package token_test

import (
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func TestAdmitAsksForTheSession(t *testing.T) {
	r := newRolledBack(t)
	other := join(t, r.tx, r.team.Member)
	opened, nowhere := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{})
	admit := func(actor session.Session) error { return token.Admit(t.Context(), r.tx, actor) }
	left := as(opened)
	left.Tenant = id.Tenant{} // as an action sees it that is outside any tenant
	for what, actor := range map[string]session.Session{
		"in the tenant": as(opened), "outside it": left, "role user": as(nowhere), "no session": r.team.As(member.Plain), "neither": {Role: session.User, User: r.team.Member},
	} {
		if err := admit(actor); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	elsewhere := as(opened)
	elsewhere.Tenant, elsewhere.Role = other.ID, session.Guest
	refused(t, "the session of another tenant", admit(elsewhere), fault.SessionEnded)
	stolen := as(opened)
	stolen.User, stolen.Role = r.team.Owner, session.TenantOwner
	refused(t, "another's session", admit(stolen), fault.SessionEnded)
	unknown := as(opened)
	unknown.ID = id.New[id.Session]()
	refused(t, "no such session", admit(unknown), fault.SessionEnded)
	execute(t, r.tx, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test' WHERE id = $1`, opened.Session)
	execute(t, r.tx, `UPDATE auth.sessions SET expires_at = now() WHERE id = $1`, nowhere.Session)
	refused(t, "signed out", admit(as(opened)), fault.SessionEnded)
	refused(t, "signed out, outside its tenant", admit(left), fault.SessionEnded)
	refused(t, "its time over", admit(as(nowhere)), fault.SessionEnded)
}

func TestAdmitTellsOfTheMembershipFirst(t *testing.T) {
	r := newRolledBack(t)
	opened, removed := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID), signIn(t, r.tx, r.minter, r.team.Guest, r.team.ID)
	execute(t, r.tx, `UPDATE tenants.tenant_members SET role = 'admin' WHERE user_id = $1`, r.team.Member)
	refused(t, "another role", token.Admit(t.Context(), r.tx, as(opened)), fault.RoleChanged)
	execute(t, r.tx, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test'`)
	refused(t, "another role and ended", token.Admit(t.Context(), r.tx, as(opened)), fault.RoleChanged)
	if _, err := member.Remove(t.Context(), r.tx, r.team.As(member.Owner), r.team.Guest); err != nil {
		t.Fatal(err)
	}
	refused(t, "removed", token.Admit(t.Context(), r.tx, as(removed)), fault.NotAMember)
	inside := pgtest.Operator
	inside.Tenant = r.team.ID
	if _, err := tenant.Suspend(t.Context(), r.tx, inside, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, "suspended", token.Admit(t.Context(), r.tx, as(opened)), fault.TenantNotActive)
	refused(t, "removed and suspended", token.Admit(t.Context(), r.tx, as(removed)), fault.NotAMember)
	unnamed := r.team.As(member.Owner)
	refused(t, "suspended, no session", token.Admit(t.Context(), r.tx, unnamed), fault.TenantNotActive)
}
