package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// channels are the ways to a tenant's rows; each says what it saw or did, and "nothing"
// where it was refused.
func (in insider) channels(t *testing.T) map[string]string {
	t.Helper()
	const read, write = `SELECT DISTINCT name FROM crm.contacts`, `INSERT INTO crm.contacts (name) VALUES ('Ada') RETURNING name`
	return map[string]string{
		"Hasura query":             in.ask(t, `{ reply: crm_contacts { name } }`),
		"Hasura aggregate":         in.ask(t, `{ reply: crm_contacts_aggregate(where: {name: {_eq: "Ada"}}) { aggregate { count } } }`),
		"Hasura update":            in.ask(t, `mutation { reply: update_crm_contacts(where: {}, _set: {name: "Ada"}) { affected_rows } }`),
		"Hasura insert":            in.ask(t, `mutation { reply: insert_crm_contacts_one(object: {name: "Ada"}) { name } }`),
		"action":                   in.ask(t, `mutation { reply: setTenantSetting(key: "theme", value: "dark") { key } }`),
		"nself_app read":           in.service(t, read),
		"nself_app write":          in.service(t, write),
		"nself_app read, unnamed":  in.unnamed(t, read),
		"nself_app write, unnamed": in.unnamed(t, write),
	}
}

// personal are the ways of somebody who has chosen no tenant.
func (in insider) personal(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"Hasura query of oneself":   in.ask(t, `{ reply: users { email } }`),
		"Hasura query of sessions":  in.ask(t, `{ reply: sessions { id } }`),
		"action that asks":          in.ask(t, `{ reply: myTenants { slug } }`),
		"action that makes a thing": in.ask(t, `mutation { reply: createTenant(name: "Another") { name } }`),
	}
}

// putOut is a change that takes somebody out of service, what it takes from, and the
// channels that go on.
type putOut struct {
	who      func(*testing.T, installation) insider
	change   func(*testing.T, installation, insider)
	channels func(insider, *testing.T) map[string]string
	remain   []string
}

// admin is somebody whose token the operator minted, in a tenant of this slug.
func admin(slug string) func(*testing.T, installation) insider {
	return func(t *testing.T, i installation) insider { return newInsider(t, i, slug) }
}

func command(args ...string) func(*testing.T, installation, insider) {
	return func(t *testing.T, i installation, _ insider) { i.mustDo(t, args...) }
}

// ends is what every way to end a session comes to.
func ends(t *testing.T, i installation, in insider) {
	t.Helper()
	const endSQL = `UPDATE auth.sessions SET ended_at = now(), end_reason = 'signed_out' WHERE id = $1 AND ended_at IS NULL`
	tag, err := i.owner(t).Exec(t.Context(), endSQL, in.session["x-hasura-session-id"])
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%d sessions ended, %v", tag.RowsAffected(), err)
	}
}

// unasked are the channels on which no session is named: there the membership decides.
var unasked = []string{"nself_app read, unnamed", "nself_app write, unnamed"}

var putsOut = map[string]putOut{
	"tenant suspended": {who: admin("suspended"), change: command("tenant", "suspend", "suspended")},
	"tenant deleted":   {who: admin("deleted"), change: command("tenant", "delete", "deleted", "--yes")},
	"member removed":   {who: admin("removed"), change: command("tenant", "member", "remove", "removed", "removed@example.com")},
	"member demoted":   {who: admin("demoted"), change: command("tenant", "member", "update", "demoted", "demoted@example.com", "guest")},
	"signed out":       {who: admin("signed-out"), change: ends, remain: unasked},
	"session of an API key ended": {change: ends, remain: unasked, who: func(t *testing.T, i installation) insider {
		return i.machine(t, "keyed")
	}},
	"impersonation ended": {change: ends, remain: unasked, who: func(t *testing.T, i installation) insider {
		i.settle(t, "acted")
		return i.holder(t, i.mustDo(t, "token", "impersonate", "acted@example.com", "--tenant", "acted", "--reason", "a test of the walls", "--ttl", "1h"))
	}},
	"session of a user ended": {change: ends, channels: insider.personal, who: func(t *testing.T, i installation) insider {
		i.settle(t, "person")
		return i.holder(t, i.mustDo(t, "token", "mint", "person@example.com", "--ttl", "1h"))
	}},
}

func TestTheWallAroundATableOfTheCustomers(t *testing.T) {
	proveInTurn(t, []rule{
		{"it is put up", func(t *testing.T, i installation) {
			t.Helper()
			if _, err := i.owner(t).Exec(t.Context(), crm); err != nil {
				t.Fatal(err)
			}
			i.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
		}},
		{"it keeps tenants apart", aTableKeepsTenantsApart},
		{"who is put out is refused at the next statement", whoIsPutOutIsRefused},
		{"a right that is withdrawn is gone", aRightThatIsWithdrawnIsGone},
	})
}

// What takes a tenant, a member or a session out of service is felt by the very next
// statement on every channel, on a table of the customer's, with a token that has an hour
// to live.
func whoIsPutOutIsRefused(t *testing.T, i installation) {
	t.Helper()
	for name, p := range putsOut {
		t.Run(name, func(t *testing.T) {
			in, channels := p.who(t, i), p.channels
			if channels == nil {
				channels = insider.channels
				in.service(t, `INSERT INTO crm.contacts (name) VALUES ('Ada')`)
			}
			for channel, told := range channels(in, t) {
				if told == "nothing" {
					t.Errorf("%s: refused before", channel)
				}
			}
			p.change(t, i, in)
			for channel, told := range channels(in, t) {
				if goesOn := slices.Contains(p.remain, channel); goesOn != (told != "nothing") {
					t.Errorf("%s: %s, want it to go on: %t", channel, told, goesOn)
				}
			}
		})
	}
}

// One tenant's people and services see and change none of another's rows.
func aTableKeepsTenantsApart(t *testing.T, i installation) {
	t.Helper()
	ours, theirs := newInsider(t, i, "ours"), newInsider(t, i, "theirs")
	theirs.service(t, `INSERT INTO crm.contacts (name) VALUES ('Grace')`)
	for _, attempt := range []string{
		ours.ask(t, `{ reply: crm_contacts { name } }`),
		ours.ask(t, `mutation { reply: delete_crm_contacts(where: {}) { affected_rows } }`),
		ours.service(t, `SELECT name FROM crm.contacts`),
		ours.service(t, `DELETE FROM crm.contacts RETURNING name`),
		ours.service(t, `UPDATE crm.contacts SET name = 'x' RETURNING name`),
	} {
		if attempt != "nothing" {
			t.Errorf("reached %s", attempt)
		}
	}
	if told := theirs.ask(t, `{ reply: crm_contacts { name } }`); told != "[map[name:Grace]]" {
		t.Errorf("theirs is %s now", told)
	}
}

// A right that the declaration gives no more is gone from Hasura, not only no longer given.
func aRightThatIsWithdrawnIsGone(t *testing.T, i installation) {
	t.Helper()
	dir := copyOf(t, "../../hasura")
	protect := []string{"tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir, "--write", "--apply"}
	i.mustDo(t, protect...)
	in := newInsider(t, i, "narrow")
	const ask = `{ reply: crm_deals { title } }`
	var answer struct{ Reply any }
	if err := in.client.Do(t.Context(), ask, nil, &answer); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "tenant_tables.yaml")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), "crm.deals")
	narrowed := string(text[:at]) + strings.Replace(string(text[at:]), "[tenant_owner, tenant_admin, tenant_member]", "[tenant_owner]", 1)
	if err := os.WriteFile(list, []byte(narrowed), 0o600); err != nil {
		t.Fatal(err)
	}
	i.mustDo(t, protect...)
	if err := in.client.Do(t.Context(), ask, nil, &answer); err == nil || !strings.Contains(err.Error(), "field 'crm_deals' not found") {
		t.Errorf("an admin still reads: %v", err)
	}
	i.mustDo(t, "tenant", "protect", "--check")
}
