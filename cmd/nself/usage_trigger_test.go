package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/isolation"
)

func TestATriggerIsNamedAfterItsTable(t *testing.T) {
	for table, want := range map[isolation.Name]string{
		{Schema: "crm", Name: "documents"}:                       "usage_crm_documents",
		{Schema: "crm", Name: strings.Repeat("d", 32)}:           "usage_crm_" + strings.Repeat("d", 32),
		{Schema: "crm", Name: strings.Repeat("d", 33)}:           "usage_crm_" + strings.Repeat("d", 23) + "_f33ea820",
		{Schema: "crm", Name: "Größe"}:                           "usage_crm_Gr__e_29a55627",
		{Schema: "public", Name: "a very long name with blanks"}: "usage_public_a_very_long_name_wit_c7d550f5",
	} {
		if got := triggerName(table); got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}

func TestATriggersNameIsOneThatHasuraTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := isolation.Name{Schema: rapid.StringN(1, 63, 63).Draw(t, "schema"), Name: rapid.StringN(1, 63, 63).Draw(t, "name")}
		name := triggerName(table)
		if len(name) > longestTrigger || !strings.HasPrefix(name, "usage_") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			t.Fatalf("%q gets the trigger %q", table, name)
		}
	})
}

func TestLevelsAreFollowedAndFlowsAreInserts(t *testing.T) {
	pages, size := "pages", "size"
	of := isolation.Name{Schema: "crm", Name: "documents"}
	flow := source{Table: "crm.documents", Meter: "pages", TenantColumn: "tenant_id", AmountColumn: &pages}
	level := source{Table: "crm.documents", Meter: "space", TenantColumn: "tenant_id", AmountColumn: &size}
	rows := source{Table: "crm.documents", Meter: "documents", TenantColumn: "tenant_id"}
	aggregations := map[string]string{"pages": "sum", "space": "level", "documents": "level"}
	for name, c := range map[string]struct {
		sources []source
		want    triggerDefinition
	}{
		"a flow": {[]source{flow}, triggerDefinition{true, &triggerFields{Columns: []string{"tenant_id", "pages"}}, nil, nil}},
		"a level": {[]source{level}, triggerDefinition{true, &triggerFields{Columns: []string{"tenant_id", "size"}},
			&triggerFields{[]string{"size"}, []string{"tenant_id", "size"}}, &triggerFields{Columns: []string{"tenant_id", "size"}}}},
		"a level of rows": {[]source{rows}, triggerDefinition{true, &triggerFields{Columns: []string{"tenant_id"}}, nil, &triggerFields{Columns: []string{"tenant_id"}}}},
		"both": {[]source{flow, level, rows}, triggerDefinition{true, &triggerFields{Columns: []string{"tenant_id", "pages", "size"}},
			&triggerFields{[]string{"size"}, []string{"tenant_id", "pages", "size"}}, &triggerFields{Columns: []string{"tenant_id", "pages", "size"}}}},
	} {
		if diff := cmp.Diff(c.want, triggerOf(of, c.sources, aggregations).Definition); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

const documentsFile = `# what customers file
table:
  schema: crm
  name: documents
configuration:
  custom_name: documents # not crm_documents
event_triggers:
  - name: welcome
    definition:
      enable_manual: false
      insert:
        columns: '*'
    retry_conf:
      num_retries: 0
      interval_sec: 10
      timeout_sec: 60
    webhook: '{{SHOP_URL}}/welcome'
`

const usageOfDocuments = `  - name: usage_crm_documents
    definition:
      enable_manual: true
      insert:
        columns:
          - tenant_id
          - pages
    retry_conf:
      num_retries: 10
      interval_sec: 15
      timeout_sec: 60
    webhook: '{{NSELF_WEBHOOK_URL}}/events/usage'
    headers:
      - name: X-Webhook-Secret
        value_from_env: NSELF_WEBHOOK_SECRET
`

const documentsAdded = `{"data":{"reply":{"table":"crm.documents","meter":"documents","tenant_column":"tenant_id","amount_column":"pages"},
	"sources":[{"table":"crm.others","meter":"users","tenant_column":"t"}],
	"meters":[{"code":"documents","aggregation":"count"},{"code":"users","aggregation":"level"}]}}`

// withDocuments is a Hasura project that tracks crm.documents by this file.
func withDocuments(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = copyOf(t, "../../hasura")
	tables := filepath.Join(dir, "metadata/databases/default/tables")
	file = filepath.Join(tables, "crm_documents.yaml")
	list, err := os.ReadFile(filepath.Join(tables, "tables.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{file: text, filepath.Join(tables, "tables.yaml"): string(list) + "- \"!include crm_documents.yaml\"\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, file
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAddingASourcePrintsItsTrigger(t *testing.T) {
	out := hasuraSaying(t, documentsAdded).mustDo(t, "usage", "source", "add", "crm.documents", "documents", "--amount-column", "pages")
	want := "✓ Source added: crm.documents counts as documents, by its pages\n" +
		"Nothing is counted before Hasura has this event trigger; add it to the metadata of crm.documents:\n\nevent_triggers:\n" + usageOfDocuments
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	there := hasuraSaying(t, strings.Replace(documentsAdded, `[{"table"`, `[{"table":"crm.documents","meter":"documents","tenant_column":"tenant_id","amount_column":"pages"},{"table"`, 1))
	again := there.mustDo(t, "usage", "source", "add", "crm.documents", "documents", "--amount-column", "pages")
	if diff := cmp.Diff(strings.Replace(want, "added", "there already", 1), again); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
}

func TestAddingASourceWritesItsTriggerOnce(t *testing.T) {
	dir, file := withDocuments(t, documentsFile)
	env := hasuraSaying(t, documentsAdded)
	for range 2 {
		out := env.mustDo(t, "usage", "source", "add", "crm.documents", "documents", "--dir", dir, "--write")
		if !strings.Contains(out, "✓ Event trigger usage_crm_documents written: "+file+"\n") {
			t.Errorf("%s", out)
		}
		if diff := cmp.Diff(documentsFile+usageOfDocuments, contentOf(t, file)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const bare = "table:\n  schema: crm\n  name: documents\n"
	for _, text := range []string{bare, bare + "event_triggers: []\n", bare + "event_triggers:\n"} {
		dir, file := withDocuments(t, text)
		env.mustDo(t, "usage", "source", "add", "crm.documents", "documents", "--dir", dir, "--write")
		if diff := cmp.Diff(bare+"event_triggers:\n"+usageOfDocuments, contentOf(t, file)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestASourceIsNotAddedWhereItsTriggerCannotBeWritten(t *testing.T) {
	nobody := environment{"HASURA_GRAPHQL_ENDPOINT": "http://127.0.0.1:1", "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
	refuse := func(words, dir, table string) {
		t.Helper()
		nobody.mustRefuse(t, exitRefused, words, "usage", "source", "add", table, "documents", "--dir", dir, "--write")
	}
	dir, _ := withDocuments(t, documentsFile)
	refuse("crm.others is not tracked", dir, "crm.others")
	refuse("a second one would count everything twice", dir, "tenants.storage_objects")
	refuse("no such file or directory", filepath.Join(dir, "nowhere"), "crm.documents")
	dir, _ = withDocuments(t, documentsFile+"mistake: 1\n")
	refuse(`unknown key "mistake"`, dir, "crm.documents")
	dir, file := withDocuments(t, documentsFile)
	list := filepath.Join(filepath.Dir(file), "tables.yaml")
	inline := strings.Replace(contentOf(t, list), `"!include crm_documents.yaml"`, "table: {schema: crm, name: documents}", 1)
	if err := os.WriteFile(list, []byte(inline), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refuse("has no file of its own", dir, "crm.documents")
}

// Two tables may come to the same name; then the file stays as it was.
func TestATriggerThatWouldSpoilTheMetadataIsTakenBack(t *testing.T) {
	dir, file := withDocuments(t, strings.Replace(documentsFile, "name: documents\nconf", "name: plans\nconf", 1))
	list := filepath.Join(filepath.Dir(file), "tables.yaml")
	twin := filepath.Join(filepath.Dir(file), "twin.yaml")
	text := "table:\n  schema: crm_x\n  name: y\nevent_triggers:\n" + strings.Replace(usageOfDocuments, "crm_documents", "crm_x_y", 1)
	other := "table:\n  schema: crm\n  name: x_y\n"
	for path, text := range map[string]string{twin: text, file: other, list: contentOf(t, list) + "- \"!include twin.yaml\"\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := hasuraSaying(t, strings.ReplaceAll(documentsAdded, "crm.documents", "crm.x_y"))
	env.mustRefuse(t, exitRefused, "the source is added and its event trigger is not written: ", "usage", "source", "add", "crm.x_y", "documents", "--dir", dir, "--write")
	if diff := cmp.Diff(other, contentOf(t, file)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
