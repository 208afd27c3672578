package auth

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const (
	namespace       = "https://hasura.io/jwt/claims"
	allowedRolesKey = "x-hasura-allowed-roles"
	defaultRoleKey  = "x-hasura-default-role"
)

func (a *Authenticator) fromToken(header http.Header) (Session, error) {
	text, err := bearer(header)
	if err != nil {
		return Session{}, err
	}
	claims, err := a.verify(text)
	if err != nil {
		return Session{}, err
	}
	return sessionOf(claims, header.Get(roleKey))
}

func bearer(header http.Header) (string, error) {
	given := header.Get("Authorization")
	if given == "" {
		return "", qerr.New(qerr.InvalidHeaders, "Missing 'Authorization' or 'Cookie' header in JWT authentication mode")
	}
	scheme, token, ok := strings.Cut(given, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.Contains(token, " ") {
		return "", qerr.New(qerr.InvalidHeaders, "Malformed Authorization header")
	}
	return token, nil
}

// verify checks the signature against every key that fits the algorithm, then the
// registered claims that the token has.
func (a *Authenticator) verify(text string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}),
		jwt.WithoutClaimsValidation(), jwt.WithJSONNumber())
	_, err := parser.ParseWithClaims(text, claims, a.keys.candidates)
	switch {
	case err == nil:
		return claims, a.validate(claims)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, invalid("JWSError (CompactDecodeError Invalid token)")
	}
	return nil, invalid("JWSError JWSInvalidSignature")
}

func invalid(reason string) error {
	return qerr.New(qerr.InvalidJWT, "Could not verify JWT: %s", reason)
}

// validate checks what is there, with no tolerance for clocks.
func (a *Authenticator) validate(claims jwt.MapClaims) error {
	var options []jwt.ParserOption
	for _, check := range []struct {
		claim  string
		wanted string
		option func(string) jwt.ParserOption
	}{
		{"iss", a.config.Issuer, jwt.WithIssuer},
		{"aud", a.config.Audience, func(audience string) jwt.ParserOption { return jwt.WithAudience(audience) }},
	} {
		if _, present := claims[check.claim]; present && check.wanted != "" {
			options = append(options, check.option(check.wanted))
		}
	}
	err := jwt.NewValidator(append(options, jwt.WithIssuedAt())...).Validate(claims)
	for _, fault := range []struct {
		err    error
		reason string
	}{
		{jwt.ErrTokenExpired, "JWTExpired"}, {jwt.ErrTokenNotValidYet, "JWTNotYetValid"},
		{jwt.ErrTokenUsedBeforeIssued, "JWTIssuedAtFuture"},
		{jwt.ErrTokenInvalidAudience, "JWTNotInAudience"}, {jwt.ErrTokenInvalidIssuer, "JWTNotInIssuer"},
	} {
		if errors.Is(err, fault.err) {
			return invalid(fault.reason)
		}
	}
	if err != nil {
		return invalid("JWTClaimsSetDecodeError")
	}
	return nil
}

// sessionOf reads Hasura's claims. The client chooses only the role, among those
// allowed.
func sessionOf(claims jwt.MapClaims, wantedRole string) (Session, error) {
	given, ok := claims[namespace].(map[string]any)
	if !ok {
		return Session{}, qerr.New(qerr.JWTInvalidClaims, "claims key: '%s' not found", namespace)
	}
	own := ownClaims(given)
	roles, err := allowedRoles(own)
	if err != nil {
		return Session{}, err
	}
	variables, err := stringClaims(own)
	if err != nil {
		return Session{}, err
	}
	role := variables[defaultRoleKey]
	if wantedRole != "" {
		role = wantedRole
	}
	if !slices.Contains(roles, role) {
		return Session{}, qerr.New(qerr.AccessDenied, "Your requested role is not in allowed roles")
	}
	delete(variables, defaultRoleKey)
	variables[roleKey] = role
	return Session{Role: role, Variables: variables}, nil
}

// ownClaims are the claims that concern Hasura, keys in lower case.
func ownClaims(given map[string]any) map[string]any {
	own := map[string]any{}
	for name, value := range given {
		if key := strings.ToLower(name); strings.HasPrefix(key, prefix) {
			own[key] = value
		}
	}
	return own
}

// allowedRoles takes the list of roles out of the claims, and demands a default role.
func allowedRoles(own map[string]any) ([]string, error) {
	for _, key := range []string{allowedRolesKey, defaultRoleKey} {
		if _, ok := own[key]; !ok {
			return nil, qerr.New(qerr.JWTMissingRoleClaims, "JWT claim does not contain %s", key)
		}
	}
	roles, ok := stringList(own[allowedRolesKey])
	if !ok {
		return nil, qerr.New(qerr.JWTInvalidClaims, "invalid %s; should be a list of roles", allowedRolesKey)
	}
	delete(own, allowedRolesKey)
	return roles, nil
}

// stringClaims demands that every other claim is a string.
func stringClaims(own map[string]any) (map[string]string, error) {
	variables := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		text, ok := own[key].(string)
		if !ok {
			return nil, qerr.New(qerr.JWTInvalidClaims, "%s claims should be a string, but found %s", key, describe(own[key]))
		}
		variables[key] = text
	}
	return variables, nil
}

func stringList(value any) ([]string, bool) {
	list, ok := value.([]any)
	var texts []string
	for _, item := range list {
		text, isText := item.(string)
		ok = ok && isText
		texts = append(texts, text)
	}
	return texts, ok
}

func describe(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}
