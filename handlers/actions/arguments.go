package actions

import (
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/idempotency"
)

// ownTenant is the optional argument tenant: the session's where absent.
type ownTenant struct {
	Tenant *string `json:"tenant"`
}

func (t ownTenant) tenantName() string { return value(t.Tenant) }

// anyTenant is the tenant an operator's action must name.
type anyTenant struct {
	Tenant string `json:"tenant"`
}

func (t anyTenant) tenantName() string { return t.Tenant }

// idempotent is the optional argument idempotencyKey.
type idempotent struct {
	IdempotencyKey *string `json:"idempotencyKey"`
}

func (i idempotent) key() *string { return i.IdempotencyKey }

func (i idempotent) checkKey(problems *fault.Problems) {
	if i.IdempotencyKey != nil {
		idempotency.Check("idempotencyKey", *i.IdempotencyKey, problems)
	}
}

// value is the string, or "" where the argument was left out.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// told is the string for a reply, null where it is empty.
func told(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
