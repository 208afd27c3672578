package signin

import "strings"

const maxRedirect = 2000

// Lead says where a browser that is told to go to target would arrive: at the host it is
// on or the public one ("", true), or at the host below the base domain that slug names,
// which may be no tenant's. Anywhere else it must not be sent (false). The empty target is
// the host it is on.
//
// Browsers forgive what no parser of ours should follow (they drop tabs and line ends, read
// "\" as "/", take "https:evil" for a host: the WHATWG's URL standard), so nothing is
// parsed: target begins with one slash, or with the very scheme and host of this
// installation.
func (s Site) Lead(target string) (slug string, ok bool) {
	switch {
	case target == "":
		return "", true
	case len(target) > maxRedirect, strings.ContainsFunc(target, treacherous):
		return "", false
	case target[0] == '/' && !strings.HasPrefix(target, "//"):
		return "", true
	}
	scheme, rest, _ := strings.Cut(target, "://")
	if !strings.EqualFold(scheme, s.scheme) {
		return "", false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	host, port := s.split(strings.ToLower(rest))
	if port != s.port || host == "" {
		return "", false
	}
	if host == s.host {
		return "", true
	}
	label, below := strings.CutSuffix(host, "."+s.base)
	if !below || label == "" || strings.ContainsFunc(label, notInLabel) {
		return "", false
	}
	return label, true
}

// treacherous are the characters that no URL holds unescaped, and the backslash.
func treacherous(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

func notInLabel(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
