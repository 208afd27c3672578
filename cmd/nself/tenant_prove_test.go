package main

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/isolation/prove"
)

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProveOnAWholeInstallation(t *testing.T) {
	proveInTurn(t, []rule{
		{"it refuses tokens it cannot use", proveRefusesTokensItCannotUse},
		{"it tries every role and tells no token", proveTriesEveryRole},
	})
}

func proveTriesEveryRole(t *testing.T, at installation) {
	t.Helper()
	member, guest, other := at.settings.Get("ACME_MEMBER_TOKEN"), at.settings.Get("ACME_GUEST_TOKEN"), at.settings.Get("TECHCO_OWNER_TOKEN")
	junit := filepath.Join(t.TempDir(), "prove.xml")
	env := environment{"HASURA_GRAPHQL_ENDPOINT": at.environment["HASURA_GRAPHQL_ENDPOINT"], "NSELF_PROVE_AGAINST": other}
	only := []string{"tenant", "prove", "--as", "@" + tokenFile(t, member), "--as", guest, "--only", "tenants", "--only", "members_by_pk", "--only", "leaveTenant", "--junit", junit}
	got := env.nself(t, only...)
	if got.code != exitDone || !strings.Contains(got.out, "tenant_member  by key    ") || !strings.Contains(got.out, "in 2 roles: nothing of the other tenant was seen, changed or detected\n") {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Tests  int `xml:"tests,attr"`
		Suites []struct {
			Name string `xml:"name,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil || suites.Tests < 10 || len(suites.Suites) != 3 {
		t.Errorf("%v %+v", err, suites)
	}
	if !strings.Contains(got.out, "not tried, action: it changes things; --actions calls it, on an installation for tests\n    as tenant_member, tenant_guest\n    leaveTenant\n") {
		t.Errorf("an action that changes things was called: %s", got.out)
	}
	if got := env.nself(t, append(only, "--actions")...); got.code != exitDone || strings.Contains(got.out, "not tried") || !strings.Contains(got.out, "tenant_guest   action") {
		t.Errorf("with --actions: %+v", got)
	}
	asJSON := env.mustDo(t, append(only, "--json", "--read-only")...)
	var report prove.Report
	if err := json.Unmarshal([]byte(asJSON), &report); err != nil || report.Attempts == 0 || !report.ReadOnly || len(report.Roles) != 2 {
		t.Errorf("%v %s", err, asJSON)
	}
	for _, token := range []string{member, guest, other} {
		if strings.Contains(got.out+got.err+string(text)+asJSON, token) {
			t.Error("a token is told")
		}
	}
}

func proveRefusesTokensItCannotUse(t *testing.T, at installation) {
	t.Helper()
	member, other := at.settings.Get("ACME_MEMBER_TOKEN"), at.settings.Get("ACME_OWNER_TOKEN")
	env := environment{"HASURA_GRAPHQL_ENDPOINT": at.environment["HASURA_GRAPHQL_ENDPOINT"]}
	env.mustRefuse(t, exitRefused, "the token to try as: introspection as tenant_member was refused: Could not verify JWT", "tenant", "prove", "--as", member[:len(member)-6]+"AAAAAA", "--against", other)
	env.mustRefuse(t, exitRefused, `no role to try as sees a root field "tenantz"`, "tenant", "prove", "--as", member, "--against", at.settings.Get("TECHCO_OWNER_TOKEN"), "--only", "tenantz")
	env.mustRefuse(t, exitUsage, "a token to try as is needed: --as, or NSELF_PROVE_AS; a token to try against is needed", "tenant", "prove")
	env.mustRefuse(t, exitUsage, "are the same token", "tenant", "prove", "--as", member, "--against", member)
	env.mustRefuse(t, exitUsage, "--read-only and --actions contradict each other", "tenant", "prove", "--as", member, "--against", other, "--read-only", "--actions")
	env.mustRefuse(t, exitUsage, "no such file", "tenant", "prove", "--as", "@nowhere.jwt", "--against", member)
	env.mustRefuse(t, exitUsage, "--as is not a token", "tenant", "prove", "--as", "two words", "--against", member)
	environment{}.mustRefuse(t, exitUsage, "HASURA_GRAPHQL_ENDPOINT is not set: set it, or pass --endpoint; prove takes its tokens by", "tenant", "prove", "--token", "t", "--as", "a", "--against", "b")
}

func TestProveTellsLeaksWithTheQueryThatShowsThem(t *testing.T) {
	leak := prove.Leak{Role: "member", Kind: prove.Where, Field: "notes", Finding: "1 rows for values that only the other tenant has", Query: "query { notes { id } }", Variables: map[string]any{"where": "x"}}
	report := &prove.Report{
		Attempts: 7, Leaks: []prove.Leak{leak, leak}, Left: []string{"notes {}"}, Faults: []string{"a reason"}, SharedTables: []string{"plans", "regions"},
		Unproved: []prove.Unproved{{Role: "member", Table: "reports", Reason: "alike"}, {Role: "nobody", Table: "reports", Reason: "alike"}, {Role: "nobody", Table: "users", Reason: "alike"}},
		Roles: []prove.Role{
			{Name: "member", Tallies: []prove.Tally{{Kind: prove.List, Field: "notes", Attempts: 3}, {Kind: prove.Where, Field: "notes", Attempts: 4, Refused: 1, Leaks: 2}}},
			{Name: "nobody", SeesNothing: true},
		},
		Planted: []prove.Planted{{Tenant: "own", Table: "deals", Rows: 2}, {Tenant: "own", Table: "notes", Rows: 3}, {Tenant: "other", Table: "notes", Rows: 1}},
		Skipped: []prove.Skip{
			{Role: "member", Kind: prove.Delete, Field: "delete_notes", Reason: "no row"}, {Role: "owner", Kind: prove.Delete, Field: "delete_notes", Reason: "no row"},
			{Role: "owner", Kind: prove.Delete, Field: "delete_deals", Reason: "no row"}, {Role: "owner", Kind: prove.Action, Field: "dropTenant", Reason: "it was not asked for"},
		},
	}
	var told strings.Builder
	(&proof{p: &program{getenv: func(string) string { return "" }}}).tell(&told, report)
	want := `ROLE    KIND                ATTEMPTS  REFUSED  LEAKS
member  list                3         0        0
member  where               4         1        2
member  all                 7         1        2
nobody  sees no root field  0         0        0

planted in the own tenant: 5 rows of deals (2), notes (3)
planted in the other tenant: 1 rows of notes (1)
not tried, delete: no row
    as member, owner
    delete_notes, delete_deals
not tried, action: it was not asked for
    as owner
    dropTenant
not proved, and accepted by --shared: plans, regions

✗ LEAK member, where at notes: 1 rows for values that only the other tenant has
    query { notes { id } }
    {"where":"x"}

2 leaks at 1 places, one of each is shown; --json and --junit write out every one
✗ not proved: alike
    as member, nobody
    reports, users
    what is meant to be the same for all tenants, or needs no proof, --shared accepts
✗ a planted row could not be taken away: notes {}
✗ a reason
✗ 7 attempts in 2 roles: 2 leaks at 1 places, 2 tables not proved, 1 rows left behind, 1 failures to try
`
	if diff := cmp.Diff(want, told.String()); diff != "" {
		t.Error(diff)
	}
}
