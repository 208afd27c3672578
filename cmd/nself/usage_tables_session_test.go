package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/metadata"
)

const documents = `CREATE SCHEMA crm; CREATE TABLE crm.documents (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), pages integer NOT NULL)`

// documentsOf is a project that tracks crm.documents, which are behind the wall.
func documentsOf(t *testing.T, i installation) string {
	t.Helper()
	if _, err := i.owner(t).Exec(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	dir := copyOf(t, "../../hasura")
	i.mustDo(t, "tenant", "protect", "crm.documents", "--dir", dir, "--write", "--apply")
	return dir
}

// applied gives Hasura the metadata of the project.
func (i installation) applied(t *testing.T, dir string) {
	t.Helper()
	project, err := metadata.Load(os.DirFS(dir + "/metadata"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := hasuraapi.New(i.environment["HASURA_GRAPHQL_ENDPOINT"], hasuraapi.Credential{AdminSecret: i.environment["HASURA_GRAPHQL_ADMIN_SECRET"]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply(t.Context(), client, project.JSON); err != nil {
		t.Fatal(err)
	}
}

// mayTrigger does what the note of the added source says.
func (i installation) mayTrigger(t *testing.T, dir string) {
	t.Helper()
	out := i.mustDo(t, "usage", "source", "add", "crm.documents", "pages", "--amount-column", "pages", "--dir", dir)
	list := filepath.Join(dir, "tenant_tables.yaml")
	if note := "\nnote: Hasura may not make triggers on crm.documents yet: add trigger to the grants of nself_hasura in " + list; !strings.Contains(out, note) {
		t.Errorf("no note in\n%s", out)
	}
	before, after, found := strings.Cut(contentOf(t, list), "- table: crm.documents")
	granted := strings.Replace(after, "nself_hasura: [select, insert, update, delete]", "nself_hasura: [select, insert, update, delete, trigger]", 1)
	if !found || granted == after {
		t.Fatalf("no grants of nself_hasura in %s", after)
	}
	if err := os.WriteFile(list, []byte(before+"- table: crm.documents"+granted), 0o600); err != nil {
		t.Fatal(err)
	}
	i.mustDo(t, "tenant", "protect", "crm.documents", "--dir", dir, "--write", "--apply")
	if out := i.mustDo(t, "usage", "source", "add", "crm.documents", "pages", "--amount-column", "pages", "--dir", dir); strings.Contains(out, "note: ") {
		t.Errorf("%s", out)
	}
}

func aRowOfATableIsCounted(t *testing.T, i installation) {
	t.Helper()
	dir := documentsOf(t, i)
	i.mustDo(t, "usage", "meter", "define", "pages", "--name", "Pages")
	i.mustRefuse(t, exitRefused, "sheets", "usage", "source", "add", "crm.documents", "pages", "--amount-column", "sheets")
	for _, said := range []string{"Source added", "Source there already"} {
		out := i.mustDo(t, "usage", "source", "add", "crm.documents", "pages", "--amount-column", "pages", "--dir", dir, "--write")
		if !strings.HasPrefix(out, "✓ "+said+": crm.documents counts as pages, by its pages\n✓ Event trigger usage_crm_documents written: ") {
			t.Errorf("%s", out)
		}
	}
	i.mayTrigger(t, dir)
	if listed := i.mustDo(t, "usage", "source", "list"); !strings.Contains(strings.Join(strings.Fields(listed), " "), " crm.documents pages tenant_id pages - -") {
		t.Errorf("%s", listed)
	}
	i.applied(t, dir)
	const insertSQL = `INSERT INTO crm.documents (tenant_id, pages) SELECT id, 1200 FROM tenants.tenants WHERE slug = 'techco'`
	if _, err := i.owner(t).Exec(t.Context(), insertSQL); err != nil {
		t.Fatal(err)
	}
	i.counts(t, "pages", "1200")
	if out := i.mustDo(t, "tenant", "usage", "techco"); !strings.Contains(out, "\nPages              1,200 / unlimited\n") {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "users", "usage", "source", "remove", "tenants.tenant_members", "users", "--yes")
	if out := i.mustDo(t, "usage", "source", "remove", "crm.documents", "pages", "--yes"); out != "✓ Source removed: crm.documents counts as pages no more\n" {
		t.Errorf("%s", out)
	}
}

// delivers sends an event of a row of techco's, as Hasura would, which parks it: the table
// is no source.
func (i installation) delivers(t *testing.T, id string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"table":{"schema":"crm","name":"documents"},"trigger":{"name":"usage_crm_documents"},"created_at":"2026-11-23T00:25:48.223125",
		"delivery_info":{"current_retry":0,"max_retries":10},
		"event":{"op":"INSERT","data":{"old":null,"new":{"tenant_id":%q,"pages":30}},"session_variables":null,"trace_context":null}}`, id, i.settings.Get("TECHCO_TENANT_ID"))
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.environment["SERVER_URL"]+"/events/usage", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("X-Webhook-Secret", i.settings.Get("NSELF_WEBHOOK_SECRET"))
	reply, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if told, err := io.ReadAll(reply.Body); err != nil || reply.StatusCode != http.StatusOK || !strings.Contains(string(told), "parked") {
		t.Fatalf("%s: %s, %v", reply.Status, told, err)
	}
}

func parkedEventsAreReplayed(t *testing.T, i installation) {
	t.Helper()
	const one, two = "0b9f5a63-5a0c-4f55-8a0e-2f6d4c1b7a01", "0b9f5a63-5a0c-4f55-8a0e-2f6d4c1b7a02"
	if out := i.mustDo(t, "events", "replay", "--all"); out != "no event is parked\n" {
		t.Errorf("%s", out)
	}
	i.delivers(t, one)
	i.delivers(t, two)
	listed := strings.Split(i.mustDo(t, "events", "list"), "\n")
	if len(listed) != 4 || !strings.HasPrefix(listed[1], two+"  usage_crm_documents  ") || !strings.HasPrefix(listed[2], one) {
		t.Errorf("%s", strings.Join(listed, "\n"))
	}
	if shown := i.mustDo(t, "events", "show", one); !strings.Contains(shown, "Deliveries: 1\n") || !strings.Contains(shown, `"pages": 30`) {
		t.Errorf("%s", shown)
	}
	got := i.nself(t, "events", "replay", "--all")
	if got.code != exitRefused || strings.Count(got.out, ": parked: ") != 2 || !strings.HasPrefix(got.out, "✗ "+one+": parked: ") || got.err != "nself: 2 of 2 events not done\n" {
		t.Errorf("%+v", got)
	}
	i.mustDo(t, "usage", "source", "add", "crm.documents", "pages", "--amount-column", "pages")
	if out := i.mustDo(t, "events", "replay", one); out != "✓ "+one+": done\n" {
		t.Errorf("%s", out)
	}
	if got := i.nself(t, "events", "replay", "nothing", two); got.code != exitRefused || !strings.HasPrefix(got.out, "✗ nothing: failed: ") || !strings.Contains(got.out, "\n✓ "+two+": done\n") || got.err != "nself: 1 of 2 events not done\n" {
		t.Errorf("%+v", got)
	}
	if out := i.mustDo(t, "events", "replay", "--all", "--json"); out != "[]\n" {
		t.Errorf("%s", out)
	}
	if used := i.used(t, "pages"); used != "1260" {
		t.Errorf("%s pages", used)
	}
}

func aTotalThatWasMeddledWithIsTold(t *testing.T, i installation) {
	t.Helper()
	if out := i.mustDo(t, "usage", "reconcile"); out != "✓ every total is what was counted\n" {
		t.Errorf("%s", out)
	}
	if _, err := i.owner(t).Exec(t.Context(), `UPDATE billing.usage_totals SET used = used + 1000 WHERE meter = 'pages'`); err != nil {
		t.Fatal(err)
	}
	got := i.nself(t, "usage", "reconcile")
	if got.code != exitRefused || got.err != "nself: 1 total is not what was counted\n" ||
		!strings.HasSuffix(strings.Join(strings.Fields(plain(got.out)), " "), "DIFFERENCE techco pages <time> 2,260 1,260 1,000") {
		t.Errorf("%+v", got)
	}
}
