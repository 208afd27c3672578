package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// injections are strings that end a statement, a string or a log line where
// someone glued text together.
var injections = []string{
	`'`, `''`, `"`, `\`, `\'`, `%`, `$1`, `$$`, `@tenant_id`, `:name`, `{{NSELF_WEBHOOK_SECRET}}`, `${HOME}`,
	`' OR '1'='1`, `'; DROP TABLE tenants.tenants; --`, `") { id } } #`, `'); SELECT pg_sleep(60); --`, `' UNION SELECT private_key FROM auth.signing_keys --`,
	`1; SET ROLE nself_owner`, `x' AND 1=CAST((SELECT count(*) FROM auth.users) AS int) --`, `/* */`, `--`, `;`, `E'\x27'`, "`id`", `$(id)`, `<script>alert(1)</script>`,
	`{"$gt": ""}`, `\u0027`, `%27`, "é'ö", `😀'`, `NULL`, `0`, `-1`, `1e+999`,
}

// unshowable are strings that no name, address or key may hold.
var unshowable = []string{"a\x00b", "\x00", "a\nb", "a\rb", "a\u202eb", "a\u200fb", "a\u2066b", "a\u200bb", "a\x1b[31mb", "a\x7fb", "\ufeffa", "a\u2028b"}

func TestInjectedTextIsOnlyText(t *testing.T) {
	t.Parallel()
	h, theirs := newHouse(t), newHouse(t)
	before := fingerprint(t, theirs)
	for _, text := range injections {
		// Text that is allowed comes back as it is.
		r := h.owner.must(t, `mutation($v: jsonb!) { setTenantSetting(key: "text", value: $v) { value } }`, args{"v": text})
		if diff := cmp.Diff(text, r.at(t, "setTenantSetting.value")); diff != "" {
			t.Errorf("setting (-sent +stored):\n%s", diff)
		}
		r = h.owner.must(t, `mutation($n: String) { updateTenant(name: $n) { name } }`, args{"n": "N " + text})
		if diff := cmp.Diff("N "+text, r.text(t, "updateTenant.name")); diff != "" {
			t.Errorf("name (-sent +stored):\n%s", diff)
		}
		r = h.owner.must(t, `query($s: jsonb!, $n: String!) { settings(where: {value: {_eq: $s}}) { key } tenants(where: {name: {_eq: $n}}) { id } }`, args{"s": text, "n": "N " + text})
		if r.count(t, "settings") != 1 || r.count(t, "tenants") != 1 {
			t.Errorf("%q is not found by its value: %s", text, r.raw)
		}
		r = h.owner.ask(t, `query($s: String!) { tenants(where: {_or: [{name: {_ilike: $s}}, {slug: {_like: $s}}]}) { id } }`, args{"s": text})
		if len(r.Errors) > 0 && !strings.HasSuffix(text, `\`) {
			t.Errorf("as a pattern, %q: %s", text, r.raw)
		}
		// Text that is not allowed is refused by a rule.
		for _, field := range refusingFields {
			h.owner.refused(t, field, args{"s": text})
		}
		operator().refused(t, `mutation($s: String!) { suspendTenant(tenant: $s) { id } }`, args{"s": text})
		operator().refused(t, `mutation($t: String!, $s: String!) { setTenantPlan(tenant: $t, plan: $s) { id } }`, args{"t": h.slug, "s": text})
	}
	if diff := cmp.Diff(before, fingerprint(t, theirs)); diff != "" {
		t.Errorf("another tenant changed:\n%s", diff)
	}
}

var refusingFields = []string{
	`mutation($s: String!) { setTenantSetting(key: $s, value: 1) { key } }`,
	`mutation($s: String!) { removeTenantSetting(key: $s) { key } }`,
	`mutation($s: String) { updateTenant(slug: $s) { slug } }`,
	`mutation($s: String!) { inviteMember(email: $s) { id } }`,
	`mutation($s: String) { inviteMember(email: "ok@example.test", role: $s) { id } }`,
	`mutation($s: String!) { deleteTenant(confirmSlug: $s) { id } }`,
	`mutation($s: String!) { switchTenant(tenant: $s) { role } }`,
	`mutation($s: String!) { acceptInvitation(token: $s) { role } }`,
	`mutation($s: String) { createTenant(name: "New", slug: $s) { id } }`,
	`mutation($s: String) { createTenant(name: "New", plan: $s) { id } }`,
	`mutation($s: String) { createTenant(name: "New", strategy: $s) { id } }`,
	`mutation($s: uuid!) { addMember(userId: $s) { role } }`,
	`mutation($s: uuid!) { removeMember(userId: $s) { role } }`,
	`mutation($s: uuid!) { revokeInvitation(invitationId: $s) { id } }`,
	`mutation($s: String) { updateTenant(tenant: $s, name: "New") { id } }`,
	`query($s: uuid!) { tenants_by_pk(id: $s) { id } }`,
	`query($s: timestamptz!) { tenants(where: {created_at: {_gt: $s}}) { id } }`,
}

func TestTextThatCannotBeShownIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	h, u := newHouse(t), newUser(t)
	for _, text := range unshowable {
		for _, query := range []string{
			`mutation($s: String!) { createTenant(name: $s) { id } }`,
			`mutation($s: String!) { createTenant(name: "New", slug: $s) { id } }`,
		} {
			if e := u.refused(t, query, args{"s": text}); e.code() != "invalid-input" {
				t.Errorf("%q: %s: %s", text, query, e.Message)
			}
		}
		e := h.owner.refused(t, `mutation($s: String!) { inviteMember(email: $s) { id } }`, args{"s": text + "@example.test"})
		if e.code() != "invalid-input" {
			t.Errorf("%q: %s", text, e.Message)
		}
		e = h.owner.refused(t, `mutation($s: String!) { inviteMember(email: $s) { id } }`, args{"s": "a@" + text + ".test"})
		if e.code() != "invalid-input" {
			t.Errorf("%q: %s", text, e.Message)
		}
		e = operator().refused(t, `mutation($t: String!, $s: String) { suspendTenant(tenant: $t, reason: $s) { id } }`, args{"t": h.slug, "s": text})
		if e.code() != "invalid-input" {
			t.Errorf("reason %q: %s", text, e.Message)
		}
	}
}

func TestTextTooLongIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := strings.Repeat("x", 10_240)
	for _, query := range append([]string{`mutation($s: String!) { createTenant(name: $s) { id } }`, `mutation($s: String) { updateTenant(name: $s) { id } }`,
		`mutation($s: String) { inviteMember(email: "ok@example.test", idempotencyKey: $s) { id } }`}, refusingFields...) {
		e := h.owner.refused(t, query, args{"s": long})
		if len(e.Message) > 2_000 && strings.HasPrefix(query, "mutation") {
			t.Errorf("%s answers with %d characters", query, len(e.Message))
		}
	}
	e := operator().refused(t, `mutation($t: String!, $s: String) { suspendTenant(tenant: $t, reason: $s) { id } }`, args{"t": h.slug, "s": long})
	if e.code() != "invalid-input" {
		t.Errorf("reason: %s", e.Message)
	}
	h.owner.refused(t, `mutation($v: jsonb!) { setTenantSetting(key: "big", value: $v) { key } }`, args{"v": strings.Repeat("x", 70_000)})
	h.owner.refused(t, `mutation($v: jsonb) { updateTenant(metadata: $v) { id } }`, args{"v": args{"big": strings.Repeat("x", 70_000)}})
}

func TestNamesOfTheWorldAreKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, name := range []string{"Müller & Söhne", "O'Brien \"Bar\"", "日本語", "مرحبا", "עברית", "😀👩‍👩‍👧", "ﬁ", strings.Repeat("é", 200), "a"} {
		r := h.owner.must(t, `mutation($n: String) { updateTenant(name: $n) { name } }`, args{"n": name})
		if got := r.text(t, "updateTenant.name"); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	for i, value := range []any{nil, true, 0.1, 9007199254740993, "x", []any{}, args{"a": []any{1, nil, args{}}}, ""} {
		if value == nil {
			continue // jsonb! takes no null
		}
		h.owner.must(t, `mutation($k: String!, $v: jsonb!) { setTenantSetting(key: $k, value: $v) { value } }`, args{"k": fmt.Sprintf("k%d", i), "v": value})
	}
}
