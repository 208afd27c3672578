package tokens_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/nself/tenancy/handlers/tokens"
)

func TestAProxyThatIsNotTrustedIsToldOfOnce(t *testing.T) {
	for name, c := range map[string]struct {
		peer, forwarded string
		trusted         string
		want            int
	}{
		"a private one":             {"10.1.2.3:1", "198.51.100.1", "192.0.2.0/24", 1},
		"on this machine":           {"[::1]:1", "198.51.100.1", "192.0.2.0/24", 1},
		"a private one of IPv6":     {"[fd00::1]:1", "198.51.100.1", "192.0.2.0/24", 1},
		"a trusted one":             {"10.1.2.3:1", "198.51.100.1", "10.0.0.0/8", 0},
		"a client that is no proxy": {"10.1.2.3:1", "", "192.0.2.0/24", 0},
		"a client that says so":     {"203.0.113.9:1", "198.51.100.1", "192.0.2.0/24", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(config *tokens.Config) {
				config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
			})
			for _, target := range []string{"/auth/link", "/auth/token", "/auth/link"} {
				b := w.program(public)
				r := b.request(http.MethodPost, target, formType, form("email", "ann@example.org", "grant_type", "exchange", "subject_token", "x"))
				r.RemoteAddr = c.peer
				r.Header.Del("X-Forwarded-For")
				if c.forwarded != "" {
					r.Header.Set("X-Forwarded-For", c.forwarded)
				}
				b.send(r)
			}
			text := w.logs.String()
			if strings.Count(text, `"level":"WARN","msg":"everybody behind a proxy`) != c.want || strings.Count(text, "TRUSTED_PROXIES") != c.want || strings.Contains(text, "198.51.100.1") {
				t.Errorf("logged:\n%s", text)
			}
		})
	}
}
