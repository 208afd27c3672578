package tokens

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/tenant"
)

// place is the host a request came to.
type place struct {
	host   string
	tenant id.Tenant // zero: a host of the installation's own
	slug   string
}

// hosts are the names this installation answers to.
type hosts struct {
	base   string // under which each tenant in service has its own
	public string // where the doors of signing in are for people without a tenant
}

func newHosts(baseDomain, publicURL string) hosts {
	public, err := url.Parse(publicURL)
	if err != nil {
		public = &url.URL{}
	}
	return hosts{base: hostName(baseDomain), public: hostName(public.Host)}
}

// labels are DNS labels; underscores are in the names of containers and services.
var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)
	portForm = regexp.MustCompile(`^(:[0-9]{0,5})?$`)
)

// hostName is the host of a Host header in the one form that is compared: lower case,
// without port and trailing dot, an address as netip writes it. It is empty where the
// header is none.
func hostName(header string) string {
	name, port := header, ""
	if end := strings.LastIndexByte(header, ']'); end >= 0 {
		name, port = header[:end+1], header[end+1:]
	} else if colon := strings.IndexByte(header, ':'); colon >= 0 {
		name, port = header[:colon], header[colon:]
	}
	if !portForm.MatchString(port) {
		return ""
	}
	if inner, v6 := strings.CutPrefix(name, "["); v6 {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !address.Is6() || address.Zone() != "" {
			return ""
		}
		return address.String()
	}
	if name = strings.TrimSuffix(name, "."); len(name) > 253 || !nameForm.MatchString(name) {
		return ""
	}
	return strings.ToLower(name)
}

// own reports whether a host is the installation's and no tenant's: PublicURL's, the base
// domain, an address, or a name of one label, which no public DNS answers for (localhost,
// the name of a container).
func (h hosts) own(host string) bool {
	_, err := netip.ParseAddr(host)
	return host != "" && (host == h.public || host == h.base || err == nil || !strings.Contains(host, "."))
}

// slug is the label that a tenant's host has before the base domain; empty where host is
// no such host. What looks like an id is never a slug.
func (h hosts) slug(host string) string {
	label, under := strings.CutSuffix(host, "."+h.base)
	if _, err := id.Parse[id.Tenant](label); err == nil || !under || strings.ContainsAny(label, "._") {
		return ""
	}
	return label
}

// find says where a request with this Host header came to. A host that is nobody's, a
// slug that is nobody's and a tenant out of service are the same not-found.
func (h hosts) find(ctx context.Context, db pg.DB, header string) (place, error) {
	nowhere := fault.New(fault.NotFound, "there is nothing at this host")
	at := place{host: hostName(header)}
	if h.own(at.host) {
		return at, nil
	}
	if at.slug = h.slug(at.host); at.slug == "" {
		return place{}, nowhere
	}
	found, err := tenant.InService(ctx, db, at.slug)
	if fault.Is(err, fault.NotFound) {
		return place{}, nowhere
	}
	at.tenant = found.ID
	return at, err
}
