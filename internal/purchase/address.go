package purchase

import (
	"strings"

	"github.com/nself/tenancy/internal/fault"
)

const maxURL = 2000

// checkURL refuses what is no address of a page as a browser reads it. The empty one is
// none.
func checkURL(field, address string, problems *fault.Problems) {
	switch {
	case address == "":
	case len(address) > maxURL:
		problems.Add(field, "has %d characters; at most %d are allowed", len(address), maxURL)
	case strings.ContainsFunc(address, treacherous) || !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://"):
		problems.Add(field, "is %.80q; it must be an absolute https address", address)
	}
}

// treacherous are the characters that no address holds unescaped, and the backslash, which
// browsers read as a slash.
func treacherous(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

// leads says whether a browser that is sent to an address that checkURL passed arrives at
// the base domain or at a host below it, over TLS but on this very machine.
func leads(address, base string) bool {
	scheme, rest, _ := strings.Cut(address, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	host, port, _ := strings.Cut(rest, ":")
	if strings.Trim(port, "0123456789") != "" {
		return false
	}
	local := base == "localhost" || strings.HasSuffix(base, ".localhost")
	if scheme != "https" && !local {
		return false
	}
	return host == base || strings.HasSuffix(host, "."+base) && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// checkReturn refuses an address that leads elsewhere; the empty one becomes home.
func (d *Desk) checkReturn(field string, address *string, home string, problems *fault.Problems) {
	if *address == "" {
		*address = home
		return
	}
	if !leads(*address, d.config.BaseDomain) {
		problems.Add(field, "is %.80q; it must lead to %s or a host below it", *address, d.config.BaseDomain)
	}
}
