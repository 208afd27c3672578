package tokens

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestAHostIsComparedInOneForm(t *testing.T) {
	for header, want := range map[string]string{
		"acme.example.com": "acme.example.com", "ACME.Example.COM:8443": "acme.example.com", "acme.example.com.": "acme.example.com",
		"acme.example.com.:443": "acme.example.com", "localhost:8080": "localhost", "nself_server:8080": "nself_server",
		"127.0.0.1:8080": "127.0.0.1", "[::1]:8080": "::1", "[2001:DB8::1]": "2001:db8::1", "acme.example.com:": "acme.example.com",
		"": "", ".": "", "acme..example.com": "", "acme.example.com..": "", "-acme.example.com": "", "acme.example.com:80:80": "",
		"acme.example.com:http": "", "acme.example.com/x": "", "acme.example.com@evil.example": "", "acme.example.com\x00": "",
		"acme.example.com evil.example": "", "ac\u212ae.example.com": "", "äcme.example.com": "", "[::1": "", "[acme.example.com]": "",
		"[127.0.0.1]:80": "", "[fe80::1%25eth0]:80": "", "::1": "", "[::1]x": "", strings.Repeat("a", 64) + ".example.com": "",
		strings.Repeat("a.", 126) + "a.": strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "aa": "",
	} {
		if got := hostName(header); got != want {
			t.Errorf("%q is %q, want %q", header, got, want)
		}
	}
}

func TestOnlyALabelBeforeTheBaseDomainIsASlug(t *testing.T) {
	h := newHosts("example.com:8080", "https://auth.example.com")
	for host, want := range map[string]string{
		"acme.example.com": "acme", "a.b.example.com": "", "acme.example.org": "", "acmeexample.com": "", ".example.com": "",
		"6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10.example.com": "", "6f1f2d0c54ee4a079b7a3c5cf9ac2f10.example.com": "6f1f2d0c54ee4a079b7a3c5cf9ac2f10",
		"ac_me.example.com": "", "acme.example.com.evil.example": "",
	} {
		if got := h.slug(host); got != want {
			t.Errorf("%s is of the tenant %q, want %q", host, got, want)
		}
	}
	for host, want := range map[string]bool{
		"auth.example.com": true, "example.com": true, "localhost": true, "server": true, "10.1.2.3": true, "::1": true,
		"": false, "acme.example.com": false, "www.example.org": false, "evil.localhost": false,
	} {
		if got := h.own(host); got != want {
			t.Errorf("%q is our own: %t", host, got)
		}
	}
}

func TestOnlyTrustedProxiesTellWhoIsBehindThem(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.9:1", nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, 10.7.7.7"}, "6.6.6.6"},
		{"10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"198.51.100.1,"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[fd00::1]:1", []string{"[2001:db8:1:2:3:4:5:6]:80"}, "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:3:4:5:6%eth0]:80", nil, "2001:db8:1:2::/64"},
		{"@", []string{"198.51.100.1"}, "unknown"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		r.Header.Set("Forwarded", "for=6.6.6.6")
		r.Header.Set("X-Real-Ip", "6.6.6.6")
		if got := network(clientAddress(r, trusted)); got != c.want {
			t.Errorf("%s with %q counts as %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func FuzzHostName(f *testing.F) {
	for _, seed := range []string{"acme.example.com:80", "[::1]:80", "a..b", "\u212a.example.com", "acme.example.com."} {
		f.Add(seed)
	}
	h := newHosts("example.com", "https://auth.example.com")
	f.Fuzz(func(t *testing.T, header string) {
		name := hostName(header)
		if name == "" {
			return
		}
		again := name
		if strings.Contains(name, ":") {
			again = "[" + name + "]"
		}
		if hostName(again) != name || strings.ContainsAny(name, "/\\@ \t\r\n?#\"<>%") || len(name) > 253 {
			t.Errorf("%q became %q, and that %q", header, name, hostName(again))
		}
		if slug := h.slug(name); slug != "" && (strings.ToLower(slug) != slug || slug+".example.com" != name) {
			t.Errorf("%q is of the tenant %q", header, slug)
		}
	})
}

func FuzzClientAddress(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 10.0.0.2")
	f.Add("[::1]:1", ",,")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		got := clientAddress(r, trusted)
		if direct := parseAddress(peer); !isTrusted(direct, trusted) && got != direct {
			t.Errorf("%q with %q counts as %s", peer, forwarded, got)
		}
		if network(got) == "" {
			t.Errorf("%q with %q counts as nothing", peer, forwarded)
		}
	})
}
