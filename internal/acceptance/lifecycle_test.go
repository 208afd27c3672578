package acceptance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

const (
	suspendIt  = `mutation($t: String!) { suspendTenant(tenant: $t, reason: "unpaid") { status suspendedAt suspendReason } }`
	activateIt = `mutation($t: String!) { activateTenant(tenant: $t) { status suspendedAt } }`
	deleteIt   = `mutation($t: String!, $s: String!) { deleteTenant(tenant: $t, confirmSlug: $s) { status deletedAt purgeAfter } }`
	restoreIt  = `mutation($t: String!) { restoreTenant(tenant: $t) { status deletedAt purgeAfter } }`
)

func (h house) ref() args  { return args{"t": h.id} }
func (h house) refS() args { return args{"t": h.id, "s": h.slug} }

// open says on which channels a token works now: a query and an action
// through Hasura, a row change by Hasura's database role, SQL of the
// customer's own service.
type open struct{ Query, Action, HasuraSQL, AppSQL bool }

var (
	allOpen = open{true, true, true, true}
	allShut = open{}
)

// channels tries all four with a token that was made before.
func channels(t *testing.T, p person) open {
	t.Helper()
	var now open
	r := p.ask(t, `{ tenants { id } members { user_id } settings { key } users { id } }`, nil)
	now.Query = len(r.Errors) == 0 && r.count(t, "tenants")+r.count(t, "members")+r.count(t, "settings")+r.count(t, "users") > 0
	now.Action = len(p.ask(t, `mutation { setTenantSetting(key: "pulse", value: 1) { key } }`, nil).Errors) == 0
	inSession(t, connect(t, asHasura), p.session(), func(tx pgx.Tx) {
		tag, err := tx.Exec(t.Context(), `UPDATE tenants.tenant_settings SET value = '2' WHERE tenant_id = $1`, p.tenant)
		now.HasuraSQL = err == nil && tag.RowsAffected() > 0
	})
	inSession(t, connect(t, asApp), p.session(), func(tx pgx.Tx) {
		now.AppSQL = number(t, tx, `SELECT (SELECT count(*) FROM tenants.tenants) + (SELECT count(*) FROM tenants.tenant_settings) + (SELECT count(*) FROM auth.users)`) > 0
	})
	return now
}

func wantChannels(t *testing.T, p person, want open, when string) {
	t.Helper()
	if diff := cmp.Diff(want, channels(t, p)); diff != "" {
		t.Errorf("%s, the token of the %s (-want +got):\n%s", when, p.role, diff)
	}
}

// wantEnded demands that a token from before a tenant was out of service serves no more
// once the tenant is back: the event of its status has ended the session.
func wantEnded(t *testing.T, p person) {
	t.Helper()
	eventually(t, "the session of before has ended", func() bool {
		now := channels(t, p)
		return !now.Query && !now.Action
	})
}

func TestSuspensionBitesAtTheNextStatementOnEveryChannel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	wantChannels(t, h.owner, allOpen, "before")
	operator().must(t, suspendIt, h.ref())
	wantChannels(t, h.owner, allShut, "suspended")
	wantChannels(t, h.admin, allShut, "suspended")
	h.member.refused(t, `mutation { leaveTenant { role } }`, nil)
	h.owner.refused(t, `query { tenantStats { members } }`, nil)
	if n := len(rowsOf(t, h, "settings")); n == 0 {
		t.Error("the operator no longer sees the tenant")
	}
	operator().must(t, `mutation($t: String!) { setTenantPlan(tenant: $t, plan: "free") { plan } }`, h.ref())
	operator().must(t, activateIt, h.ref())
	wantEnded(t, h.owner)
	wantChannels(t, h.owner.signIn(t, h.id), allOpen, "active again")
}

func TestDeletionBitesAtTheNextStatementAndRestoresWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	invitation, token := h.invite(t, unique("in")+"@example.test")
	wantChannels(t, h.owner, allOpen, "before")
	before := fingerprint(t, h)
	h.owner.must(t, deleteIt, h.refS())
	wantChannels(t, h.owner, allShut, "deleted")
	if n := h.owner.signIn(t, "").must(t, `{ myTenants { id status } }`, nil).count(t, "myTenants"); n > 1 {
		t.Errorf("%d memberships", n)
	}
	u := newUser(t)
	u.refused(t, `mutation($k: String!) { acceptInvitation(token: $k) { role } }`, args{"k": token})
	operator().refused(t, activateIt, h.ref())
	operator().refused(t, deleteIt, h.refS())
	operator().must(t, restoreIt, h.ref())
	wantEnded(t, h.owner)
	h.owner = h.owner.signIn(t, h.id)
	wantChannels(t, h.owner, allOpen, "restored")
	after := fingerprint(t, h)
	for _, table := range []string{"tenants.tenant_members", "tenants.tenant_invitations"} {
		if before[table] != after[table] {
			t.Errorf("%s did not come back whole:\n%s", table, cmp.Diff(before[table], after[table]))
		}
	}
	h.owner.must(t, `mutation($i: uuid!) { revokeInvitation(invitationId: $i) { id } }`, args{"i": invitation})
}

func TestDeletedTenantCannotBeRestoredAfterItsTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator().must(t, deleteIt, h.refS())
	operator().must(t, `mutation($t: uuid!) { update_tenants_by_pk(pk_columns: {id: $t}, _set: {purge_after: "2020-01-01T00:00:00Z"}) { id } }`, h.ref())
	operator().refused(t, restoreIt, h.ref())
}

func TestDeletionAsksForTheSlug(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, typed := range []string{"", "x", h.slug + " ", " " + h.slug, h.id, h.name} {
		h.owner.refused(t, deleteIt, args{"t": h.id, "s": typed})
		operator().refused(t, deleteIt, args{"t": h.id, "s": typed})
	}
	wantChannels(t, h.owner, allOpen, "not deleted")
}

func TestStatusChangesOnlyAlongTheAllowedWays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	op := operator()
	op.refused(t, activateIt, h.ref())
	op.refused(t, restoreIt, h.ref())
	op.must(t, suspendIt, h.ref())
	op.refused(t, suspendIt, h.ref())
	op.refused(t, restoreIt, h.ref())
	op.must(t, deleteIt, h.refS())
	op.refused(t, suspendIt, h.ref())
	op.refused(t, activateIt, h.ref())
	op.refused(t, `mutation($t: String!) { setTenantPlan(tenant: $t, plan: "free") { plan } }`, h.ref())
	op.refused(t, `mutation($t: String!) { updateTenant(tenant: $t, name: "Ghost") { name } }`, h.ref())
	op.refused(t, `mutation($t: String!, $u: uuid!) { mintToken(userId: $u, tenant: $t) { role } }`, args{"t": h.id, "u": h.owner.id})
	// A tenant that was suspended when it was deleted comes back suspended: as it was.
	if got := op.must(t, restoreIt, h.ref()).text(t, "restoreTenant.status"); got != "suspended" {
		t.Errorf("a suspended tenant was restored as %q", got)
	}
}

func TestRemovedMemberIsRefusedAtTheNextStatement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	wantChannels(t, h.admin, allOpen, "before")
	h.owner.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": h.admin.id})
	wantChannels(t, h.admin, allShut, "removed")
	h.admin.refused(t, `mutation($t: String!) { switchTenant(tenant: $t) { accessToken } }`, h.ref())
	h.member.must(t, `mutation { leaveTenant { role } }`, nil)
	wantChannels(t, h.member, allShut, "left")
	wantChannels(t, h.owner, allOpen, "of those who stay")
	if n := h.member.signIn(t, "").must(t, `{ myTenants { id } }`, nil).count(t, "myTenants"); n != 0 {
		t.Errorf("who left is in %d tenants", n)
	}
}
