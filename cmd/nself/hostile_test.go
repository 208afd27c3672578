package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile are values that no slug, id, key, role, code or e-mail address is.
var hostile = map[string]string{
	"sql":              `'; DROP TABLE tenants.tenants; --`,
	"sql union":        `' UNION SELECT * FROM auth.signing_keys --`,
	"sql or":           `acme' OR '1'='1`,
	"sql double quote": `" OR ""="`,
	"sql dollar":       `$1`,
	"sql comment":      `acme/**/--`,
	"sql stacked":      "acme\n; UPDATE tenants.tenants SET status='deleted'",
	"like":             `%`,
	"backslash":        `\`,
	"json":             `{"_neq":""}`,
	"graphql":          `"}){id} deleteTenant(tenant:"acme",confirmSlug:"acme"){id`,
	"empty":            ``,
	"space":            ` `,
	"hyphen":           `-`,
	"end of flags":     `--`,
	"path":             `../../etc/passwd`,
	"10 kB":            strings.Repeat("x", 10<<10),
	"10 kB of emoji":   strings.Repeat("🚀", 10<<10/4),
	"NUL":              "acme\x00",
	"not UTF-8":        "acme\xff",
	"emoji":            `🚀`,
	"right to left":    "\u202eemca",
	"zero width":       "ac\u200bme",
	"escape":           "\x1b[2Jacme",
}

// refusing are commands that have to refuse a hostile value in the place of X. USER is
// a member's id.
var refusing = []string{
	"tenant|show|X", "tenant|stats|X", "tenant|suspend|X", "tenant|activate|X", "tenant|delete|X|--yes", "tenant|restore|X",
	"tenant|rename|X|--name|New", "tenant|rename|acme|--slug|X", "tenant|list|--status|X", "tenant|list|--limit|X",
	"tenant|create|New|--owner|X", "tenant|create|New|--owner|USER|--slug|X", "tenant|create|New|--owner|USER|--plan|X",
	"tenant|create|New|--owner|USER|--strategy|X", "tenant|X", "X",
	"tenant|member|list|X", "tenant|member|add|X|USER", "tenant|member|add|acme|X", "tenant|member|add|acme|USER|X",
	"tenant|member|update|X|USER|guest", "tenant|member|update|acme|X|guest", "tenant|member|update|acme|USER|X",
	"tenant|member|remove|X|USER", "tenant|member|remove|acme|X",
	"tenant|member|invite|X|zoe@example.com", "tenant|member|invite|acme|X", "tenant|member|invite|acme|X@",
	"tenant|setting|list|X", "tenant|setting|get|X|locale", "tenant|setting|get|acme|X", "tenant|setting|set|X|theme|dark",
	"tenant|setting|set|acme|X|dark", "tenant|setting|remove|X|locale", "tenant|setting|remove|acme|X",
	"user|create|X", "user|list|--limit|X", "token|mint|X", "token|mint|USER|--tenant|X", "token|mint|USER|--ttl|X",
	"token|sessions|--user|X", "token|sessions|--tenant|X", "token|sessions|--limit|X",
	"token|revoke|X", "token|revoke|--user|X|--yes", "token|revoke|--user|USER|--tenant|X",
	"token|impersonate|X|--reason|a test", "token|impersonate|USER|--reason|a test|--tenant|X", "token|impersonate|USER|--reason|a test|--ttl|X",
	"tenant|key|create|X|ci", "tenant|key|create|acme|ci|--role|X", "tenant|key|create|acme|ci|--expires|X",
	"tenant|key|list|X", "tenant|key|revoke|X|a", "tenant|key|revoke|acme|X",
	"tenant|member|transfer|X|USER", "tenant|member|transfer|acme|X", "tenant|member|transfer|X|--cancel",
	"tenant|invitation|list|X", "tenant|invitation|resend|acme|X", "tenant|invitation|revoke|X|zoe@example.com", "tenant|invitation|revoke|acme|X",
	"tenant|usage|X", "tenant|usage|acme|--at|X", "tenant|limit|list|X", "tenant|limit|set|X|users|7", "tenant|limit|set|acme|X|7", "tenant|limit|set|acme|users|X",
	"tenant|limit|set|acme|users|7|--expires|X", "tenant|limit|remove|X|users|--yes", "tenant|limit|remove|acme|X|--yes",
	"tenant|cycle|set|X|2026-11-15", "tenant|cycle|set|acme|X", "tenant|cycle|remove|X|--yes",
	"usage|record|X|api_requests|5|--key|k", "usage|record|acme|X|5|--key|k", "usage|record|acme|api_requests|X|--key|k", "usage|record|acme|api_requests|--key|k|--at|X",
	"usage|check|X|storage", "usage|check|acme|X", "usage|check|acme|storage|X",
	"usage|reverse|X|api_requests|k|--yes", "usage|reverse|acme|X|k|--yes", "usage|reverse|acme|api_requests|X|--yes",
	"usage|meter|define|X", "usage|meter|define|files|--aggregation|X", "usage|meter|define|files|--lease-size|X", "usage|meter|define|files|--default-limit|X", "usage|meter|remove|X|--yes",
	"usage|source|add|X|users", "usage|source|add|tenants.storage_objects|X", "usage|source|add|tenants.storage_objects|compute_hours|--amount-column|X",
	"usage|source|remove|X|users|--yes", "usage|source|remove|tenants.storage_objects|X|--yes",
	"usage|reverse|acme|api_requests|k|--yes|--source|X", "usage|reconcile|X", "events|show|X", "events|list|--limit|X",
	"billing|subscribe|X|pro", "billing|subscribe|acme|X", "billing|change|acme|X", "billing|card|set|acme|X", "billing|addon|set|acme|X|1", "billing|addon|set|acme|seats|X",
	"billing|show|X", "billing|invoices|X", "billing|events|show|X", "billing|events|list|--tenant|X", "billing|events|list|--since|X", "billing|clock|start|X", "billing|clock|advance|acme|X",
	"tenant|show|acme|--endpoint|X/v1", "tenant|show|acme|--token|X.",
}

func hostileArgumentsAreRefused(t *testing.T, i installation) {
	t.Helper()
	before := i.contents(t)
	for name, value := range hostile {
		for _, template := range refusing {
			args := strings.Split(strings.ReplaceAll(template, "USER", i.settings.Get("ACME_MEMBER_ID")), "|")
			for n := range args {
				args[n] = strings.Replace(args[n], "X", value, 1)
			}
			got := i.nself(t, args...)
			if name == "end of flags" && (template == "tenant|stats|X" || template == "usage|check|acme|storage|X") {
				continue // it ends the flags there, and is no argument
			}
			if got.code != exitRefused && got.code != exitUsage {
				t.Errorf("%s in %s: exit %d", name, template, got.code)
			}
			if got.out != "" || !strings.Contains(got.err, "nself: ") || len(got.err) > 4<<10 {
				t.Errorf("%s in %s: %.300q, %.300q", name, template, got.out, got.err)
			}
			if strings.ContainsFunc(got.err, func(r rune) bool { return r != '\n' && treacherous(r) }) {
				t.Errorf("%s in %s reaches the terminal: %q", name, template, got.err)
			}
		}
	}
	if diff := cmp.Diff(before, i.contents(t)); diff != "" {
		t.Errorf("the database changed:\n%s", diff)
	}
	i.mustDo(t, "tenant", "show", "acme")
}

func whatLooksHostileIsKept(t *testing.T, i installation) {
	t.Helper()
	for _, name := range []string{`Robert'); DROP TABLE tenants;--`, `"quoted" \ $1 {{x}}`, `<script>alert(1)</script>`, `株式会社🚀`, `שלום עולם`, `%_%`, `--`} {
		i.mustDo(t, "tenant", "rename", "acme", "--name="+name)
		var shown tenant
		if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "show", "acme", "--json")), &shown); err != nil || shown.Name != name {
			t.Errorf("named %q, shown %q (%v)", name, shown.Name, err)
		}
	}
	for name, value := range hostile {
		if name == "NUL" || name == "not UTF-8" {
			continue
		}
		i.mustDo(t, "tenant", "setting", "set", "--", "acme", "note", value)
		var kept any
		if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "setting", "get", "acme", "note", "--json")), &kept); err != nil {
			t.Fatal(err)
		}
		want := any(value)
		if json.Valid([]byte(value)) {
			_ = json.Unmarshal([]byte(value), &want) // valid
		}
		if diff := cmp.Diff(want, kept); diff != "" {
			t.Errorf("%s was not kept: %s", name, diff)
		}
	}
}

func searchesForHostileTextFindNothing(t *testing.T, i installation) {
	t.Helper()
	for name, value := range hostile {
		if name == "NUL" || name == "not UTF-8" || name == "empty" || name == "space" || name == "hyphen" {
			continue
		}
		for _, flag := range []string{"--search=", "--plan="} {
			if out := i.mustDo(t, "tenant", "list", "--json", flag+value); out != "[]\n" {
				t.Errorf("%s as %s finds %s", name, flag, out)
			}
		}
		if out := i.mustDo(t, "user", "list", "--json", "--search="+value); out != "[]\n" {
			t.Errorf("%s finds users %s", name, out)
		}
	}
}

func TestAStoppedCommandEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until it is read, the server does not see the client go
		cancel()
		<-r.Context().Done()
	}))
	defer silent.Close()
	env := environment{"HASURA_GRAPHQL_ENDPOINT": silent.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
	got := env.nselfWith(ctx, "tenant", "list")
	if got.code != exitRefused || !strings.HasPrefix(got.err, "nself: stopped while waiting for "+silent.URL) {
		t.Errorf("%+v", got)
	}
}
