// Package drill tries the wall of a running installation with two of its own tenants, as the least role there is: A does
// not see B, A sees A, no context sees nothing, and A can neither write to B nor change what B has. It goes over the
// declared tables that nself_app may read, in one transaction that is rolled back. It decides what is a leak and what is
// not proved; how that is shown is the command's.
package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
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
	// Tables narrows the drill to these declared tables, each of which then has to be proved; empty means all.
	Tables []isolation.Name
	// Tenants are candidates, two at the least. Of more than two, those with rows in the most tables are taken.
	Tenants []Tenant
}

// Check is one thing that was tried with one table.
type Check struct {
	Table  string `json:"table"`
	Name   string `json:"check"`
	Leak   bool   `json:"leak"`
	Proved bool   `json:"proved"` // false where there is nothing to see, or nothing that the attempt says
	Detail string `json:"detail"`
}

// Report is the outcome of a drill.
type Report struct {
	Role    string   `json:"role"`
	Tenants []Tenant `json:"tenants"` // A and B
	Held    bool     `json:"held"`    // no leak, and something was proved: of each table, where tables were named
	Checks  []Check  `json:"checks"`
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
	x := &exercise{tx: tx}
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
	report.Held = held(report.Checks, cfg.Tables)
	return report, nil
}

// held judges the whole: every table that was named has to be proved, of the others one.
func held(checks []Check, named []isolation.Name) bool {
	proved := map[string]bool{}
	for _, c := range checks {
		if c.Leak {
			return false
		}
		if c.Name == seesNoOther && c.Proved {
			proved[c.Table] = true
		}
	}
	return len(proved) > 0 && !slices.ContainsFunc(named, func(n isolation.Name) bool { return !proved[n.String()] })
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

// exercise is one run.
type exercise struct {
	tx     pgx.Tx
	a, b   Tenant
	tables isolation.List
}

const becomeSQL = `SELECT pg_catalog.set_config('role', 'nself_app', true)`

func (x *exercise) become(ctx context.Context) error {
	if _, err := x.tx.Exec(ctx, becomeSQL); err != nil {
		return fmt.Errorf("become nself_app: %w", err)
	}
	return nil
}

const enterSQL = `SELECT pg_catalog.set_config('hasura.user', @session, true)`

// enter puts the tenant in force, or nobody for nil.
func (x *exercise) enter(ctx context.Context, who *Tenant) error {
	setting := ""
	if who != nil {
		setting = session.Session{Role: session.TenantOwner, Tenant: who.ID}.Setting()
	}
	if _, err := x.tx.Exec(ctx, enterSQL, pgx.NamedArgs{"session": setting}); err != nil {
		return fmt.Errorf("name the tenant to the database: %w", err)
	}
	return nil
}

// choose finds the tables, and the two tenants that have rows in the most of them.
func (x *exercise) choose(ctx context.Context, cfg Config) error {
	list, err := isolation.Registered(ctx, x.tx)
	if err != nil {
		return fmt.Errorf("%w: run nself tenant init", err)
	}
	for _, name := range cfg.Tables {
		if t, ok := list.Find(name); !ok || !t.Walled() {
			return fmt.Errorf("%s is no declared tenant table: nself tenant protect %[1]s makes it one", name)
		}
	}
	for _, t := range list {
		if t.Walled() && (len(cfg.Tables) == 0 || slices.Contains(cfg.Tables, t.Name)) && slices.Contains(t.Grants[role], "select") {
			x.tables = append(x.tables, t)
		}
	}
	if len(x.tables) == 0 {
		return errors.New("nself_app may read none of the tables: grant it what your services need, in the list")
	}
	return x.pick(ctx, cfg.Tenants)
}

func (x *exercise) pick(ctx context.Context, candidates []Tenant) error {
	type choice struct {
		Tenant
		tables int
	}
	var choices []choice
	var without []string
	for _, c := range candidates {
		n, err := x.tablesWithRows(ctx, c)
		if err != nil {
			return err
		}
		if n == 0 {
			without = append(without, c.Name)
			continue
		}
		choices = append(choices, choice{c, n})
	}
	if len(choices) < 2 {
		missing := "two active tenants with rows are needed"
		if len(without) > 0 {
			missing += "; without any, or not active: " + strings.Join(without, ", ")
		}
		return errors.New(missing)
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return b.tables - a.tables })
	x.a, x.b = choices[0].Tenant, choices[1].Tenant
	return nil
}

func (x *exercise) tablesWithRows(ctx context.Context, who Tenant) (int, error) {
	if err := x.enter(ctx, &who); err != nil {
		return 0, err
	}
	found := 0
	for _, t := range x.tables {
		seen, err := x.count(ctx, t, who)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.Name, err)
		}
		if seen.own > 0 {
			found++
		}
	}
	return found, nil
}
