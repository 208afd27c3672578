package signin

import (
	"net/url"
	"strings"
)

// Site is the hosts of an installation: the public one and the tenants'. The addresses it
// makes are of settings and the database alone: whoever asks chooses no part of them.
type Site struct {
	public string // the public URL, without a final slash
	scheme string
	host   string // the public one, lower case, without a port
	port   string // ":8443"; empty for the scheme's own
	base   string // lower case
}

// NewSite makes a Site. publicURL is where /auth is reached without a tenant: scheme, host
// and port. A tenant's host is <slug>.<baseDomain>, with publicURL's scheme and port.
func NewSite(publicURL, baseDomain string) Site {
	s := Site{public: strings.TrimRight(publicURL, "/"), base: strings.ToLower(baseDomain)}
	if parsed, err := url.Parse(s.public); err == nil {
		s.scheme = parsed.Scheme
		s.host, s.port = s.split(strings.ToLower(parsed.Host))
	}
	return s
}

// Host is the name, without a port, of the host of the tenant with this slug; with "" the
// public one.
func (s Site) Host(slug string) string {
	if slug == "" {
		return s.host
	}
	return slug + "." + s.base
}

// Page is the address of a page that a secret opens, at the host of the tenant with this
// slug or, with "", at the public one.
func (s Site) Page(slug, path, secret string) string {
	at := s.public
	if slug != "" {
		at = s.scheme + "://" + s.Host(slug) + s.port
	}
	return at + PagePath(path, secret)
}

// PagePath is such an address on the host that it is followed at.
func PagePath(path, secret string) string { return path + "?token=" + url.QueryEscape(secret) }

// split parts the port from an authority, as a browser compares it: the scheme's own port
// is none.
func (s Site) split(authority string) (host, port string) {
	end := strings.LastIndexByte(authority, ':')
	if end < 0 || strings.HasSuffix(authority, "]") { // an IPv6 address has colons of its own
		return authority, ""
	}
	host, port = authority[:end], authority[end:]
	if s.scheme == "https" && port == ":443" || s.scheme == "http" && port == ":80" {
		port = ""
	}
	return host, port
}
