package tenant

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/text"
)

const maxSlug = 63

// A slug is a DNS label, for it becomes <slug>.<BASE_DOMAIN> (RFC 1123, section 2.1).
var slugForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$`)

// reserved are the names an installation needs for itself, and those that would let a
// customer pose as it.
var reserved = []string{
	"about", "abuse", "account", "accounts", "admin", "administrator", "api", "app", "apps", "assets", "auth",
	"billing", "blog", "cdn", "console", "dashboard", "default", "demo", "dev", "docs", "edge", "email", "files",
	"ftp", "graphql", "hasura", "help", "host", "hostmaster", "imap", "internal", "localhost", "login", "logout",
	"mail", "metrics", "mx", "ns", "ns1", "ns2", "nself", "oauth", "operator", "owner", "pop", "postmaster",
	"private", "public", "register", "root", "security", "signin", "signup", "smtp", "ssl", "staging", "static",
	"status", "storage", "support", "system", "tenant", "tenants", "test", "tls", "webhook", "webhooks",
	"webmaster", "www",
}

// checkSlug tells what is wrong with a slug somebody chose.
func checkSlug(slug string, problems *fault.Problems) {
	const field = "slug"
	switch {
	case len(slug) < 2 || len(slug) > maxSlug:
		problems.Add(field, "must have 2 to 63 characters; %.80q has %d", slug, len(slug))
	case !slugForm.MatchString(slug):
		problems.Add(field, "may hold only a-z, 0-9 and inner hyphens; %.80q does not", slug)
	case strings.HasPrefix(slug, "xn--"):
		problems.Add(field, "must not begin with xn--, which marks an encoded name; got %.80q", slug)
	case isID(slug):
		problems.Add(field, "must not look like an id: tenants are named by id or slug; got %.80q", slug)
	}
}

func isID(slug string) bool {
	_, err := id.Parse[id.Tenant](slug)
	return err == nil
}

func isReserved(slug string) bool { return slices.Contains(reserved, slug) }

// slugFrom makes a slug from a name: plain letters, hyphens for the rest, "tenant"
// where nothing is left, and before what would pass for an id. What it makes may be reserved or taken.
func slugFrom(name string) string {
	var made strings.Builder
	for _, r := range strings.ToLower(text.Plain(name)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			made.WriteRune(r)
		case made.Len() > 0 && !strings.HasSuffix(made.String(), "-"):
			made.WriteByte('-')
		}
	}
	slug := made.String()
	slug = strings.Trim(slug[:min(len(slug), maxSlug)], "-")
	if len(slug) < 2 || isID(slug) {
		slug = strings.Trim("tenant-"+slug, "-")
	}
	return slug
}

// numbered appends a number to a slug, cutting the slug so that the whole still fits.
func numbered(slug, number string) string {
	keep := min(len(slug), maxSlug-1-len(number))
	return strings.TrimRight(slug[:keep], "-") + "-" + number
}
