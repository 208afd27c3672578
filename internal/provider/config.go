package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// setting is the variable that holds the list; problems are named by it.
const setting = "AUTH_PROVIDERS"

// Config is one identity provider that the operator trusts.
type Config struct {
	Issuer     string    `json:"issuer"`     // claim iss, to the letter; https but on the loopback interface
	Audience   string    `json:"audience"`   // has to be in claim aud
	JWKSURL    string    `json:"jwks_url"`   // where the keys are; empty: discovered at the issuer
	Tenant     id.Tenant `json:"tenant"`     // it speaks for that tenant's local identities only; zero: for shared ones. No slug: another tenant may have it tomorrow
	JoinAs     string    `json:"join_as"`    // member or guest: first-comers join Tenant as that; empty: they do not join
	Algorithms []string  `json:"algorithms"` // that tokens may be signed with; empty: RS256 and ES256
}

var (
	defaultAlgorithms = []string{"RS256", "ES256"}
	// Algorithms of a shared secret are not among them: the keys are public.
	allowedAlgorithms = []string{"RS256", "ES256", "PS256", "ES384", "EdDSA"}
)

const maxAudience = 255

// Parse reads the JSON list of AUTH_PROVIDERS. An empty text is no provider. Problems
// name the setting, the place in the list from 0 and the field; where there are any, the
// list is not to be used.
func Parse(text string) ([]Config, fault.Problems) {
	var problems fault.Problems
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		problems.Add(setting, `is no JSON list; write [{"issuer": "https://…", "audience": "…"}]`)
		return nil, problems
	}
	configs := make([]Config, len(list))
	for i, item := range list {
		parseOne(item, &configs[i], at{i, &problems})
	}
	checkAll(configs, &problems)
	return configs, problems
}

// at is a place in the list, to add problems of.
type at struct {
	index    int
	problems *fault.Problems
}

func (a at) add(field, format string, args ...any) {
	place := fmt.Sprintf("%s[%d]", setting, a.index)
	if field != "" {
		place += "." + field
	}
	a.problems.Add(place, format, args...)
}

func parseOne(item json.RawMessage, config *Config, place at) {
	members, err := readObject(item)
	if err != nil {
		place.add("", "is no JSON object whose names are all different")
		return
	}
	fields := map[string]any{
		"issuer": &config.Issuer, "audience": &config.Audience, "jwks_url": &config.JWKSURL,
		"tenant": &config.Tenant, "join_as": &config.JoinAs, "algorithms": &config.Algorithms,
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, known := fields[name]
		switch {
		case !known:
			place.add(name, "is no field of a provider; there are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case json.Unmarshal(members[name], field) != nil && name == "algorithms":
			place.add(name, "must be a list of texts")
		case json.Unmarshal(members[name], field) != nil && name == "tenant":
			place.add(name, "must be the tenant's id")
		case json.Unmarshal(members[name], field) != nil:
			place.add(name, "must be a text")
		}
	}
}

// checkAll adds what is wrong with a list, and fills in the default algorithms.
func checkAll(configs []Config, problems *fault.Problems) {
	seen := map[[2]string]int{}
	for i := range configs {
		place, c := at{i, problems}, &configs[i]
		c.check(place)
		pair := [2]string{c.Issuer, c.Audience}
		if first, twice := seen[pair]; twice {
			place.add("audience", "is, with the same issuer, that of %s[%d] too; keep one of them", setting, first)
		} else {
			seen[pair] = i
		}
	}
}

func (c *Config) check(place at) {
	if why := badURL(c.Issuer); why != "" {
		place.add("issuer", "%s", why)
	} else if strings.Contains(c.Issuer, "?") {
		place.add("issuer", "must not have a query")
	}
	if c.Audience == "" || len(c.Audience) > maxAudience {
		place.add("audience", "must be 1 to %d characters: what the provider writes in aud for this server", maxAudience)
	}
	if c.JWKSURL != "" {
		if why := badURL(c.JWKSURL); why != "" {
			place.add("jwks_url", "%s", why)
		}
	}
	switch {
	case !slices.Contains([]string{"", "member", "guest"}, c.JoinAs):
		place.add("join_as", "is %.80q; write member or guest, or leave it out", c.JoinAs)
	case c.JoinAs != "" && c.Tenant.IsZero():
		place.add("join_as", "needs a tenant to join; name it in tenant")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = defaultAlgorithms
	}
	for _, algorithm := range c.Algorithms {
		if !slices.Contains(allowedAlgorithms, algorithm) {
			place.add("algorithms", "has %.20q; there are %s", algorithm, strings.Join(allowedAlgorithms, ", "))
		}
	}
}

// badURL says what is wrong with an address that keys or trust come from, or "".
func badURL(text string) string {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Hostname() == "" || parsed.Opaque != "":
		return "must be a URL such as https://login.example.com"
	case parsed.User != nil || strings.Contains(text, "#"):
		return "must not have a user or a fragment"
	case parsed.Scheme != "https" && (parsed.Scheme != "http" || !loopback(parsed)):
		return "must begin with https://"
	}
	return ""
}

// loopback reports whether a URL leads to this machine, where http is not overheard.
func loopback(address *url.URL) bool {
	host := address.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
