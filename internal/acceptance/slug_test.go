package acceptance

import (
	"regexp"
	"strings"
	"sync"
	"testing"
)

const createWithSlug = `mutation($n: String!, $s: String) { createTenant(name: $n, slug: $s) { id slug } }`

func TestSlugIsALowerCaseDNSLabelOf2To63(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for _, slug := range []string{
		"", "a", "A", "Ab", "-a", "a-", "-", "--", "a_b", "a.b", "a b", " ab", "ab ", "xn--abc", "xn--", "é1", "ａｂ", "a\u202eb", "a\x00b", "a\nb",
		strings.Repeat("a", 64), strings.Repeat("a", 10_000), "a'b", `a"b`, "a;b", "a/b", "a\\b", "%61b", "a\u0301b", "аcme", "1\u0660",
	} {
		e := u.refused(t, createWithSlug, args{"n": "Moon", "s": slug})
		if e.code() != "invalid-input" {
			t.Errorf("slug %q: code %q, want invalid-input: %s", slug, e.code(), e.Message)
		}
	}
	for _, slug := range []string{"a1", "1a", "a-b", "a--b", strings.Repeat("z", 63)} {
		slug = slug[:min(len(slug), 50)] + unique("-s")
		if got := u.must(t, createWithSlug, args{"n": "Moon", "s": slug}).text(t, "createTenant.slug"); got != slug {
			t.Errorf("slug %q became %q", slug, got)
		}
	}
}

// Everything takes an id or a slug, so a slug must never read as an id.
func TestSlugNeverLooksLikeATenantId(t *testing.T) {
	t.Parallel()
	theirs := newHouse(t)
	u := newUser(t)
	u.refused(t, createWithSlug, args{"n": "Moon", "s": theirs.id})
	u.refused(t, createWithSlug, args{"n": "Moon", "s": nobody})
	mine := newHouse(t)
	mine.owner.refused(t, `mutation($s: String) { updateTenant(slug: $s) { slug } }`, args{"s": theirs.id})
}

// Not in parallel: another test could take what is proposed before this one does.
func TestReservedOrTakenSlugIsRefusedWithASentenceAndAFreeOne(t *testing.T) {
	u, h := newUser(t), newHouse(t)
	for _, slug := range []string{"www", "api", "admin", "app", "auth", "mail", "static", "assets", "status", "hasura", "console"} {
		wantProposal(t, u, slug, "slug-reserved", "reserved")
	}
	wantProposal(t, u, h.slug, "slug-taken", "taken")
	operator().must(t, `mutation($s: String!) { deleteTenant(tenant: $s, confirmSlug: $s) { id } }`, args{"s": h.slug})
	wantProposal(t, u, h.slug, "slug-taken", "taken")
}

func wantProposal(t *testing.T, u person, slug, code, word string) {
	t.Helper()
	e := u.refused(t, createWithSlug, args{"n": "Moon", "s": slug})
	proposal, _ := e.Extensions["suggestion"].(string)
	if e.code() != code || !strings.Contains(e.Message, word) || !strings.Contains(e.Message, quoted(slug)) || !strings.Contains(e.Message, quoted(proposal)) {
		t.Errorf("slug %q: %q %v", slug, e.Message, e.Extensions)
		return
	}
	u.must(t, createWithSlug, args{"n": "Moon", "s": proposal})
}

func TestSlugIsMadeFromTheNameWhereAbsent(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])$`)
	seen := map[string]bool{}
	for _, name := range []string{
		"Straße & Söhne", "Straße & Söhne", "O'Brien \"Bar\"", "😀", "😀😀", "日本", "admin", "ADMIN", "xn--evil", "a", "-", strings.Repeat("ab ", 66),
		"Robert'); DROP TABLE tenants.tenants;--", "1", "...", "www", strings.Repeat("é", 200), "مرحبا", strings.Repeat("q", 63), strings.Repeat("q", 63),
	} {
		slug := u.must(t, createWithSlug, args{"n": name}).text(t, "createTenant.slug")
		if !label.MatchString(slug) || strings.HasPrefix(slug, "xn--") || slug == "admin" || slug == "www" {
			t.Errorf("name %q became slug %q", name, slug)
		}
		if seen[slug] {
			t.Errorf("slug %q was given twice", slug)
		}
		seen[slug] = true
	}
}

func TestOneOfManyAtOnceGetsTheSlug(t *testing.T) {
	t.Parallel()
	users := make([]person, 8)
	for i := range users {
		users[i] = newUser(t)
	}
	slug := unique("wanted")
	codes := make([]string, len(users))
	made := make([]string, len(users))
	var wg sync.WaitGroup
	for i, u := range users {
		wg.Go(func() {
			r := u.ask(t, createWithSlug, args{"n": "Moon", "s": slug})
			if len(r.Errors) > 0 {
				codes[i] = r.Errors[0].code()
			}
			made[i] = u.ask(t, createWithSlug, args{"n": "Same Name Everywhere"}).raw
		})
	}
	wg.Wait()
	winners := 0
	for i, code := range codes {
		switch code {
		case "":
			winners++
		case "slug-taken":
		default:
			t.Errorf("refused with %q", code)
		}
		if strings.Contains(made[i], `"errors"`) {
			t.Errorf("a slug made from a name must never clash: %s", made[i])
		}
	}
	if winners != 1 {
		t.Errorf("%d got the slug", winners)
	}
}
