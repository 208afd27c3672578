package pgtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// Operator is a session with the admin secret.
var Operator = session.Session{Role: session.Operator, RequestID: "test"}

const insertUserSQL = `INSERT INTO auth.users (email) VALUES (@email) RETURNING id`

// User makes a user with a shared identity and an address of its own.
func User(t testing.TB, db pg.DB) id.User {
	t.Helper()
	user, err := pg.Scalar[id.User](context.Background(), db, insertUserSQL, pgx.NamedArgs{"email": uuid.NewString() + "@example.com"})
	if err != nil {
		t.Fatalf("make a user: %v", err)
	}
	return user
}

// Team is a tenant with one member of each role.
type Team struct {
	tenant.Tenant
	Owner, Admin, Member, Guest id.User
}

// NewTeam makes a tenant of strategy rls with one member of each role, on the plan that
// has no limits. db is a pool or transaction as nself_server.
func NewTeam(t testing.TB, db pg.DB) Team {
	t.Helper()
	team := Team{Owner: User(t, db), Admin: User(t, db), Member: User(t, db), Guest: User(t, db)}
	err := pg.InTx(context.Background(), db, func(tx pgx.Tx) (err error) {
		in := tenant.CreateInput{Name: fmt.Sprintf("Team %s", uuid.NewString()[:8]), Plan: "enterprise", Owner: team.Owner}
		if team.Tenant, err = tenant.Create(context.Background(), tx, Operator, in, Defaults); err != nil {
			return err
		}
		inside := Operator
		inside.Tenant = team.ID
		for user, role := range map[id.User]member.Role{team.Admin: member.Admin, team.Member: member.Plain, team.Guest: member.Guest} {
			if _, err := member.Add(context.Background(), tx, inside, user, role); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("make a team: %v", err)
	}
	return team
}

// Defaults are an installation that offers both strategies.
var Defaults = tenant.Defaults{Strategies: []tenant.Strategy{tenant.RLS, tenant.Schema}, SchemaPrefix: "tenant_", RestoreDays: 30}

// As is the session of the team's member with this role.
func (team Team) As(role member.Role) session.Session {
	users := map[member.Role]id.User{member.Owner: team.Owner, member.Admin: team.Admin, member.Plain: team.Member, member.Guest: team.Guest}
	return session.Session{Role: role.Session(), User: users[role], Tenant: team.ID, RequestID: "test"}
}
