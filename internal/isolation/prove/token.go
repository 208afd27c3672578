package prove

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// claims are what a token says of its bearer. They are read and not verified: the
// endpoint does that.
type claims struct {
	roles   []string          // one "" where the token does not tell: the endpoint decides
	session map[string]string // session variables, lower case; arrays and roles left out
}

// readClaims reads a JWT. A token that is none, or has its roles where this does not
// look, is used in the role the endpoint gives it.
func readClaims(token string) claims {
	found := claims{session: map[string]string{}}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			var payload map[string]any
			if json.Unmarshal(text, &payload) == nil {
				found.read(payload)
			}
		}
	}
	if len(found.roles) == 0 {
		found.roles = []string{""}
	}
	return found
}

// read looks for Hasura's claims at the top and in every object below it: the namespace
// is configurable, and may be an object or that object as text.
func (c *claims) read(object map[string]any) {
	for key, value := range object {
		name := strings.ToLower(key)
		switch value := value.(type) {
		case map[string]any:
			c.read(value)
		case []any:
			if name == "x-hasura-allowed-roles" {
				c.addRoles(value)
			}
		case string:
			var nested map[string]any
			switch {
			case strings.HasPrefix(value, "{") && json.Unmarshal([]byte(value), &nested) == nil:
				c.read(nested)
			case name == "x-hasura-role" || name == "x-hasura-default-role":
			case strings.HasPrefix(name, "x-hasura-"):
				c.session[name] = value
			}
		}
	}
}

func (c *claims) addRoles(list []any) {
	for _, item := range list {
		if role, ok := item.(string); ok && !slices.Contains(c.roles, role) {
			c.roles = append(c.roles, role)
		}
	}
}

// of is the session variable that a column or argument of this name would hold:
// tenant_id and tenantId are x-hasura-tenant-id.
func (c claims) of(name string) (string, bool) {
	for variable, value := range c.session {
		if plain(strings.TrimPrefix(variable, "x-hasura-")) == plain(name) {
			return value, true
		}
	}
	return "", false
}

// plain is a name without case, hyphens and underscores.
func plain(name string) string {
	return strings.ToLower(separators.Replace(name))
}

var separators = strings.NewReplacer("_", "", "-", "")
