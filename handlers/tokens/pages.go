package tokens

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
)

//go:embed pages
var files embed.FS

// pages are what a browser is shown. They hold no script and load nothing, so that what
// they know (a link's token) goes nowhere but back to this server.
type pages struct {
	templates *template.Template
	policy    string
}

// view is what a page shows.
type view struct {
	Host       string // where the reader is
	Problem    string // what was wrong before; empty: nothing
	Email      string
	Code       string
	Minutes    int
	Token      string
	RedirectTo string
	Tenant     string // id or slug, as it was asked for
	TenantName string
	Role       string
	TenantHost string // where the tenant is, if that is not where the reader is
	Outside    bool   // signed in at the host of a tenant they are no member of
}

func newPages(publicURL, baseDomain string) *pages {
	style, _ := files.ReadFile("pages/style.css") // embedded
	sum := sha256.Sum256(style)
	functions := template.FuncMap{"style": func() template.CSS { return template.CSS(style) }} //nolint:gosec // G203: our own file
	return &pages{
		templates: template.Must(template.New("").Funcs(functions).ParseFS(files, "pages/*.html")),
		policy: fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; form-action 'self'%s; frame-ancestors 'none'; base-uri 'none'",
			base64.StdEncoding.EncodeToString(sum[:]), onward(publicURL, baseDomain)),
	}
}

// onward are the sources a form may lead to beyond this host: browsers hold the redirect
// that answers a form to form-action too.
func onward(publicURL, baseDomain string) string {
	public, err := url.Parse(publicURL)
	if err != nil || public.Host == "" {
		return ""
	}
	tenants := "*." + hostName(baseDomain)
	if port := public.Port(); port != "" {
		tenants += ":" + port
	}
	return fmt.Sprintf(" %s://%s %s://%s", public.Scheme, public.Host, public.Scheme, tenants)
}

// protect sets the headers of every answer of these doors, page or not.
func (p *pages) protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	// Not no-referrer: a browser that is told so posts our own forms with "Origin: null",
	// and one that sends no Sec-Fetch-Site beside it would be refused (Fetch, "append a
	// request Origin header").
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

// show answers with a page.
func (p *pages) show(w http.ResponseWriter, status int, name string, shown view) {
	var page bytes.Buffer
	if err := p.templates.ExecuteTemplate(&page, name, shown); err != nil {
		panic(fmt.Sprintf("page %s: %v", name, err)) // a bug in the page: each is shown by a test
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the client is gone: nobody is left to tell
}

// sentence is a fault's message as a sentence on a page.
func sentence(f *fault.Fault) string {
	first, size := utf8.DecodeRuneInString(f.Message)
	return string(unicode.ToUpper(first)) + f.Message[size:] + "."
}

// roleWord is a role as people call it; empty for somebody without a tenant.
func roleWord(r session.Role) string {
	word, inTenant := strings.CutPrefix(string(r), "tenant_")
	if !inTenant {
		return ""
	}
	return word
}
