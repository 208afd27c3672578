// Package session says who is asking: the session variables that Hasura vouches for,
// parsed once and passed to every operation as its actor. It owns the role words and
// nothing else; whether the claimed membership still stands is for the database to say.
package session

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// Role is a Hasura role.
type Role string

// Every role there is (spec section 2). Operator is Hasura's own admin: it bypasses
// every permission, is reached by the admin secret only and never minted.
const (
	Operator    Role = "admin"
	User        Role = "user"
	TenantOwner Role = "tenant_owner"
	TenantAdmin Role = "tenant_admin"
	Member      Role = "tenant_member"
	Guest       Role = "tenant_guest"
)

// Server is the server itself, where an event and not a caller moves it. No session can
// claim it.
const Server Role = "server"

// Roles lists the roles a token may carry.
var Roles = []Role{User, TenantOwner, TenantAdmin, Member, Guest}

// Session is the actor of an operation.
type Session struct {
	Role         Role
	User         id.User    // zero only for the operator
	Tenant       id.Tenant  // zero where no tenant is chosen
	ID           id.Session // zero where no token of ours was shown: the operator, a service of the customer's
	Impersonator string     // who sits in the user's place; empty: the user
	RequestID    string     // for the audit log; empty where there is none
}

// Names of the session variables, as Hasura sends them: lower case.
const (
	roleVariable         = "x-hasura-role"
	userVariable         = "x-hasura-user-id"
	tenantVariable       = "x-hasura-tenant-id"
	sessionVariable      = "x-hasura-session-id"
	impersonatorVariable = "x-hasura-impersonator"
)

// Parse reads session variables as Hasura sends them: a flat map of strings; keys are
// compared without case. A role this server does not know, a missing user (but for
// the operator) and a malformed id are an invalid-session fault.
func Parse(variables map[string]string) (Session, error) {
	lower := make(map[string]string, len(variables))
	for key, value := range variables {
		name := strings.ToLower(key)
		if _, twice := lower[name]; twice {
			return Session{}, fault.New(fault.InvalidSession, "%.60s is there twice, in different cases", name)
		}
		lower[name] = value
	}
	s := Session{Role: Role(lower[roleVariable])}
	if s.Role != Operator && !slices.Contains(Roles, s.Role) {
		return Session{}, fault.New(fault.InvalidSession, "%s is %.60q, which is no role of this server", roleVariable, s.Role)
	}
	s.Impersonator = lower[impersonatorVariable]
	if err := errors.Join(read(&s.User, lower, userVariable), read(&s.Tenant, lower, tenantVariable), read(&s.ID, lower, sessionVariable)); err != nil {
		return Session{}, fault.New(fault.InvalidSession, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if s.User.IsZero() && s.Role != Operator {
		return Session{}, fault.New(fault.InvalidSession, "%s is missing: role %s needs a user", userVariable, s.Role)
	}
	return s, nil
}

// read parses the id that a variable holds; one that is not there stays zero.
func read(into encoding.TextUnmarshaler, variables map[string]string, name string) error {
	value, ok := variables[name]
	if !ok {
		return nil
	}
	if err := into.UnmarshalText([]byte(value)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// IsOperator reports whether the caller holds the admin secret.
func (s Session) IsOperator() bool { return s.Role == Operator }

// Setting is the session as Postgres sees it: the JSON text of the setting
// "hasura.user", with the keys Hasura itself would use.
func (s Session) Setting() string {
	variables := map[string]string{roleVariable: string(s.Role)}
	if !s.User.IsZero() {
		variables[userVariable] = s.User.String()
	}
	if !s.Tenant.IsZero() {
		variables[tenantVariable] = s.Tenant.String()
	}
	if !s.ID.IsZero() {
		variables[sessionVariable] = s.ID.String()
	}
	if s.Impersonator != "" {
		variables[impersonatorVariable] = s.Impersonator
	}
	text, _ := json.Marshal(variables) // a map of strings always marshals
	return string(text)
}
