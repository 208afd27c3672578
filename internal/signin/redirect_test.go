package signin

import (
	"net/url"
	"strings"
	"testing"
)

var sites = []Site{
	NewSite("https://auth.example.com", "example.com"),
	NewSite("http://localhost:8080", "localhost"),
	NewSite("http://[::1]:8080", "localhost"),
	NewSite("https://Auth.Example.com:443/", "Example.com"),
}

type destination int

const (
	refusedRedirect destination = iota
	ownHost
	tenantHost
)

func lead(s Site, target string) destination {
	switch slug, ok := s.Lead(target); {
	case !ok:
		return refusedRedirect
	case slug != "":
		return tenantHost
	}
	return ownHost
}

func TestARedirectStaysHere(t *testing.T) {
	s := NewSite("https://auth.example.com", "example.com")
	for target, want := range map[string]destination{
		"": ownHost, "/": ownHost, "/projects/1?tab=2#x": ownHost, "/a//b": ownHost, "/?next=https://evil.example": ownHost,
		"/@evil.example": ownHost, "/%2f%2fevil.example": ownHost, "/../..//evil.example": ownHost,
		"https://auth.example.com": ownHost, "https://auth.example.com/x": ownHost, "HTTPS://AUTH.Example.com/x": ownHost,
		"https://auth.example.com:443/x": ownHost, "https://auth.example.com?x": ownHost, "https://auth.example.com#x": ownHost,
		"https://acme.example.com/x": tenantHost, "https://ACME.example.com:443": tenantHost,

		"//evil.example": refusedRedirect, "///evil.example": refusedRedirect, `/\evil.example`: refusedRedirect,
		`\\evil.example`: refusedRedirect, `\/evil.example`: refusedRedirect, "/\t/evil.example": refusedRedirect,
		"/\n/evil.example": refusedRedirect, "\t//evil.example": refusedRedirect, " //evil.example": refusedRedirect,
		"/ x": refusedRedirect, "/\x00": refusedRedirect, "/\x7f": refusedRedirect, "/é": refusedRedirect, "/\u2028": refusedRedirect,
		"projects": refusedRedirect, "?x": refusedRedirect, "#x": refusedRedirect, "./x": refusedRedirect, "../x": refusedRedirect,
		"https:evil.example": refusedRedirect, "https:/evil.example": refusedRedirect, "https:///evil.example": refusedRedirect,
		"https:/auth.example.com": refusedRedirect, "https:auth.example.com": refusedRedirect, "://auth.example.com": refusedRedirect,
		"http://auth.example.com": refusedRedirect, "http://auth.example.com:443": refusedRedirect,
		"https://evil.example": refusedRedirect, "https://evil.example/auth.example.com": refusedRedirect,
		"https://auth.example.com@evil.example": refusedRedirect, "https://auth.example.com:x@evil.example": refusedRedirect,
		"https://user@auth.example.com": refusedRedirect, "https://@auth.example.com": refusedRedirect,
		`https://auth.example.com\@evil.example`: refusedRedirect, `https://evil.example\.example.com`: refusedRedirect,
		"https://auth.example.com.": refusedRedirect, "https://acme.example.com.": refusedRedirect,
		"https://auth.example.com.evil.example": refusedRedirect, "https://evilexample.com": refusedRedirect,
		"https://example.com": refusedRedirect, "https://.example.com": refusedRedirect, "https://a.b.example.com": refusedRedirect,
		"https://a%2eb.example.com": refusedRedirect, "https://%61uth.example.com": refusedRedirect, "https://evil.example%2f.example.com": refusedRedirect,
		"https://auth.example.com:8443": refusedRedirect, "https://auth.example.com:": refusedRedirect, "https://acme.example.com:8443": refusedRedirect,
		"https://auth.example.com:0443": refusedRedirect, "https://[::1]": refusedRedirect, "https://[::1].example.com": refusedRedirect,
		"https://ａｃｍｅ.example.com": refusedRedirect, "https://acme。example.com": refusedRedirect, "httpſ://auth.example.com": refusedRedirect,
		"https://ac_me.example.com": refusedRedirect, "https://acme.example.com;x": refusedRedirect, "https://acme.example.com&x": refusedRedirect,
		"javascript:alert(1)": refusedRedirect, "JavaScript://auth.example.com/%0aalert(1)": refusedRedirect, "java\nscript:alert(1)": refusedRedirect,
		"data:text/html,x": refusedRedirect, "blob:https://auth.example.com/x": refusedRedirect, "view-source:https://auth.example.com": refusedRedirect,
		"ftp://auth.example.com": refusedRedirect, "https\t://auth.example.com": refusedRedirect, "https://auth.exa\tmple.com": refusedRedirect,
		"/" + strings.Repeat("x", 2000): refusedRedirect, "/" + strings.Repeat("x", 1999): ownHost,
	} {
		if got := lead(s, target); got != want {
			t.Errorf("%.80q: %d, want %d", target, got, want)
		}
	}
}

func TestARedirectKeepsThePortOfThePublicAddress(t *testing.T) {
	s := NewSite("http://[::1]:8080", "localhost")
	for target, want := range map[string]destination{
		"http://[::1]:8080/x": ownHost, "http://acme.localhost:8080/": tenantHost,
		"http://[::1]": refusedRedirect, "http://[::1]:80": refusedRedirect, "http://[::2]:8080": refusedRedirect, "http://[0:0::1]:8080": refusedRedirect,
		"http://acme.localhost": refusedRedirect, "https://acme.localhost:8080": refusedRedirect, "http://[::1%25x]:8080": refusedRedirect,
	} {
		if got := lead(s, target); got != want {
			t.Errorf("%q: %d, want %d", target, got, want)
		}
	}
}

// browse is how a browser reads what it is told to go to, where that differs from
// net/url: it trims, drops tabs and line ends, reads "\" as "/", and after the scheme of
// the page it is on takes any number of slashes for two.
func browse(target, scheme string) string {
	target = strings.TrimFunc(target, func(r rune) bool { return r <= ' ' })
	target = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(target)
	if rest, ok := cutPrefixFold(target, scheme+":"); ok {
		return scheme + "://" + strings.TrimLeft(rest, "/")
	}
	if strings.HasPrefix(target, "//") {
		return "//" + strings.TrimLeft(target, "/")
	}
	return target
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// origin is what a browser compares, written one way.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + " " + strings.ToLower(u.Hostname()) + " " + port
}

func FuzzARedirectThatIsTakenStaysOnOneOfOurHosts(f *testing.F) {
	for _, seed := range []string{
		"/x", "//evil.example", `/\evil.example`, "https:evil.example", "https://auth.example.com@evil.example", "/\t/evil.example",
		"https://acme.example.com:443/x", "http://acme.localhost:8080", "http://[::1]:8080/", "javascript:alert(1)", "https://a%2eb.example.com",
		"https://auth.example.com.", "/..//evil.example", "/.//evil.example", "HTTPS://AUTH.EXAMPLE.COM", "https:///auth.example.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		for _, s := range sites {
			slug, ok := s.Lead(target)
			if !ok {
				continue
			}
			page, err := url.Parse(s.public + VerifyPath)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := url.Parse(browse(target, s.scheme))
			if err != nil {
				continue // net/url takes less than a browser; what it cannot read is checked below
			}
			want := *page
			if slug != "" {
				want.Host = slug + "." + s.base + s.port
			}
			if got := page.ResolveReference(parsed); origin(got) != origin(&want) || got.User != nil {
				t.Errorf("%q on %s leads to %s", target, s.public, got)
			}
		}
		// Whatever net/url makes of it: a path begins with one slash, and an address names its host at once.
		if lead(sites[0], target) == ownHost && target != "" {
			lower := strings.ToLower(target)
			path := strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//")
			if strings.ContainsAny(target, "\\\t\r\n \x00") || !path && !strings.HasPrefix(lower, "https://auth.example.com") {
				t.Errorf("%q was taken", target)
			}
		}
	})
}
