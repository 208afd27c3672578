package actions_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestCreateTenantMakesTenantOwnerSettingsAndOneAuditRow(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	made := h.must(t, user, "createTenant", map[string]any{"name": "  Crème Brûlée & Söhne 🍮 "})
	if made["slug"] != "creme-brulee-sohne" || made["plan"] != "free" || made["status"] != "active" || made["ownerUserId"] != user.User.String() {
		t.Fatalf("made %v", made)
	}
	if made["name"] != "Crème Brûlée & Söhne 🍮" || made["url"] != "https://creme-brulee-sohne.example.com" {
		t.Fatalf("made %v", made)
	}
	for sql, want := range map[string]int{
		`SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1 AND role = 'owner'`:                                                         1,
		`SELECT count(*) FROM tenants.tenant_settings WHERE tenant_id = $1`:                                                                           2,
		`SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'create_tenant'`:                                                            1,
		`SELECT count(*) FROM audit.log WHERE tenant_id = $1`:                                                                                         1,
		`SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND request_id IS NOT NULL AND before IS NULL AND after->>'slug' = 'creme-brulee-sohne'`: 1,
	} {
		if got := h.count(t, sql, made["id"]); got != want {
			t.Errorf("%s: got %d, want %d", sql, got, want)
		}
	}
}

func TestCreateTenantNumbersASlugMadeFromATakenName(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	for i, want := range []string{"moon-base", "moon-base-2", "moon-base-3"} {
		if got := h.must(t, user, "createTenant", map[string]any{"name": "Moon Base"}); got["slug"] != want {
			t.Errorf("tenant %d has slug %v, want %s", i, got["slug"], want)
		}
	}
	if got := h.must(t, user, "createTenant", map[string]any{"name": "Admin"}); got["slug"] != "admin-2" {
		t.Errorf("a reserved name became the slug %v", got["slug"])
	}
	if got := h.must(t, user, "createTenant", map[string]any{"name": "🍮"}); got["slug"] != "tenant-2" {
		t.Errorf("a name without letters became the slug %v", got["slug"])
	}
}

func TestCreateTenantRefusesATakenOrReservedSlugAndProposesAFreeOne(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	h.must(t, user, "createTenant", map[string]any{"name": "A", "slug": "acme"})
	for slug, code := range map[string]string{"acme": "slug-taken", "admin": "slug-reserved"} {
		got := h.refused(t, code, user, "createTenant", map[string]any{"name": "B", "slug": slug})
		proposal := got.body["extensions"].(map[string]any)["suggestion"].(string)
		if !strings.Contains(got.body["message"].(string), proposal) {
			t.Errorf("the message %q does not propose %q", got.body["message"], proposal)
		}
		h.must(t, user, "createTenant", map[string]any{"name": "B", "slug": proposal})
	}
}

func TestCreateTenantReportsEveryProblemAtOnce(t *testing.T) {
	h := newHouse(t)
	got := h.refused(t, "invalid-input", pgtest.Operator, "createTenant", map[string]any{
		"name": 7, "slug": "-a", "strategy": "both", "idempotencyKey": "", "surprise": true, "ownerUserId": "nobody",
	})
	var fields []string
	for _, p := range got.body["extensions"].(map[string]any)["problems"].([]any) {
		fields = append(fields, p.(map[string]any)["field"].(string))
	}
	for _, want := range []string{"name", "slug", "strategy", "idempotencyKey", `"surprise"`, "ownerUserId"} {
		if !strings.Contains(strings.Join(fields, " "), want) {
			t.Errorf("%s is not among the problems %v", want, fields)
		}
	}
}

func TestSlugMustBeADNSLabel(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	for _, slug := range []string{"", "a", "A", "Acme", "-a", "a-", "xn--acme", "a.b", "a_b", "a b", "ä", "acme\n", strings.Repeat("a", 64), "a'--", "\x00", "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10"} {
		h.refused(t, "invalid-input", user, "createTenant", map[string]any{"name": "N", "slug": slug})
	}
	for _, slug := range []string{"ab", "a1", "9a", "a--b", strings.Repeat("a", 63)} {
		h.must(t, user, "createTenant", map[string]any{"name": "N", "slug": slug})
	}
}

func TestCreateTenantByAUserTakesNoPlanAndNoOtherOwner(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	h.refused(t, "forbidden", user, "createTenant", map[string]any{"name": "N", "plan": "enterprise"})
	h.refused(t, "forbidden", user, "createTenant", map[string]any{"name": "N", "ownerUserId": pgtest.User(t, h.db)})
	h.refused(t, "invalid-input", pgtest.Operator, "createTenant", map[string]any{"name": "N"})
	h.refused(t, "not-found", pgtest.Operator, "createTenant", map[string]any{"name": "N", "ownerUserId": "00000000-0000-4000-8000-000000000001"})
	h.refused(t, "not-found", pgtest.Operator, "createTenant", map[string]any{"name": "N", "plan": "gold", "ownerUserId": user.User})
	if got := h.count(t, `SELECT count(*) FROM tenants.tenants`); got != 0 {
		t.Errorf("%d tenants are left of refused ones", got)
	}
}

func TestCreateTenantWithOneKeyMakesOneTenantHoweverOften(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	input := map[string]any{"name": "Once", "idempotencyKey": "k1"}
	ids := make([]any, 8)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() { ids[i] = h.must(t, user, "createTenant", input)["id"] })
	}
	wait.Wait()
	for _, got := range ids {
		if got != ids[0] {
			t.Fatalf("one key made several tenants: %v", ids)
		}
	}
	if got := h.count(t, `SELECT count(*) FROM tenants.tenants`); got != 1 {
		t.Errorf("%d tenants", got)
	}
	h.refused(t, "idempotency-key-reused", user, "createTenant", map[string]any{"name": "Other", "idempotencyKey": "k1"})
	elsewhere := session.Session{Role: session.TenantOwner, User: user.User, Tenant: h.tenantOf(t, ids[0])}
	if got := h.must(t, elsewhere, "createTenant", input)["id"]; got != ids[0] {
		t.Error("the user's key made another tenant once they had switched")
	}
	other := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	if got := h.must(t, other, "createTenant", input)["id"]; got == ids[0] {
		t.Error("another user's key opened the first user's tenant")
	}
}

func (h house) tenantOf(t testing.TB, text any) id.Tenant {
	t.Helper()
	tenant, err := id.Parse[id.Tenant](fmt.Sprint(text))
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

func TestStrategySchemaMakesASchemaInWhichOurRolesMakeNothing(t *testing.T) {
	h := newHouse(t)
	user := session.Session{Role: session.User, User: pgtest.User(t, h.db)}
	made := h.must(t, user, "createTenant", map[string]any{"name": "Own", "strategy": "schema"})
	want := "tenant_" + strings.ReplaceAll(made["id"].(string), "-", "")[:8]
	if got := h.count(t, `SELECT count(*) FROM tenants.tenant_schemas s JOIN pg_namespace n ON n.nspname = s.schema_name
		WHERE s.tenant_id = $1 AND s.schema_name = $2`, made["id"], want); got != 1 {
		t.Errorf("schema %s is not there", want)
	}
	for _, role := range []string{"nself_server", "nself_tenant", "nself_app", "nself_hasura"} {
		if got := h.count(t, `SELECT has_schema_privilege($1, $2, 'USAGE')::int + 2 * has_schema_privilege($1, $2, 'CREATE')::int`, role, want); got != 1 {
			t.Errorf("%s may do %b in the schema", role, got)
		}
	}
	if got := h.count(t, `SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) AS g WHERE n.nspname = $1
		AND (g.grantee = 0 OR g.grantee::regrole::text NOT IN ('nself_owner', 'nself_server', 'nself_tenant', 'nself_app', 'nself_hasura'))`, want); got != 0 {
		t.Errorf("%d others may do something in the schema", got)
	}
}

func TestATenantOutOfServiceIsRefusedAtTheNextStatement(t *testing.T) {
	h := newHouse(t)
	for _, step := range []struct{ out, back, status string }{
		{"suspendTenant", "activateTenant", "suspended"}, {"deleteTenant", "restoreTenant", "deleted"},
	} {
		team := pgtest.NewTeam(t, h.db)
		named := map[string]any{"tenant": team.Slug}
		if got := h.seenAs(t, "nself_app", owner(team)); got != 4 {
			t.Fatalf("nself_app sees %d members of an active tenant, want 4", got)
		}
		out := map[string]any{"tenant": team.Slug}
		if step.out == "deleteTenant" {
			out["confirmSlug"] = team.Slug
		}
		h.must(t, pgtest.Operator, step.out, out)
		got := h.refused(t, "tenant-not-active", owner(team), "updateTenant", map[string]any{"name": "Still here"})
		if got.body["extensions"].(map[string]any)["status"] != step.status {
			t.Errorf("after %s the refusal says %v", step.out, got.body)
		}
		h.refused(t, "tenant-not-active", owner(team), "createTenant", map[string]any{"name": "Another"})
		for _, role := range []string{"nself_app", "nself_tenant"} {
			if got := h.seenAs(t, role, owner(team)); got != 0 {
				t.Errorf("after %s %s still sees %d members", step.out, role, got)
			}
		}
		h.must(t, pgtest.Operator, step.back, named)
		h.must(t, owner(team), "updateTenant", map[string]any{"name": "Back"})
		if got := h.seenAs(t, "nself_app", owner(team)); got != 4 {
			t.Errorf("after %s nself_app sees %d members, want 4", step.back, got)
		}
	}
}

// seenAs counts the members a database role sees under a session.
func (h house) seenAs(t testing.TB, role string, s session.Session) (n int) {
	t.Helper()
	login := role
	if role == "nself_tenant" {
		login = "nself_server"
	}
	tx, err := h.under.Pool(t, login).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true), set_config('role', $2, true)`, s.Setting(), role); err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenant_members`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestADeletedTenantComesBackAsItWas(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "setTenantSetting", map[string]any{"key": "theme", "value": map[string]any{"dark": true}})
	h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": team.Slug, "reason": "unpaid"})
	gone := h.must(t, pgtest.Operator, "deleteTenant", map[string]any{"tenant": team.ID, "confirmSlug": team.Slug})
	if gone["purgeAfter"] == nil || gone["status"] != "deleted" {
		t.Fatalf("deleted: %v", gone)
	}
	back := h.must(t, pgtest.Operator, "restoreTenant", map[string]any{"tenant": team.Slug})
	if back["status"] != "suspended" || back["suspendReason"] != "unpaid" || back["deletedAt"] != nil || back["purgeAfter"] != nil {
		t.Errorf("restored: %v; it was suspended when it was deleted", back)
	}
	if got := h.count(t, `SELECT count(*) FROM tenants.tenant_members WHERE tenant_id = $1`, team.ID.String()); got != 4 {
		t.Errorf("%d members came back", got)
	}
}

func TestATenantPastItsTimeIsNotRestored(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, owner(team), "deleteTenant", map[string]any{"confirmSlug": team.Slug})
	if _, err := h.under.Superuser(t).Exec(t.Context(), `UPDATE tenants.tenants SET purge_after = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	h.refused(t, "wrong-status", pgtest.Operator, "restoreTenant", map[string]any{"tenant": team.Slug})
}

func TestLifeCycleStepsRefuseTheWrongStatus(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	named := map[string]any{"tenant": team.Slug}
	h.refused(t, "wrong-status", pgtest.Operator, "activateTenant", named)
	h.refused(t, "wrong-status", pgtest.Operator, "restoreTenant", named)
	h.must(t, pgtest.Operator, "suspendTenant", named)
	h.refused(t, "wrong-status", pgtest.Operator, "suspendTenant", named)
	h.refused(t, "confirmation-mismatch", pgtest.Operator, "deleteTenant", map[string]any{"tenant": team.Slug, "confirmSlug": "acme"})
	h.must(t, pgtest.Operator, "deleteTenant", map[string]any{"tenant": team.Slug, "confirmSlug": team.Slug})
	for _, action := range []string{"suspendTenant", "activateTenant"} {
		h.refused(t, "wrong-status", pgtest.Operator, action, named)
	}
	h.refused(t, "wrong-status", pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "pro"})
	h.refused(t, "not-found", pgtest.Operator, "suspendTenant", map[string]any{"tenant": "nobody"})
	h.refused(t, "tenant-required", pgtest.Operator, "suspendTenant", map[string]any{"tenant": ""})
	h.refused(t, "invalid-input", pgtest.Operator, "suspendTenant", map[string]any{"tenant": "nobody", "reason": strings.Repeat("x", 501)})
}

func TestUpdateTenantChangesWhatIsGivenAndRecordsTheDifference(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	got := h.must(t, team.As(member.Admin), "updateTenant", map[string]any{"name": "New", "metadata": map[string]any{"a": 1}})
	if got["name"] != "New" || got["slug"] != team.Slug {
		t.Errorf("updated: %v", got)
	}
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'update_tenant' AND actor_user_id = $2
		AND before = jsonb_build_object('name', $3::text, 'metadata', '{}'::jsonb)`, team.ID.String(), team.Admin.String(), team.Name); n != 1 {
		t.Error("the audit row does not hold just what changed")
	}
	taken := h.refused(t, "slug-taken", owner(team), "updateTenant", map[string]any{"slug": other.Slug})
	proposal := taken.body["extensions"].(map[string]any)["suggestion"]
	if got := h.must(t, owner(team), "updateTenant", map[string]any{"slug": proposal}); got["slug"] != proposal {
		t.Errorf("the proposed slug was not had: %v", got)
	}
	h.refused(t, "slug-reserved", owner(team), "updateTenant", map[string]any{"slug": "hasura"})
	h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{})
	h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{"metadata": []int{1}})
	h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{"metadata": json.RawMessage(`{"a":1e999999}`)})
	if got := h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{"metadata": json.RawMessage(`{"a":1e70000}`)}); !strings.Contains(fmt.Sprint(got.body["message"]), "65536") {
		t.Errorf("the limit is not named: %v", got.body)
	}
	whole := h.must(t, owner(team), "updateTenant", map[string]any{"metadata": json.RawMessage(`{"a":9007199254740993}`)})
	if got := h.count(t, `SELECT count(*) FROM tenants.tenants WHERE id = $1 AND metadata->>'a' = '9007199254740993'`, whole["id"]); got != 1 {
		t.Error("a large number did not arrive whole")
	}
	h.refused(t, "invalid-input", owner(team), "updateTenant", map[string]any{"metadata": map[string]any{"k": strings.Repeat("x", 70000)}})
}

func TestAnotherTenantAndNoTenantAnswerAlike(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	message := func(action string, input map[string]any) string {
		got := h.refused(t, "not-found", owner(team), action, input)
		return strings.ReplaceAll(fmt.Sprint(got.body["message"]), fmt.Sprint(input["tenant"]), "X")
	}
	for action, input := range map[string]map[string]any{
		"tenantStats": {}, "leaveTenant": {}, "deleteTenant": {"confirmSlug": other.Slug}, "updateTenant": {"name": "Mine"},
		"setTenantSetting": {"key": "k", "value": 1}, "removeMember": {"userId": other.Member}, "switchTenant": {},
	} {
		input["tenant"] = other.Slug
		theirs := message(action, input)
		input["tenant"] = "no-such-tenant"
		if nobodys := message(action, input); nobodys != theirs {
			t.Errorf("%s tells another tenant (%q) from none (%q)", action, theirs, nobodys)
		}
	}
	h.must(t, owner(team), "tenantStats", map[string]any{"tenant": team.Slug})
	h.must(t, owner(team), "tenantStats", map[string]any{"tenant": team.ID})
}

func TestStatsCountTheTenantOnly(t *testing.T) {
	h := newHouse(t)
	team, _ := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "free"})
	h.must(t, owner(team), "inviteMember", map[string]any{"email": "a@b.example"})
	h.must(t, owner(team), "createApiKey", map[string]any{"name": "no member"})
	for _, sql := range []string{
		`INSERT INTO tenants.tenant_invitations (tenant_id, email, role, token_hash, expires_at)
		 VALUES ($1, 'late@b.example', 'guest', 'x', now() - interval '1 second')`,
		`INSERT INTO auth.sessions (family_id, method, tenant_id, user_id, role, expires_at, ended_at, end_reason)
		 SELECT gen_random_uuid(), 'operator', t.id, t.owner_user_id, 'tenant_owner', now() + v.lasts, v.ended, v.why FROM tenants.tenants t,
		 (VALUES (interval '1 hour', NULL::timestamptz, NULL), ('-1 hour', NULL, NULL), ('1 hour', now(), 'x')) AS v (lasts, ended, why) WHERE t.id = $1`,
	} {
		if _, err := h.db.Exec(t.Context(), sql, team.ID); err != nil {
			t.Fatal(err)
		}
	}
	got := h.must(t, owner(team), "tenantStats", nil)
	for field, want := range map[string]float64{"members": 4, "owners": 1, "admins": 1, "guests": 1, "openInvitations": 1, "activeSessions": 2, "settings": 2, "maxUsers": 5, "auditEntries": 7} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	h.refused(t, "forbidden", team.As(member.Guest), "tenantStats", nil)
}
