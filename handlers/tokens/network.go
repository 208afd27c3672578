package tokens

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is the address a request came from: the peer's, or where the peer is a
// trusted proxy the rightmost one of X-Forwarded-For that is no trusted proxy's. What
// stands left of that the client could have typed itself. The zero address is one that
// cannot be read.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(address, trusted) {
			break
		}
		next := parseAddress(strings.TrimSpace(hop))
		if !next.IsValid() {
			break
		}
		address = next
	}
	return address
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// parseAddress reads an address with or without a port. An IPv4 address inside an IPv6
// one is the IPv4 address; a zone is dropped.
func parseAddress(text string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone("")
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// network is what rate limits count by: an IPv4 address, or the /64 of an IPv6 one, which
// is the least that a subscriber is given.
func network(address netip.Addr) string {
	switch {
	case !address.IsValid():
		return "unknown"
	case address.Is4():
		return address.String()
	}
	prefix, _ := address.Prefix(64) // of an IPv6 address: never fails
	return prefix.String()
}

// network is what a visit's limits are counted by.
func (d *door) network(v *visit) string {
	d.warnOfProxy(v.r)
	return network(clientAddress(v.r, d.TrustedProxies))
}

// warnOfProxy tells once that a proxy seems to stand before this server which is not
// trusted: everybody who comes through it counts as one network, and soon nobody can sign
// in. It is not believed all the same: whoever reaches the port could say so.
func (d *door) warnOfProxy(r *http.Request) {
	peer := parseAddress(r.RemoteAddr)
	if len(r.Header.Values("X-Forwarded-For")) == 0 || isTrusted(peer, d.TrustedProxies) || !peer.IsPrivate() && !peer.IsLoopback() {
		return
	}
	d.warned.Do(func() {
		d.Log.WarnContext(r.Context(), "everybody behind a proxy counts as one client for the limits of signing in: set TRUSTED_PROXIES", "proxy", peer)
	})
}
