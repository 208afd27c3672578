package actions_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestASettingIsWrittenReadBackAndRemoved(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	for _, value := range []string{`1`, `"x"`, `false`, `[1,2]`, `{"a":{"b":9007199254740993}}`, `"\ud83c\udf6e"`} {
		got := h.must(t, team.As(member.Admin), "setTenantSetting", map[string]any{"key": "k", "value": json.RawMessage(value)})
		if got["key"] != "k" {
			t.Errorf("set %s: %v", value, got)
		}
	}
	if n := h.count(t, `SELECT count(*) FROM tenants.tenant_settings WHERE tenant_id = $1 AND key = 'k'`, team.ID.String()); n != 1 {
		t.Errorf("%d rows for one key", n)
	}
	h.refused(t, "not-found", owner(other), "removeTenantSetting", map[string]any{"key": "k"})
	h.must(t, owner(team), "removeTenantSetting", map[string]any{"key": "k"})
	h.refused(t, "not-found", owner(team), "removeTenantSetting", map[string]any{"key": "k"})
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE target = 'setting:k'`); n != 7 {
		t.Errorf("%d audit rows for seven changes", n)
	}
}

func TestASettingThatCannotBeStoredIsRefusedAndNeverABug(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for _, value := range []string{`"\u0000"`, `{"\u0000":1}`, `1e400000`, `"` + strings.Repeat("x", 70000) + `"`} {
		h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": "k", "value": json.RawMessage(value)})
	}
	h.refused(t, "invalid-json", owner(team), "setTenantSetting", map[string]any{"key": "k", "value": json.RawMessage(`"\ud800"`)})
	if got := h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": "k", "value": json.RawMessage(`1e70000`)}); !strings.Contains(fmt.Sprint(got.body["message"]), "65536") {
		t.Errorf("the limit is not named: %v", got.body)
	}
	for _, depth := range []int{100, 5000, 9000} {
		deep := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if got := h.call(t, owner(team), "setTenantSetting", map[string]any{"key": "k", "value": json.RawMessage(deep)}); got.status >= 500 {
			t.Errorf("a value %d deep: %d %v", depth, got.status, got.code())
		}
	}
	for _, key := range []string{"", "A", "1a", "a b", "a'b", strings.Repeat("a", 129), "ä"} {
		h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": key, "value": 1})
	}
	h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": "k"})
	h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": "k", "value": nil})
}

// injections are strings that end a statement, a literal or an identifier somewhere.
var injections = []string{
	`'; DROP TABLE tenants.tenants; --`, `' OR '1'='1`, `" OR ""="`, `$1`, `@tenant_id`, `\'; SELECT pg_sleep(10); --`, `%' --`, `$$; COMMIT; --`,
	`1); DELETE FROM audit.log; --`, `' UNION SELECT null--`, `{{NSELF_WEBHOOK_URL}}`, `x-hasura-tenant-id`, `admin"; --`, "a\tb", `\x00`, "\u202eevil",
}

func TestInjectionStringsAreTextOrRefused(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	before := h.count(t, `SELECT count(*) FROM tenants.tenants`)
	for _, s := range injections {
		for action, input := range map[string]map[string]any{
			"updateTenant":        {"name": s},
			"setTenantSetting":    {"key": "k", "value": s},
			"removeTenantSetting": {"key": s},
			"inviteMember":        {"email": s},
			"updateMemberRole":    {"userId": s, "role": s},
			"deleteTenant":        {"confirmSlug": s},
			"switchTenant":        {"tenant": s},
			"tenantStats":         {"tenant": s},
			"acceptInvitation":    {"token": s},
			"createTenant":        {"name": "n", "slug": s, "plan": s, "strategy": s, "idempotencyKey": s},
		} {
			if got := h.call(t, owner(team), action, input); got.status >= 500 {
				t.Errorf("%s(%v): %d %v", action, input, got.status, got.body)
			}
		}
		if got := h.call(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": s, "reason": s}); got.status >= 500 || got.status == 200 {
			t.Errorf("suspendTenant(%q): %d", s, got.status)
		}
	}
	if after := h.count(t, `SELECT count(*) FROM tenants.tenants WHERE status = 'active'`); after != before {
		t.Errorf("%d tenants before, %d after", before, after)
	}
}

func TestNamesNobodyCanReadAreRefused(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for _, name := range []string{"", "   ", "a\x00b", "a\nb", "\u202egro.live", "a\u200fb", "a\u200bb", strings.Repeat("x", 10<<10), "\x7f"} {
		h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{"name": name})
	}
	for _, name := range []string{"O'Brien & \"Sons\"", "👩‍👩‍👧 Family", "عربي", "עברית", "日本語", strings.Repeat("é", 200), "<script>alert(1)</script>"} {
		if got := h.must(t, owner(team), "updateTenant", map[string]any{"name": name}); fmt.Sprint(got["name"]) != name {
			t.Errorf("%q came back as %q", name, got["name"])
		}
	}
}
