package prove

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
)

// The customer's tables as metadata: every role reads, all but the guest write.
var crmTables = map[string]struct {
	columns, written string
	relationships    string
}{
	"contacts": {"tenant_id, id, name, email, phone, created_at", "id, name, email, phone", `
array_relationships:
  - {name: deals, using: {foreign_key_constraint_on: {columns: [tenant_id, contact_id], table: {schema: crm, name: deals}}}}
`},
	"deals": {"tenant_id, id, contact_id, title, stage, amount", "id, contact_id, title, stage, amount", `
object_relationships:
  - {name: contact, using: {foreign_key_constraint_on: [tenant_id, contact_id]}}
  - {name: stage_details, using: {foreign_key_constraint_on: stage}}
array_relationships:
  - {name: notes, using: {foreign_key_constraint_on: {columns: [tenant_id, deal_id], table: {schema: crm, name: notes}}}}
`},
	"notes": {"tenant_id, id, deal_id, slug, body", "deal_id, slug, body", `
object_relationships:
  - {name: deal, using: {foreign_key_constraint_on: [tenant_id, deal_id]}}
`},
	"open_deals": {"tenant_id, id, title, email", "", ""},
	"stages":     {"code, label", "", ""},
}

const guard = `{_and: [{tenant_id: {_eq: X-Hasura-Tenant-Id}}, {_exists: {_table: {schema: tenants, name: tenant_members}, _where: {tenant_id: {_eq: X-Hasura-Tenant-Id}, user_id: {_eq: X-Hasura-User-Id}, role: {_eq: ROLE}, tenant: {status: {_eq: active}}, sessions: {id: {_eq: X-Hasura-Session-Id}, ended_at: {_is_null: true}}}}}]}`

// crmTable writes the metadata of one of them.
func crmTable(name string) string {
	table := crmTables[name]
	var text strings.Builder
	fmt.Fprintf(&text, "table: {schema: crm, name: %s}\n%s", name, table.relationships)
	permissions := func(kind string, roles []string, body string) {
		text.WriteString(kind + "_permissions:\n")
		for _, role := range roles {
			filter := strings.ReplaceAll(guard, "ROLE", role)
			if name == "stages" {
				filter = "{}"
			}
			fmt.Fprintf(&text, "  - role: tenant_%s\n    permission:\n%s", role, strings.ReplaceAll(body, "GUARD", filter))
		}
	}
	permissions("select", []string{"owner", "admin", "member", "guest"}, "      columns: ["+table.columns+"]\n      filter: GUARD\n      allow_aggregations: true\n")
	if table.written == "" {
		return text.String()
	}
	writers := []string{"owner", "admin", "member"}
	permissions("insert", writers, "      columns: ["+table.written+"]\n      check: GUARD\n      set: {tenant_id: x-hasura-Tenant-Id}\n")
	permissions("update", writers, "      columns: ["+table.written+"]\n      filter: GUARD\n      check: GUARD\n")
	permissions("delete", writers, "      filter: GUARD\n")
	return text.String()
}

const tablesDirectory = "databases/default/tables/"

// goodTree is the product's own metadata with the customer's tables in it.
func goodTree(t *testing.T) fstest.MapFS {
	t.Helper()
	tree := fstest.MapFS{}
	err := fs.WalkDir(hasura.Metadata, "metadata", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(hasura.Metadata, path)
		tree[strings.TrimPrefix(path, "metadata/")] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list := tree[tablesDirectory+"tables.yaml"]
	for name := range crmTables {
		tree[tablesDirectory+"crm_"+name+".yaml"] = &fstest.MapFile{Data: []byte(crmTable(name))}
		list.Data = append(list.Data, "- \"!include crm_"+name+".yaml\"\n"...)
	}
	return tree
}

// smallTree holds the customer's tables alone, with the tenant's filter and without the
// membership's guard: enough to be broken, and quick.
func smallTree(t *testing.T) fstest.MapFS {
	t.Helper()
	tree := goodTree(t)
	tree["actions.yaml"], tree["actions.graphql"] = &fstest.MapFile{}, &fstest.MapFile{}
	list := &fstest.MapFile{}
	for name := range crmTables {
		file := tree[tablesDirectory+"crm_"+name+".yaml"]
		for _, role := range []string{"owner", "admin", "member", "guest"} {
			file.Data = bytes.ReplaceAll(file.Data, []byte(strings.ReplaceAll(guard, "ROLE", role)), []byte(tenantFilter))
		}
		list.Data = append(list.Data, "- \"!include crm_"+name+".yaml\"\n"...)
	}
	tree[tablesDirectory+"tables.yaml"] = list
	return tree
}

const tenantFilter = "{tenant_id: {_eq: X-Hasura-Tenant-Id}}"

func loaded(t *testing.T, tree fs.FS) *metadata.Metadata {
	t.Helper()
	found, err := metadata.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
