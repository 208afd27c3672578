package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// insider is an admin of a tenant with a token that stays valid for the whole test.
type insider struct {
	client *hasuraapi.Client
	app    *pgx.Conn // as nself_app, a service of the customer's
	sess   string    // the same session as the service sets it
}

// newInsider makes the tenant and the admin, who has written one row.
func newInsider(t *testing.T, i installation, slug string) insider {
	t.Helper()
	address := slug + "@example.com"
	i.mustDo(t, "user", "create", address)
	i.mustDo(t, "tenant", "create", slug, "--slug", slug, "--owner", "owner@acme.example")
	i.mustDo(t, "tenant", "member", "add", slug, address, "admin")
	token := strings.TrimSpace(i.mustDo(t, "token", "mint", address, "--tenant", slug, "--ttl", "1h"))
	client, err := hasuraapi.New(i.environment["HASURA_GRAPHQL_ENDPOINT"], hasuraapi.Credential{Token: token}, nil)
	if err != nil {
		t.Fatal(err)
	}
	app, err := pgx.Connect(t.Context(), i.settings.Get("APP_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close(context.WithoutCancel(t.Context())) })
	in := insider{client: client, app: app}
	err = i.owner(t).QueryRow(t.Context(), `SELECT jsonb_build_object('x-hasura-role', 'tenant_admin', 'x-hasura-user-id', u.id, 'x-hasura-tenant-id', t.id)::text
		FROM tenants.tenants t, auth.users u WHERE t.slug = $1 AND u.email = $2`, slug, address).Scan(&in.sess)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// channels are the ways to a tenant's rows; each says what it saw or did, and "nothing"
// where it was refused.
func (in insider) channels(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"Hasura query":     in.ask(t, `{ reply: crm_contacts { name } }`),
		"Hasura aggregate": in.ask(t, `{ reply: crm_contacts_aggregate(where: {name: {_eq: "Ada"}}) { aggregate { count } } }`),
		"Hasura update":    in.ask(t, `mutation { reply: update_crm_contacts(where: {}, _set: {name: "Ada"}) { affected_rows } }`),
		"Hasura insert":    in.ask(t, `mutation { reply: insert_crm_contacts_one(object: {name: "Ada"}) { name } }`),
		"action":           in.ask(t, `mutation { reply: setTenantSetting(key: "theme", value: "dark") { key } }`),
		"nself_app read":   in.service(t, `SELECT DISTINCT name FROM crm.contacts`),
		"nself_app write":  in.service(t, `INSERT INTO crm.contacts (name) VALUES ('Ada') RETURNING name`),
	}
}

func (in insider) ask(t *testing.T, document string) string {
	t.Helper()
	var answer struct {
		Reply any `json:"reply"`
	}
	if err := in.client.Do(t.Context(), document, nil, &answer); err != nil {
		return "nothing"
	}
	switch told := fmt.Sprint(answer.Reply); told {
	case "[]", "map[affected_rows:0]", "map[aggregate:map[count:0]]":
		return "nothing"
	default:
		return told
	}
}

func (in insider) service(t *testing.T, sql string) string {
	t.Helper()
	told := "nothing"
	err := pgx.BeginFunc(t.Context(), in.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, in.sess); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), sql)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if len(names) > 0 {
			told = fmt.Sprint(names)
		}
		return err
	})
	if err != nil {
		return "nothing"
	}
	return told
}

// What takes a tenant or a member out of service is felt by the very next statement on
// every channel, on a table of the customer's, with a token that has an hour to live.
func TestWhoIsPutOutIsRefusedAtTheNextStatement(t *testing.T) {
	i := install(t)
	if _, err := i.owner(t).Exec(t.Context(), crm); err != nil {
		t.Fatal(err)
	}
	i.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
	for slug, putOut := range map[string][]string{
		"suspended": {"tenant", "suspend", "suspended"},
		"deleted":   {"tenant", "delete", "deleted", "--yes"},
		"removed":   {"tenant", "member", "remove", "removed", "removed@example.com"},
		"demoted":   {"tenant", "member", "update", "demoted", "demoted@example.com", "guest"},
	} {
		t.Run(slug, func(t *testing.T) {
			in := newInsider(t, i, slug)
			in.service(t, `INSERT INTO crm.contacts (name) VALUES ('Ada')`)
			for channel, told := range in.channels(t) {
				if told == "nothing" {
					t.Errorf("%s: refused before", channel)
				}
			}
			i.mustDo(t, putOut...)
			for channel, told := range in.channels(t) {
				if told != "nothing" {
					t.Errorf("%s: %s", channel, told)
				}
			}
		})
	}
}

// One tenant's people and services see and change none of another's rows.
func TestATableOfTheCustomersKeepsTenantsApart(t *testing.T) {
	i := install(t)
	if _, err := i.owner(t).Exec(t.Context(), crm); err != nil {
		t.Fatal(err)
	}
	i.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
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
func TestARightThatIsWithdrawnIsGone(t *testing.T) {
	i := install(t)
	if _, err := i.owner(t).Exec(t.Context(), crm); err != nil {
		t.Fatal(err)
	}
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
