package isolation_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/isolation"
)

const grantsFile = `# ours
tables:
  - table: crm.contacts # people
    grants:
      nself_app: [select]
      nself_hasura: [select,
        "insert" ] # as it was
    permissions: []
  - table: crm.deals
    grants:
      nself_hasura:
        - select
        - insert # no update
      nself_server: [select]
  - table: crm.notes
    grants: {nself_hasura: [select], nself_app: [select]}
  - table: crm.tags
    grants: {nself_app: [select]}
`

func TestAGrantIsWrittenAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	project(t, dir, map[string]string{"tenant_tables.yaml": grantsFile})
	for table, edit := range map[string][2]string{
		"contacts": {`insert" ]`, `insert", trigger ]`},
		"deals":    {"        - insert # no update\n", "        - insert # no update\n        - trigger\n"},
		"notes":    {"{nself_hasura: [select]", "{nself_hasura: [select, trigger]"},
	} {
		file, err := isolation.Grant(dir, isolation.Name{Schema: "crm", Name: table}, "nself_hasura", "trigger")
		if err != nil {
			t.Errorf("%s: %v", table, err)
		}
		if diff := cmp.Diff(strings.Replace(grantsFile, edit[0], edit[1], 1), string(file.Text)); diff != "" || file.Path != "tenant_tables.yaml" {
			t.Errorf("%s in %s (-want +got):\n%s", table, file.Path, diff)
		}
	}
	if file, err := isolation.Grant(dir, deals, "nself_hasura", "insert"); err != nil || file.Text != nil {
		t.Errorf("what is granted: %s, %v", file.Text, err)
	}
}

func TestAGrantThatCannotBeEditedIsSaidToBeOnesOwnTask(t *testing.T) {
	dir := t.TempDir()
	project(t, dir, map[string]string{"tenant_tables.yaml": grantsFile})
	for table, words := range map[string]string{"tags": "add trigger to them by hand", "others": "crm.others is not declared"} {
		if file, err := isolation.Grant(dir, isolation.Name{Schema: "crm", Name: table}, "nself_hasura", "trigger"); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %s, %v", table, file.Text, err)
		}
	}
}

// A name is found by the statement that registers it, however it is quoted there.
func TestAMigrationIsFoundByTheTablesItIsAbout(t *testing.T) {
	dir := t.TempDir()
	odd := isolation.Name{Schema: "crm", Name: `o'brien \ "co"`}
	plan := isolation.Protection{Tables: isolation.List{{Name: odd}}}
	plan.Statements = append(plan.Statements, "PERFORM nself.declare_tenant_table("+isolation.Literal(`{"table":"crm.o'brien \\ \"co\"","grants":{}}`)+")")
	project(t, dir, map[string]string{
		filepath.Join("migrations/default/7_renamed_by_hand/up.sql"): strings.Join(plan.Statements, ";"),
		"migrations/default/5_forget/up.sql":                         "PERFORM nself.forget_tenant_table('crm.deals')",
		"migrations/default/readme/up.sql":                           "crm.deals",
		"migrations/default/6_other/up.sql":                          `PERFORM nself.declare_tenant_table('{"table":"crm.deals_old","grants":{}}')`,
	})
	for name, want := range map[isolation.Name]string{odd: "7_renamed_by_hand", deals: "5_forget", contacts: ""} {
		found, err := isolation.Written(dir, []isolation.Name{name})
		var folders []string
		for _, m := range found {
			folders = append(folders, m.Folder())
		}
		if err != nil || strings.Join(folders, " ") != want {
			t.Errorf("%s: %v, %v", name, folders, err)
		}
	}
}
