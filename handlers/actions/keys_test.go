package actions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestAKeyIsMadeByOwnersAndAdminsAndShownOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for _, actor := range []session.Session{owner(team), team.As(member.Admin)} {
		input := map[string]any{"name": " Importer ", "role": "admin", "expiresAt": "2100-01-01T00:00:00Z", "idempotencyKey": "once"}
		made := h.must(t, actor, "createApiKey", input)
		plain, _ := made["key"].(string)
		if !strings.HasPrefix(plain, "nsk_"+made["prefix"].(string)+"_") || made["name"] != "Importer" || made["role"] != "admin" ||
			made["tenantId"] != team.ID.String() || made["expiresAt"] != "2100-01-01T00:00:00Z" || made["lastUsedAt"] != nil || made["revokedAt"] != nil {
			t.Errorf("made %v", made)
		}
		if again := h.must(t, actor, "createApiKey", input); again["id"] != made["id"] || again["key"] != nil {
			t.Errorf("the same again: %v", again)
		}
		if n := h.count(t, `SELECT count(*) FROM nself.idempotency_keys WHERE reply::text LIKE '%' || $1 || '%'`, plain[13:]); n != 0 {
			t.Error("the key is kept with its reply")
		}
		if holder, err := apikey.Use(t.Context(), h.db, plain); err != nil || holder.Tenant != team.ID || holder.Role != member.Admin {
			t.Errorf("used: %v, %v", holder, err)
		}
	}
	h.must(t, pgtest.Operator, "createApiKey", map[string]any{"tenant": team.Slug, "name": "by the operator"})
	for _, role := range []member.Role{member.Plain, member.Guest} {
		h.refused(t, "forbidden", team.As(role), "createApiKey", map[string]any{"name": "k"})
		h.refused(t, "forbidden", team.As(role), "revokeApiKey", map[string]any{"apiKeyId": team.ID})
	}
}

func TestAllThatIsWrongWithAKeyIsToldAtOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	got := h.refused(t, "invalid-input", owner(team), "createApiKey", map[string]any{"name": " ", "role": "owner", "expiresAt": "2020-01-01T00:00:00Z", "idempotencyKey": ""})
	problems := got.body["extensions"].(map[string]any)["problems"].([]any)
	if len(problems) != 4 {
		t.Errorf("told %v", problems)
	}
	h.refused(t, "invalid-input", owner(team), "createApiKey", map[string]any{"name": "k", "expiresAt": "tomorrow"})
	h.refused(t, "invalid-input", owner(team), "revokeApiKey", map[string]any{"apiKeyId": "k"})
}

func TestARevokedKeyIsRefusedAtTheNextStatement(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	made := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k", "role": "admin"})
	machine := as(t, session.TenantAdmin, made["userId"], team)
	minted, err := h.minter.MintForKey(t.Context(), h.db, team.ID, machine.User)
	if err != nil {
		t.Fatal(err)
	}
	machine.ID = minted.Session
	h.must(t, machine, "setTenantSetting", map[string]any{"key": "k", "value": 1})
	one := map[string]any{"apiKeyId": made["id"]}
	h.refused(t, "not-found", owner(other), "revokeApiKey", one)
	first := h.must(t, team.As(member.Admin), "revokeApiKey", one)
	if again := h.must(t, owner(team), "revokeApiKey", one); again["revokedAt"] != first["revokedAt"] || first["revokedAt"] == nil || first["key"] != nil {
		t.Errorf("revoked %v, then %v", first, again)
	}
	h.refused(t, "not-a-member", machine, "setTenantSetting", map[string]any{"key": "k", "value": 2})
	h.refused(t, "session-ended", machine, "myTenants", nil)
	if n := h.seenAs(t, "nself_app", machine); n != 0 {
		t.Errorf("nself_app sees %d members under a revoked key", n)
	}
	if _, err := apikey.Use(t.Context(), h.db, made["key"].(string)); !fault.Is(err, fault.InvalidGrant) {
		t.Errorf("the revoked key: %v", err)
	}
}

func TestAKeysMembershipIsItsKeysAlone(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	made := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k"})
	machine := as(t, session.Member, made["userId"], team)
	for _, refused := range []reply{
		h.refused(t, "forbidden", owner(team), "removeMember", with(machine.User)),
		h.refused(t, "forbidden", owner(team), "updateMemberRole", with(machine.User, "role", "admin")),
		h.refused(t, "forbidden", pgtest.Operator, "updateMemberRole", with(machine.User, "role", "owner", "tenant", team.Slug)),
		h.refused(t, "forbidden", machine, "leaveTenant", nil),
	} {
		if !strings.Contains(refused.body["message"].(string), "revokeApiKey") {
			t.Errorf("refused with %v", refused.body["message"])
		}
	}
	h.must(t, owner(team), "revokeApiKey", map[string]any{"apiKeyId": made["id"]})
	h.refused(t, "not-found", owner(team), "addMember", with(machine.User))
	h.refused(t, "not-found", pgtest.Operator, "addMember", with(machine.User, "tenant", team.Slug))
	h.refused(t, "not-found", owner(team), "removeMember", with(machine.User))
}

func TestAMachineOwnsNoTenant(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for role, of := range map[string]session.Role{"admin": session.TenantAdmin, "member": session.Member} {
		made := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k", "role": role})
		for _, refused := range []reply{
			h.refused(t, "forbidden", as(t, of, made["userId"], team), "createTenant", map[string]any{"name": "n"}),
			h.refused(t, "forbidden", pgtest.Operator, "createTenant", map[string]any{"name": "n", "ownerUserId": made["userId"]}),
		} {
			if !strings.Contains(refused.body["message"].(string), "a machine owns no tenant") {
				t.Errorf("refused with %v", refused.body["message"])
			}
		}
	}
	h.refused(t, "not-found", pgtest.Operator, "createTenant", map[string]any{"name": "n", "ownerUserId": h.local(t, team)})
}

func TestAKeyEndsWithItsTime(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	made := h.must(t, owner(team), "createApiKey", map[string]any{"name": "k", "expiresAt": time.Now().Add(time.Hour)})
	h.exec(t, `UPDATE auth.api_keys SET expires_at = now() WHERE id = $1`, made["id"])
	if _, err := apikey.Use(t.Context(), h.db, made["key"].(string)); !fault.Is(err, fault.InvalidGrant) {
		t.Errorf("an expired key: %v", err)
	}
}
