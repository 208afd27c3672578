// Package tenant is the noun everything else hangs on: a customer of the installation,
// with a name, a slug that is its address, a plan and a status. It owns
// tenants.tenants and the life cycle (create, suspend, activate, delete, restore). It
// does not own who is in a tenant (member), what the plan allows (plan) or how rows
// are kept apart (isolation).
package tenant

import (
	"encoding/json"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// Status is where a tenant stands in its life.
type Status string

// A suspended or deleted tenant is refused by the next statement on every channel; a
// deleted one can be restored until its PurgeAfter.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Deleted   Status = "deleted"
)

// Strategy is how a tenant's data is kept apart: RLS in shared tables, or a Schema of
// its own.
type Strategy string

// The two strategies (spec section 1); an installation that allows both is hybrid.
const (
	RLS    Strategy = "rls"
	Schema Strategy = "schema"
)

// Tenant is one row of tenants.tenants.
type Tenant struct {
	ID            id.Tenant       `db:"id"`
	Slug          string          `db:"slug"`
	Name          string          `db:"name"`
	Status        Status          `db:"status"`
	Strategy      Strategy        `db:"strategy"`
	Plan          string          `db:"plan"`
	OwnerUserID   id.User         `db:"owner_user_id"`
	Metadata      json.RawMessage `db:"metadata"`
	CreatedAt     time.Time       `db:"created_at"`
	UpdatedAt     time.Time       `db:"updated_at"`
	SuspendedAt   *time.Time      `db:"suspended_at"`
	SuspendReason *string         `db:"suspend_reason"`
	DeletedAt     *time.Time      `db:"deleted_at"`
	PurgeAfter    *time.Time      `db:"purge_after"`
}

// NotFound is the one answer to a tenant that does not exist and to one the caller has
// no part in.
func NotFound(ref string) *fault.Fault {
	return fault.New(fault.NotFound, "there is no tenant %.80q here", ref)
}

// refuse says that the tenant's status does not allow what was asked.
func (t Tenant) refuse(format string) error {
	return fault.New(fault.WrongStatus, format, t.Slug).With("status", t.Status)
}
