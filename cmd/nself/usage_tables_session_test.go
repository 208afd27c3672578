package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const documents = `CREATE SCHEMA crm; CREATE TABLE crm.documents (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), pages integer NOT NULL)`

// aRowOfATableIsCounted types what docs/usage.md says, and adds a row.
func aRowOfATableIsCounted(t *testing.T, i installation) {
	t.Helper()
	if _, err := i.owner(t).Exec(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	dir := copyOf(t, "../../hasura")
	i.mustDo(t, "usage", "meter", "define", "pages", "--name", "Pages")
	i.mustDo(t, "tenant", "protect", "crm.documents", "--dir", dir, "--write", "--apply")
	i.mustRefuse(t, exitRefused, "sheets", "usage", "source", "add", "crm.documents", "pages", "--amount-column", "sheets")
	add := []string{"usage", "source", "add", "crm.documents", "pages", "--amount-column", "pages", "--dir", dir}
	list, file := filepath.Join(dir, "tenant_tables.yaml"), filepath.Join(dir, "metadata/databases/default/tables/crm_documents.yaml")
	protect := "nself tenant protect crm.documents --dir " + dir + " --write --apply"
	note := "\nnote: Hasura may not make triggers on crm.documents yet: add trigger to the grants of nself_hasura in " + list + ", and run " + protect + "\n"
	if out := i.mustDo(t, add...); !strings.HasPrefix(out, "✓ Source added: crm.documents counts as pages, by its pages\n") || !strings.Contains(out, note) {
		t.Errorf("%s", out)
	}
	written := "✓ Source there already: crm.documents counts as pages, by its pages\n✓ Event trigger usage_crm_documents written: " + file + "\n"
	granted, next := "✓ Privilege trigger of nself_hasura written: "+list+"\n", "Nothing is counted before Hasura has it: "+protect+"\n"
	if diff := cmp.Diff(written+granted+next, i.mustDo(t, append(add, "--write")...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if listed := i.mustDo(t, "usage", "source", "list"); !strings.Contains(strings.Join(strings.Fields(listed), " "), " crm.documents pages tenant_id pages - -") {
		t.Errorf("%s", listed)
	}
	for range 2 {
		i.mustDo(t, strings.Fields(strings.TrimPrefix(protect, "nself "))...)
	}
	if made := migrationsOf(t, dir); len(made) != 2 {
		t.Errorf("%v", made)
	}
	i.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
	if diff := cmp.Diff(written+next, i.mustDo(t, append(add, "--write")...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
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
	i.mustDo(t, "doctor")
}

// delivers sends an event of a row of techco's, as Hasura would, which parks it: the table
// is no source.
func (i installation) delivers(t *testing.T, id string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"table":{"schema":"crm","name":"documents"},"trigger":{"name":"usage_crm_documents"},"created_at":"2026-11-23T00:25:48.223125",
		"delivery_info":{"current_retry":0,"max_retries":10},
		"event":{"op":"INSERT","data":{"old":null,"new":{"tenant_id":%q,"pages":30}},"session_variables":null,"trace_context":null}}`, id, i.settings.Get("TECHCO_TENANT_ID"))
	if told := i.posts(t, "/events/usage", "application/json", body); !strings.Contains(told, "parked") {
		t.Fatalf("%s", told)
	}
}

// posts sends a body to the server as a service of the installation's own does, and returns
// the answer.
func (i installation) posts(t *testing.T, path, kind, body string) string {
	t.Helper()
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.environment["SERVER_URL"]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", kind)
	post.Header.Set("X-Webhook-Secret", i.settings.Get("NSELF_WEBHOOK_SECRET"))
	reply, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	told, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", reply.Status, told, err)
	}
	return string(told)
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
	first := i.nself(t, "events", "list", "--limit", "1")
	if !strings.Contains(first.out, two) || strings.Contains(first.out, one) || first.err != "nself: there are more: nself events list --limit 1 --after "+two+"\n" {
		t.Errorf("%+v", first)
	}
	if rest := i.nself(t, "events", "list", "--limit", "1", "--after", two); !strings.Contains(rest.out, one) || strings.Contains(rest.out, two) || rest.err != "" {
		t.Errorf("%+v", rest)
	}
	i.mustRefuse(t, exitRefused, "is parked; nself events list", "events", "show", "0b9f5a63-5a0c-4f55-8a0e-2f6d4c1b7a03")
	const copiesSQL = `INSERT INTO nself.inbox SELECT (jsonb_populate_record(i, jsonb_build_object('event_id', gen_random_uuid(), 'received_at', i.received_at - interval '1 day'))).*
		FROM nself.inbox i, generate_series(1, $2) WHERE event_id = $1`
	if _, err := i.owner(t).Exec(t.Context(), copiesSQL, one, idsAtOnce); err != nil {
		t.Fatal(err)
	}
	many := i.nself(t, "events", "replay", "--all")
	if many.err != fmt.Sprintf("nself: %d of %[1]d events not done\n", idsAtOnce+2) || !strings.Contains(many.out, "✗ "+one+": parked: ") || !strings.Contains(many.out, "✗ "+two+": parked: ") {
		t.Errorf("%+v", many)
	}
	if _, err := i.owner(t).Exec(t.Context(), `DELETE FROM nself.inbox WHERE received_at < now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
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
	if out := i.mustDo(t, "usage", "reconcile", "techco"); out != "✓ every total is what was counted\n" {
		t.Errorf("%s", out)
	}
	if _, err := i.owner(t).Exec(t.Context(), `UPDATE billing.usage_totals SET used = used + 1000 WHERE meter = 'pages'`); err != nil {
		t.Fatal(err)
	}
	got := i.nself(t, "usage", "reconcile", "techco")
	if last := i.nself(t, "usage", "reconcile", "--last"); last != got {
		t.Errorf("last it was %+v", last)
	}
	if got.code != exitRefused || got.err != "nself: 1 total is not what was counted\n" ||
		!strings.HasSuffix(strings.Join(strings.Fields(plain(got.out)), " "), "DIFFERENCE techco pages <time> 2,260 1,260 1,000") {
		t.Errorf("%+v", got)
	}
}
