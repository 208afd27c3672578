// Package drill tries the wall of a running installation with two of its own tenants, as the least role there is: A does
// not see B, A sees A, no context sees nothing, and A can neither write to B nor change what B has, whoever of A asks. It
// goes over the declared tables that nself_app may read, and over their partitions by name, in one transaction that is
// rolled back. It decides what is a leak and what is not proved; how that is shown is the command's.
package drill

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// role is the role that everything is tried as.
const role = "nself_app"

// Tenant is a tenant that the drill may use.
type Tenant struct {
	ID   id.Tenant `json:"id"`
	Name string    `json:"name"` // what people call it: a slug, or the id again
}

// Config says what is tried.
type Config struct {
	// Tables narrows the drill to these declared tables, of which every check then has to be proved; empty means all.
	Tables []isolation.Name
	// Tenants are candidates, two at the least. Of more than two, those with rows in the most tables are taken.
	Tenants []Tenant
}

// Check is one thing that was tried with one table.
type Check struct {
	Table  string `json:"table"`
	Name   string `json:"check"`
	Leak   bool   `json:"leak"`
	Proved bool   `json:"proved"` // false where there is nothing to see, or where the attempt failed before the wall was met
	Detail string `json:"detail"`
}

// Report is the outcome of a drill.
type Report struct {
	Role    string   `json:"role"`
	Tenants []Tenant `json:"tenants"` // A and B
	Held    bool     `json:"held"`    // no leak, and something was proved; where tables were named, every check
	Checks  []Check  `json:"checks"`
	// Unproved counts the checks that showed neither a leak nor that there is none.
	Unproved int `json:"unproved"`
}

// Run makes the drill and leaves nothing behind. The connection's role is nself_app, or one that may become it; a
// superuser, an owner of the tables and a role that bypasses row-level security are refused, for whom a wall proves
// nothing. Other errors name what is missing: two tenants with rows, or a table of the list.
func Run(ctx context.Context, conn *pgx.Conn, cfg Config) (Report, error) {
	if err := trusted(ctx, conn); err != nil {
		return Report{}, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("begin the drill: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // with the connection gone it is rolled back, too
	x := &exercise{tx: tx, actors: map[id.Tenant][]actor{}}
	if err := x.become(ctx); err != nil {
		return Report{}, err
	}
	if err := x.choose(ctx, cfg); err != nil {
		return Report{}, err
	}
	report := Report{Role: role, Tenants: []Tenant{x.a, x.b}}
	for _, t := range x.tables {
		checks, err := x.table(ctx, t)
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", t.Name, err)
		}
		report.Checks = append(report.Checks, checks...)
	}
	if len(cfg.Tables) == 0 {
		checks, err := x.places(ctx, cfg.Tenants)
		if err != nil {
			return Report{}, err
		}
		report.Checks = append(report.Checks, checks...)
	}
	report.judge(len(cfg.Tables) > 0)
	return report, nil
}

// judge decides on the whole: of all tables one has to be proved, of named ones every check.
func (r *Report) judge(named bool) {
	leaks, proved := 0, 0
	for _, c := range r.Checks {
		switch {
		case c.Leak:
			leaks++
		case !c.Proved:
			r.Unproved++
		case c.Name == seesNoOther:
			proved++
		}
	}
	r.Held = leaks == 0 && proved > 0 && (!named || r.Unproved == 0)
}

const trustSQL = `
SELECT r.rolname AS name, r.rolsuper AS super, r.rolbypassrls AS bypass,
	coalesce(pg_catalog.pg_has_role(r.oid, pg_catalog.to_regrole('nself_app')::oid, 'MEMBER'), false) AS member,
	EXISTS (SELECT FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
		WHERE p.polname = 'active_tenant' AND pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owner
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

type trust struct {
	Name                         string
	Super, Bypass, Member, Owner bool
}

func trusted(ctx context.Context, conn *pgx.Conn) error {
	who, err := pg.One[trust](ctx, conn, trustSQL, nil)
	why := ""
	switch {
	case err != nil:
		return fmt.Errorf("look at the role of DATABASE_URL: %w", err)
	case who.Super:
		why = "a superuser"
	case who.Bypass:
		why = "above row-level security (BYPASSRLS)"
	case who.Owner:
		why = "an owner of the tables"
	case !who.Member:
		return fmt.Errorf("DATABASE_URL connects as %s, which may not become nself_app: connect as nself_app", who.Name)
	default:
		return nil
	}
	return fmt.Errorf("DATABASE_URL connects as %s, which is %s: that would prove nothing, so connect as nself_app", who.Name, why)
}
