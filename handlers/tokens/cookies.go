package tokens

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// jar keeps what a browser is to bring again. With https the names begin with __Host-: a
// browser takes such a cookie from this very host only, over https, so that no sibling
// host (another tenant's) can plant one. Without, in development, they go by plain names.
//
// SameSite is Lax for both: whoever comes here from a link in a mail is to be known.
// What a cookie may do by POST is held by sameOrigin.
type jar struct {
	prefix     string
	secure     bool
	refreshTTL time.Duration
}

const (
	refreshName = "nself_refresh" // the refresh token of whoever is signed in here
	browserName = "nself_link"    // binds a sign-in link to the browser that asked for it
)

func newJar(publicURL string, refreshTTL time.Duration) jar {
	if strings.HasPrefix(publicURL, "https://") {
		return jar{prefix: "__Host-", secure: true, refreshTTL: refreshTTL}
	}
	return jar{refreshTTL: refreshTTL}
}

func (j jar) read(r *http.Request, name string) string {
	found := j.all(r, name)
	if len(found) != 1 { // of two, one may be planted: neither is believed
		return ""
	}
	return found[0]
}

// all are the values of every cookie of a name, each once.
func (j jar) all(r *http.Request, name string) []string {
	var values []string
	for _, one := range r.CookiesNamed(j.prefix + name) {
		if one.Value != "" && !slices.Contains(values, one.Value) {
			values = append(values, one.Value)
		}
	}
	return values
}

func (j jar) set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, j.cookie(name, value, int(life.Seconds())))
}

// clear has the browser forget a cookie that it brought.
func (j jar) clear(v *visit, name string) {
	if len(v.r.CookiesNamed(j.prefix+name)) > 0 {
		http.SetCookie(v.w, j.cookie(name, "", -1))
	}
}

func (j jar) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // G124: Secure wherever there is https
		Name: j.prefix + name, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: j.secure, SameSite: http.SameSiteLaxMode,
	}
}
