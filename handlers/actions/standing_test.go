package actions_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// What the actions below wait for. $1 is the tenant.
const (
	holdTenant      = `SELECT FROM tenants.tenants WHERE id = $1 FOR UPDATE`
	holdMembers     = `SELECT FROM tenants.tenant_members WHERE tenant_id = $1 FOR UPDATE`
	holdInvitations = `SELECT FROM tenants.tenant_invitations WHERE tenant_id = $1 FOR UPDATE`
	holdSettings    = `SELECT FROM tenants.tenant_settings WHERE tenant_id = $1 FOR UPDATE`
	holdKeys        = `SELECT FROM auth.api_keys WHERE tenant_id = $1 FOR UPDATE`
	holdTransfers   = `SELECT FROM tenants.ownership_transfers WHERE tenant_id = $1 FOR UPDATE`
)

// change is an action of a tenant's person that changes something, kept waiting between
// its admission and its write.
type change struct {
	action string
	by     member.Role
	hold   string                                                       // what somebody else holds meanwhile
	table  string                                                       // or the table that nobody else writes
	plan   func(t *testing.T, h house, team pgtest.Team) map[string]any // the input, and what it needs
}

func fixed(input map[string]any) func(*testing.T, house, pgtest.Team) map[string]any {
	return func(*testing.T, house, pgtest.Team) map[string]any { return input }
}

func offered(t *testing.T, h house, team pgtest.Team) map[string]any {
	h.must(t, owner(team), "transferOwnership", with(team.Guest))
	return nil
}

func invited(t *testing.T, h house, team pgtest.Team) map[string]any {
	return map[string]any{"invitationId": h.must(t, owner(team), "inviteMember", map[string]any{"email": "open@example.com"})["id"]}
}

func withKey(t *testing.T, h house, team pgtest.Team) map[string]any {
	return map[string]any{"apiKeyId": h.must(t, owner(team), "createApiKey", map[string]any{"name": "k"})["id"]}
}

func signedIn(t *testing.T, h house, team pgtest.Team) map[string]any {
	if _, err := h.db.Exec(t.Context(), `INSERT INTO auth.sessions (method, tenant_id, user_id, role, expires_at)
		VALUES ('link', $1, $2, 'tenant_guest', now() + interval '1 hour')`, team.ID, team.Guest); err != nil {
		t.Fatal(err)
	}
	return with(team.Guest)
}

func withGuest(_ *testing.T, _ house, team pgtest.Team) map[string]any { return with(team.Guest) }

var changes = []change{
	{action: "updateTenant", by: member.Admin, hold: holdTenant, plan: fixed(map[string]any{"name": "Other"})},
	{action: "updateTenant", by: member.Admin, hold: holdTenant, plan: fixed(map[string]any{"slug": "no-such-slug-yet"})},
	{action: "deleteTenant", by: member.Owner, hold: holdTenant, plan: func(_ *testing.T, _ house, team pgtest.Team) map[string]any {
		return map[string]any{"confirmSlug": team.Slug}
	}},
	{action: "createApiKey", by: member.Admin, hold: holdMembers, plan: fixed(map[string]any{"name": "k"})},
	{action: "createApiKey", by: member.Admin, hold: holdMembers, plan: fixed(map[string]any{"name": "k", "idempotencyKey": "once"})},
	{action: "revokeApiKey", by: member.Admin, hold: holdKeys, plan: withKey},
	{action: "inviteMember", by: member.Admin, table: "tenants.tenant_invitations", plan: fixed(map[string]any{"email": "a@b.example"})},
	{action: "inviteMembers", by: member.Admin, table: "tenants.tenant_invitations", plan: fixed(map[string]any{"emails": []string{"a@b.example", "c@d.example"}})},
	{action: "revokeInvitation", by: member.Admin, hold: holdInvitations, plan: invited},
	{action: "resendInvitation", by: member.Admin, hold: holdInvitations, plan: invited},
	{action: "addMember", by: member.Admin, table: "tenants.tenant_members", plan: func(t *testing.T, h house, team pgtest.Team) map[string]any {
		return with(h.local(t, team))
	}},
	{action: "updateMemberRole", by: member.Admin, hold: holdMembers, plan: func(_ *testing.T, _ house, team pgtest.Team) map[string]any {
		return with(team.Guest, "role", "member")
	}},
	{action: "removeMember", by: member.Admin, hold: holdMembers, plan: withGuest},
	{action: "revokeSessions", by: member.Admin, hold: holdMembers, plan: signedIn},
	{action: "removeMember", by: member.Admin, table: "tenants.tenant_members", plan: withGuest},
	{action: "leaveTenant", by: member.Admin, hold: holdMembers, plan: fixed(nil)},
	{action: "transferOwnership", by: member.Owner, hold: holdMembers, plan: withGuest},
	{action: "acceptOwnership", by: member.Guest, hold: holdMembers, plan: offered},
	{action: "cancelOwnershipTransfer", by: member.Owner, hold: holdTransfers, plan: offered},
	{action: "cancelOwnershipTransfer", by: member.Guest, hold: holdTransfers, plan: offered},
	{action: "setTenantSetting", by: member.Admin, hold: holdSettings, plan: fixed(map[string]any{"key": "locale", "value": "de"})},
	{action: "setTenantSetting", by: member.Admin, table: "tenants.tenant_settings", plan: fixed(map[string]any{"key": "new", "value": 1})},
	{action: "removeTenantSetting", by: member.Admin, hold: holdSettings, plan: fixed(map[string]any{"key": "locale"})},
	{action: "removeTenantSetting", by: member.Admin, table: "tenants.tenant_settings", plan: fixed(map[string]any{"key": "locale"})},
	{action: "recordUsage", by: member.Admin, table: "billing.usage_totals", plan: fixed(map[string]any{"events": []any{event("k", 1)}})},
	{action: "recordUsage", by: member.Admin, table: "billing.usage_keys", plan: fixed(map[string]any{"events": []any{event("k", 1), event("l", 1)}})},
	{action: "takeQuota", by: member.Admin, table: "billing.usage_totals", plan: fixed(map[string]any{"meter": "compute_hours", "idempotencyKey": "once"})},
	{action: "reserveQuota", by: member.Admin, table: "billing.usage_totals", plan: fixed(map[string]any{"meter": "storage", "amount": 1})},
	{action: "settleQuota", by: member.Admin, table: "billing.usage_totals", plan: reserved},
	{action: "releaseQuota", by: member.Admin, table: "billing.usage_totals", plan: func(t *testing.T, h house, team pgtest.Team) map[string]any {
		return map[string]any{"id": reserved(t, h, team)["id"]}
	}},
}

func reserved(t *testing.T, h house, team pgtest.Team) map[string]any {
	return map[string]any{"id": h.must(t, owner(team), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": 2})["id"], "amount": 1}
}

// losses are the ways in which an actor loses the standing in a tenant. $1 is the tenant,
// $2 the actor, $3 the actor's session.
var losses = map[string]string{
	"removed": `DELETE FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2 AND $3::uuid IS NOT NULL`,
	"given another role": `UPDATE tenants.tenant_members SET role = CASE role WHEN 'guest' THEN 'member' ELSE 'guest' END
		WHERE tenant_id = $1 AND user_id = $2 AND $3::uuid IS NOT NULL`,
	"signed out": `UPDATE auth.sessions SET ended_at = now(), end_reason = 'signed out' WHERE tenant_id = $1 AND user_id = $2 AND id = $3`,
	"suspended with the tenant": `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now()
		WHERE id = $1 AND $2::uuid IS NOT NULL AND $3::uuid IS NOT NULL`,
}

// stateSQL is everything a tenant has.
const stateSQL = `SELECT jsonb_build_object(
	'tenant', (SELECT to_jsonb(t) FROM tenants.tenants t WHERE id = $1),
	'members', (SELECT jsonb_agg(m ORDER BY user_id) FROM tenants.tenant_members m WHERE tenant_id = $1),
	'invitations', (SELECT jsonb_agg(i ORDER BY id) FROM tenants.tenant_invitations i WHERE tenant_id = $1),
	'transfers', (SELECT jsonb_agg(o ORDER BY id) FROM tenants.ownership_transfers o WHERE tenant_id = $1),
	'settings', (SELECT jsonb_agg(s ORDER BY key) FROM tenants.tenant_settings s WHERE tenant_id = $1),
	'keys', (SELECT jsonb_agg(k ORDER BY id) FROM auth.api_keys k WHERE tenant_id = $1),
	'identities', (SELECT jsonb_agg(u ORDER BY id) FROM auth.users u WHERE tenant_id = $1),
	'sessions', (SELECT jsonb_agg(s ORDER BY id) FROM auth.sessions s WHERE tenant_id = $1),
	'totals', (SELECT jsonb_agg(u ORDER BY meter, period_start) FROM billing.usage_totals u WHERE tenant_id = $1),
	'records', (SELECT jsonb_agg(u ORDER BY recorded_at, idempotency_key) FROM billing.usage_records u WHERE tenant_id = $1),
	'usage keys', (SELECT jsonb_agg(u ORDER BY key_hash) FROM billing.usage_keys u WHERE tenant_id = $1),
	'reservations', (SELECT jsonb_agg(q ORDER BY id) FROM billing.quota_reservations q WHERE tenant_id = $1),
	'operations', (SELECT jsonb_agg(o ORDER BY id) FROM billing.operations o WHERE tenant_id = $1),
	'kept replies', (SELECT jsonb_agg(r ORDER BY key) FROM nself.idempotency_keys r WHERE tenant_id = $1),
	'audit', (SELECT count(*) FROM audit.log WHERE tenant_id = $1))::text`

// Whoever is admitted and loses the standing before the write is refused, and told so:
// row-level security leaves the statement without its row, which is not to pass for done.
func TestWhoeverLosesTheirStandingBeforeTheWriteChangesNothing(t *testing.T) {
	h := newHouse(t)
	past := h.under.Superuser(t)
	for how, loss := range losses {
		for _, c := range changes {
			t.Run(c.action+" by a "+string(c.by)+" "+how, func(t *testing.T) { h.losing(t, past, c, loss) })
		}
	}
}

// elsewhere are the actions whose write row-level security does not decide: they run
// outside any tenant, or change nothing.
var elsewhere = []string{
	"createTenant", "acceptInvitation", "switchTenant", "signOut", "tenantStats", "myTenants", "checkQuota", "tenantUsage",
	"billingStanding", "tenantBudget",
}

func TestEveryActionOfATenantsPersonIsTriedWithoutStanding(t *testing.T) {
	for _, action := range actions.Table(actions.Config{}) {
		tried := slices.ContainsFunc(slices.Concat(changes, purchases), func(c change) bool { return c.action == action.Name })
		if len(action.Roles) > 0 && tried == slices.Contains(elsewhere, action.Name) {
			t.Errorf("%s is to be among the changes of these tests, or elsewhere", action.Name)
		}
	}
}

func (h house) losing(t *testing.T, past *pgxpool.Pool, c change, loss string) {
	team := pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "updateMemberRole", with(team.Member, "role", "owner", "tenant", team.ID)) // one is always left
	input := c.plan(t, h, team)
	me := h.signedIn(t, team, c.by)
	held, err := past.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(t.Context()) }()
	if c.table != "" {
		run(t, held, `LOCK TABLE `+c.table+` IN EXCLUSIVE MODE`)
	} else {
		run(t, held, c.hold, team.ID)
	}
	answer := make(chan reply, 1)
	go func() { answer <- h.call(t, me, c.action, input) }()
	untilSomebodyWaits(t, past)
	if len(answer) > 0 {
		got := <-answer
		t.Fatalf("did not wait, but answered %d %v", got.status, got.body)
	}
	run(t, held, loss, team.ID, me.User, me.ID)
	var before, after string
	if err := held.QueryRow(t.Context(), stateSQL, team.ID).Scan(&before); err != nil {
		t.Fatal(err)
	}
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-answer
	if !slices.Contains([]any{"forbidden", "not-a-member", "role-changed", "session-ended", "tenant-not-active"}, got.code()) {
		t.Errorf("answered %d %v %v", got.status, got.body, got.list)
	}
	if err := past.QueryRow(t.Context(), stateSQL, team.ID).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("changed from\n%s\nto\n%s", before, after)
	}
}

func run(t testing.TB, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// untilSomebodyWaits returns once a statement in this database waits for a lock, or after
// ten seconds in which none did.
func untilSomebodyWaits(t testing.TB, db *pgxpool.Pool) {
	t.Helper()
	last := time.Now().Add(10 * time.Second)
	for waiting := false; !waiting && time.Now().Before(last); time.Sleep(time.Millisecond) {
		err := db.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A key that is revoked does not work on, whatever becomes of whoever revoked it.
func TestAKeyIsRevokedWholeOrNotAtAll(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	past := h.under.Superuser(t)
	key := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k", "role": "admin"})
	held, err := past.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(t.Context()) }()
	run(t, held, `LOCK TABLE audit.log IN EXCLUSIVE MODE`)
	answer := make(chan reply, 1)
	go func() {
		answer <- h.call(t, team.As(member.Admin), "revokeApiKey", map[string]any{"apiKeyId": key["id"]})
	}()
	untilSomebodyWaits(t, past)
	run(t, held, losses["given another role"], team.ID, team.Admin, team.Admin)
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-answer
	revoked := h.count(t, `SELECT count(*) FROM auth.api_keys WHERE id = $1 AND revoked_at IS NOT NULL`, key["id"])
	gone := 1 - h.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE user_id = $1`, key["userId"])
	if done := got.status == 200; (revoked == 1) != done || (gone == 1) != done {
		t.Errorf("answered %v; revoked %d, its membership gone %d", got.body, revoked, gone)
	}
}

func TestOfTwoOwnersWhoRemoveEachOtherWhoeverIsToldSoDidIt(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		team := pgtest.NewTeam(t, h.db)
		h.must(t, owner(team), "updateMemberRole", with(team.Admin, "role", "owner"))
		second := newOwner(team, member.Admin)
		other := make(chan reply, 1)
		go func() { other <- h.call(t, second, "removeMember", with(team.Owner)) }()
		first, answered := h.call(t, owner(team), "removeMember", with(team.Admin)), <-other
		for _, c := range []struct {
			got    reply
			target session.Session
		}{{first, second}, {answered, owner(team)}} {
			left := h.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2`, team.ID, c.target.User)
			logged := h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'remove_member' AND target = 'member:' || $2::text`, team.ID, c.target.User.String())
			if done := c.got.status == 200; done != (left == 0) || done != (logged == 1) || c.got.status >= 500 {
				t.Errorf("answered %v; still a member: %d, rows in the log: %d", c.got.body, left, logged)
			}
		}
	}
}
