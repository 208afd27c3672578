package actions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// A trigger writes down which role wrote a row, under which session.
const witnessSQL = `
CREATE TABLE public.witness (role text, session jsonb);
GRANT INSERT ON public.witness TO PUBLIC;
CREATE FUNCTION public.witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.witness VALUES (current_user, nullif(current_setting('hasura.user', true), '')::jsonb); RETURN NULL; END $$;
CREATE TRIGGER witness AFTER INSERT ON tenants.tenant_settings FOR EACH STATEMENT EXECUTE FUNCTION public.witness()`

func TestTheTransactionActsAsTheLeastRoleUnderTheCallersSession(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	if _, err := h.under.Superuser(t).Exec(t.Context(), witnessSQL); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		actor  session.Session
		action string
		input  map[string]any
		role   string
	}{
		{owner(team), "setTenantSetting", map[string]any{"key": "k", "value": 1}, "nself_tenant"},
		{pgtest.Operator, "setTenantSetting", map[string]any{"key": "k", "value": 1, "tenant": team.Slug}, "nself_server"},
		{user, "createTenant", map[string]any{"name": "n"}, "nself_server"},
	} {
		if _, err := h.under.Superuser(t).Exec(t.Context(), `DELETE FROM public.witness`); err != nil {
			t.Fatal(err)
		}
		h.must(t, c.actor, c.action, c.input)
		if got := h.count(t, `SELECT count(*) FROM public.witness WHERE role = $1 AND session->>'x-hasura-role' = $2
			AND coalesce(session->>'x-hasura-user-id', '') = $3`, c.role, string(c.actor.Role), c.actor.User.String()); got == 0 {
			t.Errorf("%s by %s was not written as %s under its session", c.action, c.actor.Role, c.role)
		}
	}
	if got := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'set_tenant_setting' AND actor_role = 'tenant_owner' AND actor_user_id = $1`, team.Owner.String()); got != 1 {
		t.Error("the audit log does not say who it was")
	}
}

func TestTheOperatorMintsForAnyoneWithinBounds(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	got := h.must(t, pgtest.Operator, "mintToken", map[string]any{"userId": team.Guest, "tenant": team.ID, "ttlSeconds": 7200})
	expires, err := time.Parse(time.RFC3339, got["expiresAt"].(string))
	if left := time.Until(expires); err != nil || left < 110*time.Minute || left > 2*time.Hour {
		t.Errorf("two hours end at %v", got["expiresAt"])
	}
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'mint_token' AND tenant_id = $1 AND target = 'session:' || $2`, team.ID.String(), got["sessionId"]); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	for _, ttl := range []int{0, -1, 604801} {
		h.refused(t, "invalid-input", pgtest.Operator, "mintToken", map[string]any{"userId": team.Guest, "ttlSeconds": ttl})
	}
	h.refused(t, "not-found", pgtest.Operator, "mintToken", map[string]any{"userId": id.New[id.User]()})
	h.refused(t, "not-found", pgtest.Operator, "mintToken", map[string]any{"userId": pgtest.User(t, h.db), "tenant": team.Slug})
	h.refused(t, "forbidden", pgtest.Operator, "leaveTenant", map[string]any{"tenant": team.Slug})
	h.refused(t, "forbidden", pgtest.Operator, "switchTenant", map[string]any{"tenant": team.Slug})
}

func TestAnInvitationIsKeptAsAHashForAWeekAndOpensNoSuspendedTenant(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	user := pgtest.User(t, h.db)
	sent := h.must(t, team.As(member.Admin), "inviteMember", map[string]any{"email": strings.ToUpper(h.email(t, user))})
	if got := h.count(t, `SELECT count(*) FROM tenants.tenant_invitations WHERE token_hash = sha256(convert_to($1, 'UTF8'))
		AND expires_at BETWEEN now() + interval '6 days 23 hours' AND now() + interval '7 days'`, sent["token"]); got != 1 || len(sent["token"].(string)) < 43 {
		t.Errorf("sent %v", sent)
	}
	me, token := session.Session{Role: session.User, User: user}, map[string]any{"token": sent["token"]}
	h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": team.Slug})
	h.refused(t, "not-found", me, "acceptInvitation", token)
	h.must(t, pgtest.Operator, "activateTenant", map[string]any{"tenant": team.Slug})
	if got := h.must(t, me, "acceptInvitation", token); got["invitedBy"] != team.Admin.String() {
		t.Errorf("accepted %v", got)
	}
}
