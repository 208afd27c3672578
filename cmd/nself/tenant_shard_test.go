package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/shard"
)

// shardsArePlannedAndRefusedWithoutACitus needs a table behind the wall: crm.documents.
func shardsArePlannedAndRefusedWithoutACitus(t *testing.T, i installation) {
	t.Helper()
	before := i.contents(t)
	const dropSQL = `DROP TRIGGER "notify_hasura_usage_crm_documents_INSERT" ON crm.documents`
	refused := i.nself(t, "tenant", "shard", "plan")
	if refused.code != exitRefused || !strings.HasPrefix(refused.out, "✗ crm.documents: the trigger ") || !strings.Contains(refused.out, "\n  mend: "+dropSQL+";\n") {
		t.Errorf("%+v", refused)
	}
	if _, err := i.owner(t).Exec(t.Context(), dropSQL); err != nil {
		t.Fatal(err)
	}
	out := i.mustDo(t, "tenant", "shard", "plan")
	const distributed = "\n-- the first of the group\nSELECT create_distributed_table('crm.documents', 'tenant_id', colocate_with => 'none');\n"
	if strings.Contains(out, "✗") || !strings.Contains(out, distributed) {
		t.Errorf("%s", out)
	}
	var plan shard.Plan
	if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "shard", "plan", "--json")), &plan); err != nil || len(plan.Steps) == 0 {
		t.Errorf("%v: %+v", err, plan)
	}
	for _, step := range plan.Steps {
		if !strings.Contains(out, "-- "+step.Why+"\n"+step.SQL+";\n") {
			t.Errorf("only with --json: %s", step.SQL)
		}
	}
	play(t, i.environment, []line{
		{"tenant|shard|plan|--yes", 2, "--yes is for --apply"},
		{"tenant|shard|plan|crm.documents", 2, "usage"},
		{"tenant|shard|plan|--apply", 1, "CITUS_DATABASE_URL is not set"},
	})
	with := func(url string) environment {
		env := environment{"CITUS_DATABASE_URL": url}
		for name, value := range i.environment {
			if name != "CITUS_DATABASE_URL" {
				env[name] = value
			}
		}
		return env
	}
	with(i.environment["DATABASE_URL"]).mustRefuse(t, exitRefused, "CREATE EXTENSION citus", "tenant", "shard", "plan", "--apply", "--yes")
	for _, url := range []string{"postgres://nobody:hush@127.0.0.1:1/none", "a secret\x00"} {
		got := with(url).nself(t, "tenant", "shard", "plan", "--apply", "--yes")
		if got.code != exitRefused || !strings.Contains(got.err, "out of reach") || strings.Contains(got.err, "hush") || strings.Contains(got.err, "secret") {
			t.Errorf("%q: %+v", url, got)
		}
	}
	if diff := cmp.Diff(before, i.contents(t)); diff != "" {
		t.Errorf("planning changed the database:\n%s", diff)
	}
}
