// Package apikey is the keys by which machines act in a tenant. It owns auth.api_keys. A
// key is shown once and kept as its SHA-256. It acts as an identity of its own (auth.users
// of kind service), which is local to the tenant and a member in the key's role, so that
// every wall that holds for people holds for it; its one session rests on that membership
// and ends with it. Roles and memberships are member's, sessions and tokens token's.
package apikey

import (
	"crypto/rand"
	"regexp"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/text"
)

// Key is one API key.
type Key struct {
	TenantID   id.Tenant   `db:"tenant_id"`
	ID         id.APIKey   `db:"id"`
	Name       string      `db:"name"`
	Prefix     string      `db:"prefix"` // the eight characters after nsk_: to recognise it by, and nothing else
	Role       member.Role `db:"role"`   // admin, member or guest
	UserID     id.User     `db:"user_id"`
	CreatedAt  time.Time   `db:"created_at"`
	ExpiresAt  *time.Time  `db:"expires_at"`   // nil: it does not run out
	LastUsedAt *time.Time  `db:"last_used_at"` // to the minute; nil: never
	RevokedAt  *time.Time  `db:"revoked_at"`
	Plain      string      `db:"-"` // the key itself; only where it was just made
}

const columns = `tenant_id, id, name, prefix, role, user_id, created_at, expires_at, last_used_at, revoked_at`

const maxName = 100

// CreateInput is what a key is made from. Validate before Create.
type CreateInput struct {
	Name      string
	Role      member.Role // empty: member
	ExpiresAt *time.Time  // nil: it does not run out
}

// Validate cleans the input and collects what is wrong with it.
func (in *CreateInput) Validate(problems *fault.Problems) {
	in.Name = text.Name("name", in.Name, maxName, problems)
	switch in.Role {
	case member.Admin, member.Plain, member.Guest:
	case "":
		in.Role = member.Plain
	default:
		problems.Add("role", "must be admin, member or guest; got %.40q", string(in.Role))
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.After(time.Now()) {
		problems.Add("expiresAt", "is %s, which is past", in.ExpiresAt.Format(time.RFC3339))
	}
}

// form is how a key looks: secret scanners find it by this, and what does not look so is
// refused without a look into the database.
var form = regexp.MustCompile(`^nsk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}$`)

// newKey makes a key of 256 random bits behind a random prefix.
func newKey() (plain, prefix string) {
	prefix = strings.ToLower(rand.Text()[:8])
	return "nsk_" + prefix + "_" + secret.New(), prefix
}
