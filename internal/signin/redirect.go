package signin

import (
	"net/url"
	"strings"
)

// site is the hosts of the installation: the public one and the tenants'.
type site struct {
	public string // the public URL, without a final slash
	scheme string
	host   string // the public one, lower case, without a port
	port   string // ":8443"; empty for the scheme's own
	base   string // lower case
}

func newSite(publicURL, baseDomain string) site {
	s := site{public: strings.TrimRight(publicURL, "/"), base: strings.ToLower(baseDomain)}
	if parsed, err := url.Parse(s.public); err == nil {
		s.scheme = parsed.Scheme
		s.host, s.port = s.split(strings.ToLower(parsed.Host))
	}
	return s
}

// split parts the port from an authority, as a browser compares it: the scheme's own port
// is none.
func (s site) split(authority string) (host, port string) {
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

const maxRedirect = 2000

// destination is where a redirect leads.
type destination int

const (
	refusedRedirect destination = iota
	ownHost                     // a path, or a page of the public host
	tenantHost                  // a page of the host of a tenant, if there is one of that name
)

// lead says where a browser that is told to go to target would arrive; with tenantHost,
// the slug. Browsers forgive what no parser of ours should follow (they drop tabs and
// line ends, read "\" as "/", take "https:evil" for a host: the WHATWG's URL standard), so
// nothing is parsed: target begins with one slash, or with the very scheme and host of
// this installation.
func (s site) lead(target string) (destination, string) {
	switch {
	case target == "":
		return ownHost, ""
	case len(target) > maxRedirect, strings.ContainsFunc(target, treacherous):
		return refusedRedirect, ""
	case target[0] == '/' && !strings.HasPrefix(target, "//"):
		return ownHost, ""
	}
	scheme, rest, _ := strings.Cut(target, "://")
	if !strings.EqualFold(scheme, s.scheme) {
		return refusedRedirect, ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	host, port := s.split(strings.ToLower(rest))
	if port != s.port || host == "" {
		return refusedRedirect, ""
	}
	if host == s.host {
		return ownHost, ""
	}
	if slug, below := strings.CutSuffix(host, "."+s.base); below && !strings.ContainsFunc(slug, notInLabel) && slug != "" {
		return tenantHost, slug
	}
	return refusedRedirect, ""
}

// treacherous are the characters that no URL holds unescaped, and the backslash.
func treacherous(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

func notInLabel(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
