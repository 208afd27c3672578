package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/strictjson"
)

// hasuraClaims is the namespace Hasura reads unless told otherwise.
const hasuraClaims = "https://hasura.io/jwt/claims"

// acting is the claim act (RFC 8693, section 4.1).
type acting struct {
	Sub string `json:"sub"`
}

// header is all that the header of a token of ours says. What else one may say names
// keys (jku, x5u, jwk, x5c) or asks to be understood (crit), and is refused with the rest.
type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KID       string `json:"kid"`
}

// claims are those of our access tokens, read back.
type claims struct {
	jwt.RegisteredClaims
	Session id.Session `json:"sid"`
	Acting  *acting    `json:"act"`
	Hasura  variables  `json:"https://hasura.io/jwt/claims"`
}

type variables struct {
	Allowed      []session.Role `json:"x-hasura-allowed-roles"`
	Default      session.Role   `json:"x-hasura-default-role"`
	User         id.User        `json:"x-hasura-user-id"`
	Tenant       id.Tenant      `json:"x-hasura-tenant-id"`
	Session      id.Session     `json:"x-hasura-session-id"`
	Tenants      string         `json:"x-hasura-tenant-ids"`
	Impersonator string         `json:"x-hasura-impersonator"`
}

// parseHeader reads the header of a token that nothing vouches for yet.
func parseHeader(token string) (header, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return header{}, errors.New("it is not three parts with dots between")
	}
	var texts [2][]byte
	for i, part := range parts[:2] {
		text, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return header{}, fmt.Errorf("its part %d is not base64url", i+1)
		}
		if err := checkMembers(text); err != nil {
			return header{}, fmt.Errorf("its part %d %w", i+1, err)
		}
		texts[i] = text
	}
	var h header
	decoder := json.NewDecoder(bytes.NewReader(texts[0]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil {
		return header{}, errors.New("its header says more than alg, typ and kid, or says it in another type")
	}
	switch {
	case h.KID == "":
		return header{}, errors.New("its header names no key")
	case h.Type != "" && h.Type != "JWT":
		return header{}, errors.New("its header says that it is no JWT")
	}
	return h, nil
}

// checkMembers refuses what two readers could read in two ways: a name that is there
// twice in one object, at any depth, and a name in other letters than ours, which some
// take for the same.
func checkMembers(text []byte) error {
	err := strictjson.Check(text, func(name string) error {
		if strings.ContainsFunc(name, foreignLetter) {
			return errForeignName
		}
		return nil
	})
	var twice *strictjson.Twice
	switch {
	case errors.As(err, &twice):
		return errors.New("has a member twice")
	case errors.Is(err, errForeignName):
		return err
	case err != nil || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return errors.New("is not one JSON object")
	}
	return nil
}

var errForeignName = errors.New("has a member whose name is not in small letters")

func foreignLetter(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }

// caller is who the claims speak of. They were signed by us: what is refused here shows
// a key that is not in our hands alone, or a bug.
func (c claims) caller() (Caller, error) {
	v := c.Hasura
	subject, err := id.Parse[id.User](c.Subject)
	switch {
	case err != nil || subject != v.User:
		return Caller{}, errors.New("it is of another subject than x-hasura-user-id")
	case c.IssuedAt == nil:
		return Caller{}, errors.New("it does not say when it was issued")
	case v.Session.IsZero() || c.Session != v.Session:
		return Caller{}, errors.New("it is of another session than x-hasura-session-id, or of none")
	case len(v.Allowed) != 1 || v.Allowed[0] != v.Default:
		return Caller{}, errors.New("its allowed roles are not just its default role")
	case !slices.Contains(session.Roles, v.Default):
		return Caller{}, errors.New("its role is none that a token carries")
	case (v.Default == session.User) != v.Tenant.IsZero():
		return Caller{}, errors.New("its role and its tenant do not go together")
	case (c.Acting == nil) != (v.Impersonator == "") || c.Acting != nil && c.Acting.Sub != v.Impersonator:
		return Caller{}, errors.New("its act and its x-hasura-impersonator do not go together")
	case !arrayOfTenants(v.Tenants):
		return Caller{}, errors.New("its x-hasura-tenant-ids is no array of ids")
	}
	return Caller{
		Session:   session.Session{Role: v.Default, User: v.User, Tenant: v.Tenant, ID: v.Session, Impersonator: v.Impersonator},
		ExpiresAt: c.ExpiresAt.Time,
	}, nil
}

func arrayOfTenants(literal string) bool {
	inside, opened := strings.CutPrefix(literal, "{")
	inside, closed := strings.CutSuffix(inside, "}")
	if !opened || !closed {
		return false
	}
	if inside == "" {
		return true
	}
	return !slices.ContainsFunc(strings.Split(inside, ","), func(one string) bool {
		_, err := id.Parse[id.Tenant](one)
		return err != nil
	})
}
