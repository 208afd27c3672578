package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/pgtest"
)

// auditable is a migrated database, with the allow-list in a file.
func auditable(t *testing.T, plant string) (environment, string) {
	t.Helper()
	db := pgtest.Database(t)
	env := environment{"DATABASE_URL": db.URL("nself_owner")}
	if plant != "" {
		conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.Exec(t.Context(), plant, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	return env, allowFile(t, env)
}

// allowFile lets off what is of the Postgres that runs here: its faults, and that anyone
// may make temporary tables in a database unless its operator says otherwise.
func allowFile(t *testing.T, env environment) string {
	t.Helper()
	text := "allow:\n"
	var report struct {
		Findings []struct{ Rule, Object string } `json:"findings"`
	}
	if err := json.Unmarshal([]byte(env.nself(t, "tenant", "audit", "--json").out), &report); err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Rule == "postgres-known-fault" || f.Rule == "database-temp-open" {
			text += fmt.Sprintf("  - {rule: %s, object: %q, reason: the machine's own}\n", f.Rule, f.Object)
		}
	}
	file := filepath.Join(t.TempDir(), "allow.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAuditOfACleanInstallationEndsWithZero(t *testing.T) {
	env, allowed := auditable(t, "")
	out := env.mustDo(t, "tenant", "audit", "--allow", allowed, "--metadata", "../../hasura/metadata")
	for _, words := range []string{"✓ 0 errors, 0 warnings, 0 notices,", "not audited: skew"} {
		if !strings.Contains(out, words) {
			t.Errorf("no %q in:\n%s", words, out)
		}
	}
	if strings.Contains(out, "Hasura's metadata") {
		t.Errorf("the metadata was left out:\n%s", out)
	}
}

func TestNoticesCountWhereAuditIsStrict(t *testing.T) {
	env, allowed := auditable(t, `CREATE PUBLICATION p FOR TABLE tenants.tenants`)
	if out := env.mustDo(t, "tenant", "audit", "--allow", allowed); !strings.Contains(out, "publication-carries-tenants") {
		t.Errorf("no notice in:\n%s", out)
	}
	if got := env.nself(t, "tenant", "audit", "--allow", allowed, "--strict"); got.code != exitRefused || !strings.Contains(got.out, "✗ 0 errors") || !strings.Contains(got.out, "not audited: Hasura's metadata") {
		t.Errorf("with --strict: %+v", got)
	}
}

func TestAuditTellsFindingsAsTableAndFixesThem(t *testing.T) {
	env, allowed := auditable(t, `ALTER TABLE tenants.tenant_settings DISABLE ROW LEVEL SECURITY`)
	got := env.nself(t, "tenant", "audit", "--allow", allowed)
	if got.code != exitRefused || got.err != "" {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	for _, words := range []string{"SEVERITY  RULE", "error     rls-disabled  tenants.tenant_settings  no policy is applied", `    ALTER TABLE "tenants"."tenant_settings" ENABLE ROW LEVEL SECURITY`, "(sql, by --fix)", "✗ 1 error,"} {
		if !strings.Contains(got.out, words) {
			t.Errorf("no %q in:\n%s", words, got.out)
		}
	}
	if out := env.mustDo(t, "tenant", "audit", "--allow", allowed, "--fix"); !strings.Contains(out, "✓ fixed rls-disabled at tenants.tenant_settings: ALTER TABLE") {
		t.Errorf("--fix says:\n%s", out)
	}
	env.mustDo(t, "tenant", "audit", "--allow", allowed)
}

func TestAuditWritesJSONAndSARIF(t *testing.T) {
	env, allowed := auditable(t, `GRANT TRUNCATE ON auth.users TO nself_app`)
	file := filepath.Join(t.TempDir(), "audit.sarif")
	got := env.nself(t, "tenant", "audit", "--json", "--sarif", file, "--allow", allowed)
	var report struct {
		Findings []struct {
			Rule, Severity, Object, What, Allowed string
			Fix                                   struct {
				Kind, Text string
				Safe       bool
			}
		}
		TenantTables int `json:"tenant_tables"`
		Fixed        []any
		Skipped      []string
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != exitRefused || report.TenantTables < 9 || report.Fixed == nil {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.out)
	}
	first := report.Findings[0]
	if first.Rule+" "+first.Object != "grant-truncate auth.users (nself_app truncate)" && first.Rule != "postgres-known-fault" {
		t.Errorf("the first finding is %+v", first)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	printed := env.nself(t, "tenant", "audit", "--format", "sarif", "--allow", allowed).out
	for _, text := range []string{string(written), printed} {
		if !json.Valid([]byte(text)) || !strings.Contains(text, `"ruleId": "grant-truncate"`) || !strings.Contains(text, `"version": "2.1.0"`) {
			t.Errorf("this is no SARIF of it: %.300s", text)
		}
	}
}

func TestAuditListsItsRules(t *testing.T) {
	out := environment{}.mustDo(t, "tenant", "audit", "--rules")
	if lines := strings.Count(out, "\n"); lines < 41 || !strings.Contains(out, "rls-not-forced") || !strings.Contains(out, "WHAT IS WRONG") {
		t.Errorf("%d lines:\n%s", lines, out)
	}
	var rules []struct{ ID, Severity, Group, Title string }
	if err := json.Unmarshal([]byte(environment{}.mustDo(t, "tenant", "audit", "--rules", "--json")), &rules); err != nil || len(rules) < 40 || rules[0].ID == "" {
		t.Errorf("%v: %+v", err, rules)
	}
}

func TestAuditRefusesWhatItCannotUse(t *testing.T) {
	environment{}.mustRefuse(t, exitUsage, "DATABASE_URL is not set", "tenant", "audit")
	env := environment{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
	env.mustRefuse(t, exitUsage, `--format is "xml"`, "tenant", "audit", "--format", "xml")
	env.mustRefuse(t, exitUsage, "two formats", "tenant", "audit", "--json", "--format", "sarif")
	env.mustRefuse(t, exitUsage, "not a --token", "tenant", "audit", "--token", "t")
	env.mustRefuse(t, exitUsage, "--allow: open", "tenant", "audit", "--allow", "/nowhere/allow.yaml")
	env.mustRefuse(t, exitRefused, "--metadata", "tenant", "audit", "--metadata", t.TempDir())
	env.mustRefuse(t, exitRefused, "cannot be reached", "tenant", "audit")
	file := filepath.Join(t.TempDir(), "allow.yaml")
	if err := os.WriteFile(file, []byte("allow: [{rule: rls-disabled, object: a.b}, {rule: none, object: a.b, reason: r}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	env.mustRefuse(t, exitUsage, `gives no reason; entry 2 of the allow-list: "none" is no rule`, "tenant", "audit", "--allow", file)
}

func TestAuditReadsTheMetadataThatHasuraHas(t *testing.T) {
	ours, err := doctor.OurMetadata()
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(ours.JSON, &document); err != nil {
		t.Fatal(err)
	}
	document["inherited_roles"] = []any{map[string]any{"role_name": "anyone", "role_set": []string{"user", "tenant_guest"}}}
	exported, err := json.Marshal(map[string]any{"resource_version": 7, "metadata": document})
	if err != nil {
		t.Fatal(err)
	}
	env := hasuraSaying(t, string(exported))
	env["DATABASE_URL"] = pgtest.Database(t).URL("nself_owner")
	got := env.nself(t, "tenant", "audit", "--allow", allowFile(t, env))
	if got.code != exitRefused || !strings.Contains(got.out, "metadata-inherited-widens  inherited role anyone") || !strings.Contains(got.out, "✗ 1 error, 0 warnings") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}
