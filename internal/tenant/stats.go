package tenant

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Stats are figures of one tenant, counted when asked for. Members are people: the
// identities of API keys are none, as they are no users of the plan.
type Stats struct {
	TenantID        id.Tenant  `db:"tenant_id"`
	Slug            string     `db:"slug"`
	Status          Status     `db:"status"`
	Plan            string     `db:"plan"`
	Members         int        `db:"members"`
	Owners          int        `db:"owners"`
	Admins          int        `db:"admins"`
	Guests          int        `db:"guests"`
	OpenInvitations int        `db:"open_invitations"`
	Settings        int        `db:"settings"`
	ActiveSessions  int        `db:"active_sessions"`
	MaxUsers        int64      `db:"max_users"` // -1 is unlimited
	AuditEntries    int64      `db:"audit_entries"`
	LastActivityAt  *time.Time `db:"last_activity_at"` // nil: nothing was ever recorded
	CreatedAt       time.Time  `db:"created_at"`
}

const statsSQL = `
SELECT t.id AS tenant_id, t.slug, t.status, t.plan, t.created_at,
	m.members, m.owners, m.admins, m.guests, i.open_invitations, s.settings, a.active_sessions,
	(SELECT e."limit" FROM billing.entitlement(t.id, 'users') e) AS max_users,
	g.audit_entries, g.last_activity_at
FROM tenants.tenants t,
	LATERAL (SELECT count(*) AS members, count(*) FILTER (WHERE p.role = 'owner') AS owners,
		count(*) FILTER (WHERE p.role = 'admin') AS admins, count(*) FILTER (WHERE p.role = 'guest') AS guests
		FROM tenants.tenant_members p JOIN auth.users u ON u.id = p.user_id AND u.kind = 'person'
		WHERE p.tenant_id = t.id) m,
	LATERAL (SELECT count(*) AS open_invitations FROM tenants.tenant_invitations
		WHERE tenant_id = t.id AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()) i,
	LATERAL (SELECT count(*) AS settings FROM tenants.tenant_settings WHERE tenant_id = t.id) s,
	LATERAL (SELECT count(*) AS active_sessions FROM auth.sessions
		WHERE tenant_id = t.id AND ended_at IS NULL AND expires_at > now()) a,
	LATERAL (SELECT count(*) AS audit_entries, max(at) AS last_activity_at FROM audit.log WHERE tenant_id = t.id) g
WHERE t.id = @tenant_id`

// ReadStats counts the figures of the session's tenant.
func ReadStats(ctx context.Context, db pg.DB, actor session.Session) (Stats, error) {
	stats, err := pg.One[Stats](ctx, db, statsSQL, pgx.NamedArgs{"tenant_id": actor.Tenant})
	return found(stats, err, actor.Tenant.String())
}

// Membership is a tenant as one of its members sees it in a list.
type Membership struct {
	ID       id.Tenant `db:"id"`
	Slug     string    `db:"slug"`
	Name     string    `db:"name"`
	Status   Status    `db:"status"`
	Plan     string    `db:"plan"`
	Role     string    `db:"role"`
	JoinedAt time.Time `db:"joined_at"`
}

const mineAllTenantsSQL = `
SELECT t.id, t.slug, t.name, t.status, t.plan, m.role, m.joined_at
FROM tenants.tenant_members m JOIN tenants.tenants t ON t.id = m.tenant_id
WHERE m.user_id = @user_id AND t.status <> 'deleted'
ORDER BY t.name, t.id`

// ListOfUser lists the tenants the actor is a member of, suspended ones too, by name.
func ListOfUser(ctx context.Context, db pg.DB, actor session.Session) ([]Membership, error) {
	list, err := pg.All[Membership](ctx, db, mineAllTenantsSQL, pgx.NamedArgs{"user_id": actor.User})
	if err != nil {
		return nil, fmt.Errorf("list the tenants of user %s: %w", actor.User, err)
	}
	return list, nil
}
