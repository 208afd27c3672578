package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// demo are the tenants a newcomer finds.
var demo = []struct{ slug, name, plan string }{
	{"acme", "Acme Corp", "pro"},
	{"techco", "TechCo", "free"},
}

var demoRoles = []member.Role{member.Owner, member.Admin, member.Plain, member.Guest}

// tokenLife is long enough for a week's work without another start.
const tokenLife = 7 * 24 * time.Hour

// person is one demo user; Token is empty where the tenant is out of service or the
// user has left it since.
type person struct {
	Tenant   string // the slug
	TenantID id.Tenant
	Plan     string // that the tenant is on now
	Role     member.Role
	UserID   id.User
	Email    string
	Token    string
}

var operator = session.Session{Role: session.Operator, RequestID: "seed"}

// seed makes what is missing of the demo and mints a token for each of its users.
func seed(ctx context.Context, server *app.App) ([]person, error) {
	var people []person
	for _, d := range demo {
		team, err := seedUsers(ctx, server.DB, d.slug)
		if err != nil {
			return nil, err
		}
		found, err := tenant.Resolve(ctx, server.DB, d.slug)
		if fault.Is(err, fault.NotFound) {
			found, err = seedTenant(ctx, server.DB, tenant.CreateInput{Name: d.name, Slug: d.slug, Plan: d.plan}, team)
		}
		if err != nil {
			return nil, err
		}
		now, err := tenant.Get(ctx, server.DB, found)
		if err != nil {
			return nil, err
		}
		for i := range team {
			team[i].TenantID, team[i].Plan = found, now.Plan
			minted, err := server.Minter.MintForOperator(ctx, server.DB, operator, token.Holder{User: team[i].UserID, Tenant: found, TTL: tokenLife})
			if err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
			team[i].Token = minted.Signed
		}
		people = append(people, team...)
	}
	return people, nil
}

const seedUserSQL = `
INSERT INTO auth.users (email, name) VALUES (@email, @name)
ON CONFLICT (tenant_id, email) DO UPDATE SET name = auth.users.name RETURNING id`

func seedUsers(ctx context.Context, db pg.DB, slug string) ([]person, error) {
	var team []person
	for _, role := range demoRoles {
		p := person{Tenant: slug, Role: role, Email: fmt.Sprintf("%s@%s.example", role, slug)}
		var err error
		args := pgx.NamedArgs{"email": p.Email, "name": fmt.Sprintf("%s %s", slug, role)}
		if p.UserID, err = pg.Scalar[id.User](ctx, db, seedUserSQL, args); err != nil {
			return nil, fmt.Errorf("add user %s: %w", p.Email, err)
		}
		team = append(team, p)
	}
	return team, nil
}

func seedTenant(ctx context.Context, db pg.DB, in tenant.CreateInput, team []person) (id.Tenant, error) {
	in.Owner = team[0].UserID
	var made tenant.Tenant
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if made, err = tenant.Create(ctx, tx, operator, in, tenant.Defaults{Strategies: []tenant.Strategy{tenant.RLS}}); err != nil {
			return err
		}
		inside := operator
		inside.Tenant = made.ID
		for _, p := range team[1:] {
			if _, err := member.Add(ctx, tx, inside, p.UserID, p.Role); err != nil {
				return err
			}
		}
		return seedUsage(ctx, tx, in.Slug, made.ID)
	})
	return made.ID, err
}
