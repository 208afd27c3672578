package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
)

// plain replaces what differs from run to run.
func plain(text string) string {
	return anyTime.ReplaceAllString(anyID.ReplaceAllString(text, "<id>"), "<time>")
}

type line struct {
	args string // separated by "|"
	code int
	want string // all of stdout, or words of stderr where code is not 0
}

// play runs the lines one after the other.
func play(t *testing.T, env environment, lines []line) {
	t.Helper()
	for _, l := range lines {
		got := env.nself(t, strings.Split(l.args, "|")...)
		diff := cmp.Diff(l.want, plain(got.out))
		if l.code != exitDone && strings.HasPrefix(got.err, "nself: ") && strings.Contains(plain(got.err), l.want) && got.out == "" {
			diff = ""
		}
		if got.code != l.code || diff != "" {
			t.Errorf("nself %s: exit %d (want %d) %s\n%s", strings.ReplaceAll(l.args, "|", " "), got.code, l.code, got.err, diff)
		}
	}
}

func TestTheOperatorOfAnInstallation(t *testing.T) {
	proveInTurn(t, []rule{
		{"init and doctor find it well", initAndDoctorFindItWell},
		{"hostile arguments are refused and change nothing", hostileArgumentsAreRefused},
		{"searches for hostile text find nothing", searchesForHostileTextFindNothing},
		{"a session from the first tenant to the last command", theOperatorsSession},
		{"the same key answers with the same tenant", theSameKeyAnswersWithTheSameTenant},
		{"a tenant is named by id as well as by slug", aTenantIsNamedByIDAsWellAsBySlug},
	})
}

// The last two take the demo tenants away.
func TestThePeopleOfAnInstallation(t *testing.T) {
	proveInTurn(t, []rule{
		{"a minted token acts for its user only", aMintedTokenActsForItsUserOnly},
		{"what looks hostile but is legal is kept to the letter", whatLooksHostileIsKept},
		{"an owner's token runs their tenant", anOwnersTokenRunsTheirTenant},
		{"delete asks for the slug at a terminal", deleteAsksForTheSlugAtATerminal},
	})
}

func theOperatorsSession(t *testing.T, i installation) {
	t.Helper()
	play(t, i.environment, []line{
		{"user|create|Ada@Example.com|--name|Ada Lovelace", 0, "✓ User created: ada@example.com (ID: <id>)\n"},
		{"user|create|ada@example.com", 1, "nself: there is a user with the e-mail ada@example.com already\n"},
		{"tenant|create|Moon Base|--slug|moon|--plan|pro|--owner|eva@example.com", 1, "nself: no user with the e-mail eva@example.com: create it with nself user create eva@example.com\n"},
		{"tenant|create|Moon Base|--slug|moon|--plan|pro|--owner|ada@example.com|--strategy|schema|--idempotency-key|k1", 0,
			"✓ Tenant created: moon (ID: <id>)\n  Owner: ada@example.com\n  Plan:  pro\n  URL:   https://moon.localhost\n"},
		{"tenant|create|Moon Base|--slug|moon|--plan|pro|--owner|ada@example.com|--strategy|schema|--idempotency-key|k1", 0,
			"✓ Tenant created: moon (ID: <id>)\n  Owner: ada@example.com\n  Plan:  pro\n  URL:   https://moon.localhost\n"},
		{"tenant|create|Moon Base|--slug|moon|--owner|ada@example.com", 1, "\"moon-2\" is free"},
		{"tenant|create|Moon Base|--slug|admin|--owner|ada@example.com", 1, "\"admin-2\" is free"},
		{"tenant|list", 0, "ID                                    SLUG    NAME       STATUS  PLAN\n" +
			"<id>  acme    Acme Corp  active  pro\n<id>  moon    Moon Base  active  pro\n<id>  techco  TechCo     active  free\n"},
		{"tenant|list|--plan|free", 0, "ID                                    SLUG    NAME    STATUS  PLAN\n<id>  techco  TechCo  active  free\n"},
		{"tenant|list|--search|ON b|--limit|5", 0, "ID                                    SLUG  NAME       STATUS  PLAN\n<id>  moon  Moon Base  active  pro\n"},
		{"tenant|show|moon", 0, "ID:               <id>\nSlug:             moon\nName:             Moon Base\nStatus:           active\nPlan:             pro\n" +
			"Owner:            ada@example.com (<id>)\nMembers:          1\nMax Users:        50\nMax Storage:      100 GiB\nMax API Requests: 100000\nCreated:          <time>\n"},
		{"tenant|show|sun", 1, "nself: there is no tenant \"sun\" here; nself tenant list shows them\n"},

		{"user|create|bob@example.com", 0, "✓ User created: bob@example.com (ID: <id>)\n"},
		{"tenant|member|add|moon|bob@example.com", 0, "✓ Member added: bob@example.com to moon as member\n"},
		{"tenant|member|add|moon|bob@example.com|admin", 1, "is a member already"},
		{"tenant|member|update|moon|bob@example.com|guest", 0, "✓ Member updated: bob@example.com in moon is guest\n"},
		{"tenant|member|update|moon|bob@example.com|king", 1, "owner, admin, member or guest"},
		{"tenant|member|list|moon", 0, "USER ID                               EMAIL            NAME          ROLE   JOINED\n" +
			"<id>  ada@example.com  Ada Lovelace  owner  <time>\n<id>  bob@example.com  -             guest  <time>\n"},
		{"tenant|member|remove|moon|ada@example.com", 1, "is the last owner"},
		{"tenant|member|remove|moon|bob@example.com", 0, "✓ Member removed: bob@example.com from moon (was guest)\n"},
		{"tenant|member|remove|moon|bob@example.com", 1, "nself: moon has no member with the e-mail bob@example.com; nself tenant member list moon shows them\n"},
		{"tenant|member|invite|moon|Carol@example.com|guest", 0, "✓ Invited: carol@example.com to moon as guest (ID: <id>)\n  Mailed to: carol@example.com\n  Expires:   <time>\n"},
		{"tenant|member|list|sun", 1, "nself: there is no tenant \"sun\" here; nself tenant list shows them\n"},

		{"tenant|setting|set|moon|theme|dark", 0, "✓ Setting set: theme = \"dark\"\n"},
		{"tenant|setting|set|moon|seats|{\"n\": 12}", 0, "✓ Setting set: seats = {\"n\":12}\n"},
		{"tenant|setting|get|moon|theme", 0, "dark\n"},
		{"tenant|setting|get|moon|theme|--json", 0, "\"dark\"\n"},
		{"tenant|setting|get|moon|seats", 0, "{\"n\":12}\n"},
		{"tenant|setting|list|moon", 0, "KEY        VALUE     UPDATED\nlocale     \"en\"      <time>\nseats      {\"n\":12}  <time>\ntheme      \"dark\"    <time>\ntime_zone  \"UTC\"     <time>\n"},
		{"tenant|setting|remove|moon|theme", 0, "✓ Setting removed: theme\n"},
		{"tenant|setting|get|moon|theme", 1, "nself: moon has no setting \"theme\"; nself tenant setting list moon shows them\n"},
		{"tenant|setting|remove|moon|theme", 1, "no setting \"theme\""},

		{"tenant|stats|moon", 0, "ID:               <id>\nSlug:             moon\nStatus:           active\nPlan:             pro\nMembers:          1 of 50\nOwners:           1\nAdmins:           0\n" +
			"Guests:           0\nOpen Invitations: 1\nSettings:         3\nActive Sessions:  0\nAudit Entries:    8\nLast Activity:    <time>\nCreated:          <time>\n"},
		{"tenant|stats", 0, "Tenants:   3\nActive:    3\nSuspended: 0\nDeleted:   0\nMembers:   9\nUsers:     10\n"},

		{"tenant|suspend|moon|--reason|unpaid", 0, "✓ Tenant suspended: moon (ID: <id>)\n  Name:      Moon Base\n  Status:    suspended\n  Suspended: <time>\n  Reason:    unpaid\n"},
		{"tenant|suspend|moon", 1, "suspended already"},
		{"tenant|list|--status|suspended", 0, "ID                                    SLUG  NAME       STATUS     PLAN\n<id>  moon  Moon Base  suspended  pro\n"},
		{"tenant|activate|moon", 0, "✓ Tenant activated: moon (ID: <id>)\n  Name:   Moon Base\n  Status: active\n"},
		{"tenant|rename|moon|--name|Luna 🌙|--slug|luna", 0, "✓ Tenant renamed: luna (ID: <id>)\n  Name:   Luna 🌙\n  Status: active\n"},
		{"tenant|delete|luna", 2, "nself: deleting \"luna\" needs --yes where there is no terminal to ask on\n"},
		{"tenant|delete|luna|--yes", 0, "✓ Tenant deleted: luna (ID: <id>)\n  Name:             Luna 🌙\n  Status:           deleted\n  Deleted:          <time>\n  Restorable until: <time>\n"},
		{"tenant|restore|luna", 0, "✓ Tenant restored: luna (ID: <id>)\n  Name:   Luna 🌙\n  Status: active\n"},
		{"token|mint|bob@example.com|--tenant|luna", 1, "no member of a tenant \"luna\""},
	})
}

func theSameKeyAnswersWithTheSameTenant(t *testing.T, i installation) {
	t.Helper()
	env := i.environment
	var first, again tenant
	args := []string{"tenant", "create", "Moon", "--owner", "owner@acme.example", "--idempotency-key", "k", "--json"}
	for _, into := range []*tenant{&first, &again} {
		if err := json.Unmarshal([]byte(env.mustDo(t, args...)), into); err != nil {
			t.Fatal(err)
		}
	}
	if first.ID == "" || first.ID != again.ID || first.Slug != "moon" {
		t.Errorf("%+v, then %+v", first, again)
	}
	env.mustRefuse(t, exitRefused, "key", "tenant", "create", "Mars", "--owner", "owner@acme.example", "--idempotency-key", "k")
}

func aTenantIsNamedByIDAsWellAsBySlug(t *testing.T, i installation) {
	t.Helper()
	id := i.settings.Get("ACME_TENANT_ID")
	for _, args := range []string{"show", "stats", "usage", "suspend", "activate", "member list", "setting list", "limit list"} {
		words := append([]string{"tenant"}, strings.Fields(args)...)
		byID := i.mustDo(t, append(words, id)...)
		if args == "suspend" || args == "activate" {
			continue
		}
		if bySlug := i.mustDo(t, append(words, "acme")...); byID != bySlug {
			t.Errorf("%s: by id\n%s\nby slug\n%s", args, byID, bySlug)
		}
	}
	i.mustDo(t, "tenant", "delete", id, "--yes")
	i.mustDo(t, "tenant", "restore", id)
}

func aMintedTokenActsForItsUserOnly(t *testing.T, i installation) {
	t.Helper()
	got := i.nself(t, "token", "mint", "member@acme.example", "--tenant", "acme", "--ttl", "1h")
	token := strings.TrimSpace(got.out)
	if got.code != exitDone || strings.Count(token, ".") != 2 || strings.Contains(token, "\n") || !strings.Contains(got.err, "as tenant_member, until ") {
		t.Fatalf("%+v", got)
	}
	user := environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
	if out := user.mustDo(t, "tenant", "list", "--token", token); plain(out) != "ID                                    SLUG  NAME       STATUS  PLAN\n<id>  acme  Acme Corp  active  pro\n" {
		t.Errorf("%s", out)
	}
	if out := user.mustDo(t, "tenant", "show", "acme", "--token", token); strings.Contains(out, "Owner") || !strings.Contains(out, "Max Users:        50") {
		t.Errorf("%s", out)
	}
	user.mustRefuse(t, exitRefused, `there is no tenant "techco" here`, "tenant", "show", "techco", "--token", token)
	user.mustRefuse(t, exitRefused, "the role of this token may not use suspendTenant", "tenant", "suspend", "acme", "--token", token)
	user.mustRefuse(t, exitRefused, "the role of this token may not use mintToken", "token", "mint", i.settings.Get("ACME_OWNER_ID"), "--token", token)
	user.mustRefuse(t, exitRefused, "mint another token", "tenant", "list", "--token", token+"x")
	i.mustDo(t, "tenant", "member", "remove", "acme", "member@acme.example")
	user.mustRefuse(t, exitRefused, `there is no tenant "acme" here`, "tenant", "show", "acme", "--token", token)
}

func anOwnersTokenRunsTheirTenant(t *testing.T, i installation) {
	t.Helper()
	env := environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
	as := func(line string) []string {
		return append(strings.Split(line, "|"), "--token", i.settings.Get("ACME_OWNER_TOKEN"))
	}
	env.mustDo(t, as("tenant|stats")...)
	env.mustDo(t, as("tenant|setting|set|acme|theme|dark")...)
	env.mustDo(t, as("tenant|member|update|acme|guest@acme.example|member")...)
	env.mustDo(t, as("tenant|member|invite|acme|zoe@example.com")...)
	env.mustDo(t, as("tenant|rename|acme|--name|Acme Inc")...)
	env.mustDo(t, as("tenant|create|Second Tenant")...)
	before := i.contents(t)
	for _, line := range []string{
		"tenant|rename|techco|--name|Mine", "tenant|setting|set|techco|a|b", "tenant|setting|list|techco", "tenant|member|list|techco",
		"tenant|member|remove|techco|" + i.settings.Get("TECHCO_GUEST_ID"), "tenant|delete|techco|--yes", "tenant|member|add|acme|owner@techco.example",
		"tenant|create|Third|--plan|enterprise", "tenant|stats|techco", "tenant|activate|acme",
	} {
		env.mustRefuse(t, exitRefused, "nself: ", as(line)...)
	}
	if diff := cmp.Diff(before, i.contents(t)); diff != "" {
		t.Errorf("refused commands changed the database:\n%s", diff)
	}
	env.mustDo(t, as("tenant|delete|acme|--yes")...)
}
