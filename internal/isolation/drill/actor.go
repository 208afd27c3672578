package drill

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// actor is somebody who acts for a tenant: policies may tell one from the other.
type actor struct {
	words   string // who it is, for people
	setting string // the session that is put in force
}

func acting(who Tenant, role session.Role, user, words string) actor {
	variables := map[string]string{"x-hasura-tenant-id": who.ID.String()}
	if role != "" {
		variables["x-hasura-role"] = string(role)
	}
	if user != "" {
		variables["x-hasura-user-id"] = user
	}
	setting, _ := json.Marshal(variables) // a map of strings always marshals
	return actor{who.Name + words, string(setting)}
}

// service is a service of the customer's that acts on its own: it names the tenant and nobody else.
func service(who Tenant) actor { return acting(who, "", "", "") }

const membersSQL = `SELECT DISTINCT ON (role) 'tenant_' || role::text AS role, user_id::text AS "user" FROM tenants.tenant_members
WHERE tenant_id = @tenant_id ORDER BY role, user_id`

type someone struct {
	Role session.Role
	User string
}

// actorsOf are all who may act for a tenant: a service, every role without a user, and a member of each role that it has.
// The first is the service.
func (x *exercise) actorsOf(ctx context.Context, who Tenant) ([]actor, error) {
	if known := x.actors[who.ID]; known != nil {
		return known, nil
	}
	if err := x.enter(ctx, service(who).setting); err != nil {
		return nil, err
	}
	members, err := pg.All[someone](ctx, x.tx, membersSQL, pgx.NamedArgs{"tenant_id": who.ID})
	if err != nil {
		return nil, fmt.Errorf("look for members of %s: %w", who.Name, err)
	}
	list := []actor{service(who)}
	for _, role := range session.Roles {
		list = append(list, acting(who, role, "", fmt.Sprintf(" as %s without a user", role)))
	}
	for _, one := range members {
		list = append(list, acting(who, one.Role, one.User, " as "+string(one.Role)))
	}
	if len(members) > 0 {
		list = append(list, acting(who, "", members[0].User, " as a user without a role"))
	}
	x.actors[who.ID] = list
	return list, nil
}

const enterSQL = `SELECT pg_catalog.set_config('hasura.user', @session, true)`

// enter puts a session in force, or none for "".
func (x *exercise) enter(ctx context.Context, setting string) error {
	if _, err := x.tx.Exec(ctx, enterSQL, pgx.NamedArgs{"session": setting}); err != nil {
		return fmt.Errorf("name the tenant to the database: %w", err)
	}
	return nil
}
