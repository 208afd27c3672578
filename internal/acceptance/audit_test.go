package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// auditOf returns the latest entry of a tenant as the owner of the house reads it.
func auditOf(t *testing.T, h house) map[string]any {
	t.Helper()
	r := operator().must(t, `query($t: uuid!) { auditLog(where: {tenant_id: {_eq: $t}}, order_by: {id: desc}, limit: 1) {
		id at actor_user_id actor_role action target before after request_id } }`, args{"t": h.id})
	entry, _ := r.at(t, "auditLog.0").(map[string]any)
	return entry
}

func TestAuditEntryNamesActorActionTargetAndBothStates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.admin.must(t, `mutation { setTenantSetting(key: "secret", value: "new-value") { key } }`, nil)
	e := auditOf(t, h)
	text, _ := json.Marshal(e)
	if e["actor_user_id"] != h.admin.id || e["actor_role"] != "tenant_admin" || !strings.Contains(fmt.Sprint(e["target"]), "secret") ||
		!strings.Contains(fmt.Sprint(e["before"]), h.secret) || !strings.Contains(fmt.Sprint(e["after"]), "new-value") || e["request_id"] == "" {
		t.Errorf("%s", text)
	}
	operator().must(t, suspendIt, h.ref())
	e = auditOf(t, h)
	text, _ = json.Marshal(e)
	if e["actor_role"] != "admin" || e["actor_user_id"] != nil || !strings.Contains(fmt.Sprint(e["after"]), "unpaid") {
		t.Errorf("%s", text)
	}
}

func TestFailedActionLeavesNoAuditRowAndNoChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := fingerprint(t, h)
	h.owner.refused(t, `mutation { leaveTenant { role } }`, nil)
	h.owner.refused(t, `mutation { setTenantSetting(key: "BAD", value: 1) { key } }`, nil)
	h.owner.refused(t, `mutation { removeTenantSetting(key: "absent") { key } }`, nil)
	h.owner.refused(t, `mutation { updateTenant(slug: "admin") { slug } }`, nil)
	for table, rows := range fingerprint(t, h) {
		if rows != before[table] {
			t.Errorf("%s changed", table)
		}
	}
}

func TestAuditLogKeepsNoSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, token := h.invite(t, unique("in")+"@example.test")
	guest := newUser(t)
	_, accepted := h.invite(t, guest.email)
	guest.must(t, `mutation($k: String!) { acceptInvitation(token: $k) { role } }`, args{"k": accepted})
	rows := fmt.Sprint(rowsOf(t, h, "auditLog"))
	for _, secret := range []string{token, accepted, h.owner.token, guest.token} {
		if strings.Contains(rows, secret) || strings.Contains(journal.String(), secret) {
			t.Errorf("the audit log or the server's log holds %.12s…", secret)
		}
	}
}

func TestServerLogKeepsNoSecrets(t *testing.T) {
	t.Parallel()
	newHouse(t)
	hasura().with("X-Webhook-Secret", "guess-"+local.Get("ACME_TENANT_ID")).callAction(t, "myTenants", nil, nil)
	text := journal.String()
	for _, name := range []string{"HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET", "ACME_OWNER_TOKEN"} {
		if strings.Contains(text, local.Get(name)) {
			t.Errorf("the log holds %s", name)
		}
	}
	if strings.Contains(text, "guess-") {
		t.Error("the log holds a secret that someone tried")
	}
}

// No role may change or remove what is written, the owner of the tables included.
func TestAuditLogIsAppendOnlyForEveryRole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := fingerprint(t, h)["audit.log"]
	for _, role := range []string{asApp, asHasura, asOwner} {
		db := connect(t, role)
		for _, sql := range []string{
			`UPDATE audit.log SET action = 'nothing'`, `DELETE FROM audit.log`, `TRUNCATE audit.log`, `DELETE FROM audit.log WHERE tenant_id = '` + h.id + `'`,
			`INSERT INTO audit.log SELECT * FROM audit.log ON CONFLICT (id) DO UPDATE SET action = 'nothing'`,
		} {
			if _, err := db.Exec(t.Context(), sql); err == nil {
				t.Errorf("%s may: %s", role, sql)
			}
		}
	}
	for _, query := range []string{
		`mutation { update_auditLog(where: {}, _set: {action: "nothing"}) { affected_rows } }`,
		`mutation { delete_auditLog(where: {}) { affected_rows } }`,
		`mutation { insert_auditLog_one(object: {action: "forged", actor_role: "admin", target: "x"}) { id } }`,
	} {
		if r := operator().ask(t, query, nil); len(r.Errors) == 0 {
			t.Errorf("the operator may: %s", query)
		}
	}
	if fingerprint(t, h)["audit.log"] != before {
		t.Error("the audit log changed")
	}
}

// The operator's direct mutations are written down by row.
func TestOperatorsMutationOfATableWritesOneAuditRowPerRow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	newcomer := newUser(t)
	for _, step := range []struct {
		query string
		rows  int
	}{
		{`insert_settings(objects: [{tenant_id: "$TENANT", key: "one", value: 1}, {tenant_id: "$TENANT", key: "two", value: 2}]) { affected_rows }`, 2},
		{`update_settings(where: {tenant_id: {_eq: "$TENANT"}, key: {_in: ["one", "two"]}}, _set: {value: 3}) { affected_rows }`, 2},
		{`update_settings_by_pk(pk_columns: {tenant_id: "$TENANT", key: "one"}, _set: {value: 4}) { key }`, 1},
		{`insert_settings_one(object: {tenant_id: "$TENANT", key: "one", value: 5}, on_conflict: {constraint: tenant_settings_pkey, update_columns: [value]}) { key }`, 1},
		{`delete_settings(where: {tenant_id: {_eq: "$TENANT"}, key: {_in: ["one", "two"]}}) { affected_rows }`, 2},
		{`insert_members_one(object: {tenant_id: "$TENANT", user_id: "$USER", role: "guest"}) { role }`, 1},
		{`update_members_by_pk(pk_columns: {tenant_id: "$TENANT", user_id: "$USER"}, _set: {role: "member"}) { role }`, 1},
		{`delete_members_by_pk(tenant_id: "$TENANT", user_id: "$USER") { role }`, 1},
		{`update_tenants_by_pk(pk_columns: {id: "$TENANT"}, _set: {name: "By Hand"}) { name }`, 1},
	} {
		before := auditRows(t, h.id)
		operator().must(t, "mutation { "+fill(step.query, "$TENANT", h.id, "$USER", newcomer.id)+" }", nil)
		if got := auditRows(t, h.id) - before; got != step.rows {
			t.Errorf("%s\n  wrote %d audit rows, want %d", step.query, got, step.rows)
		}
		if e := auditOf(t, h); e["actor_role"] != "admin" {
			t.Errorf("%s\n  is written down as done by %v", step.query, e)
		}
	}
}
