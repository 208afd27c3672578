package isolation

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// Protection is what puts tables behind both walls: their declarations, the statements of
// one migration, and what should be looked at by a person.
type Protection struct {
	Tables     List
	Statements []string // to run in order in one transaction as nself_owner
	Handover   []string // to run before, as who owns the tables now; mostly none
	Notes      []string

	verb    string    // what the migration does; empty: protect
	list    List      // what was declared before
	widened []widened // references that are composite now
}

// Request is what Protect is asked for.
type Request struct {
	List   List   // the declared tables; of others a standard declaration is made
	Names  []Name // the tables to protect
	Column string // the tenant column of those that are not declared
}

// Protect plans how the tables get behind the walls. Those the list declares get the wall
// it declares, the others the standard one. One that the database registers already keeps
// its columns and keys and gets its wall anew. It changes nothing. Everything that stands
// against it is reported at once: a table that is missing, has rows, or is referred to by
// a table without a wall, for example.
//
// db must be above row-level security, as an owner or superuser is.
func Protect(ctx context.Context, db pg.DB, r Request) (plan Protection, err error) {
	places, err := OwnSchemas(ctx, db)
	if err != nil {
		return plan, err
	}
	err = plainly(ctx, db, func(tx pgx.Tx) error {
		p, err := newPlanner(ctx, tx, planner{request: r, places: places})
		if err == nil {
			plan, err = p.plan()
		}
		return err
	})
	return plan, err
}

// planner is one run of Protect or Convert.
type planner struct {
	request    Request
	places     map[string]id.Tenant // schemas that are one tenant's
	online     bool                 // the tables have rows, and are written meanwhile
	registered List
	shapes     map[Name]*shape
	chosen     map[Name]Table
	faults     []error
	out        Protection
}

// newPlanner reads the tables of the request, or says all that stands against them.
func newPlanner(ctx context.Context, tx pgx.Tx, of planner) (*planner, error) {
	registered, err := Registered(ctx, tx)
	if err != nil {
		return nil, err
	}
	p := &of
	p.out, p.registered, p.shapes, p.chosen = Protection{list: p.request.List}, registered, map[Name]*shape{}, map[Name]Table{}
	for _, name := range p.request.Names {
		if _, twice := p.chosen[name]; twice {
			p.fail(name, "is named twice")
			continue
		}
		if err := p.read(ctx, tx, name); err != nil {
			return nil, err
		}
	}
	return p, errors.Join(p.faults...)
}

func (p *planner) fail(name Name, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s %s", name, fmt.Sprintf(format, args...)))
}

func (p *planner) note(name Name, format string, args ...any) {
	p.out.Notes = append(p.out.Notes, fmt.Sprintf("%s %s", name, fmt.Sprintf(format, args...)))
}

func (p *planner) add(statements ...string) {
	p.out.Statements = append(p.out.Statements, statements...)
}

// read takes a table into the plan, or says why it cannot be.
func (p *planner) read(ctx context.Context, db pg.DB, name Name) error {
	column := p.request.Column
	table, declared := p.request.List.Find(name)
	if declared {
		column = table.TenantColumn()
	}
	s, err := readShape(ctx, db, name, column)
	if err != nil {
		return err
	}
	if s == nil {
		p.fail(name, "does not exist")
		return nil
	}
	if !declared {
		table = p.newTable(name, s)
	}
	for _, column := range table.unknownColumns(s) {
		p.fail(name, "is declared with the column %s, which it has not", column)
	}
	p.shapes[name], p.chosen[name] = s, table
	if p.online && !p.adoptable(name, table) {
		return nil
	}
	switch {
	case !table.Walled() && s.Names:
		p.fail(name, "is declared shared, and its rows name a tenant: everybody would read all of them")
	case p.new(name) && table.Walled():
		return p.fits(ctx, db, name, s)
	}
	return nil
}

// new reports whether the table joins the list now: it is not registered, or was made anew
// under a registered name and does not refer to the tenants.
func (p *planner) new(name Name) bool {
	t, known := p.registered.Find(name)
	s := p.shapes[name]
	if !known {
		return s == nil || !s.stands(p.chosen[name])
	}
	return s != nil && t.Walled() && t.Outlives == "" && name != tenantsTable && !s.ofTenants(name, t.TenantColumn())
}

// stands reports whether the table has the wall already, as one that was renamed has.
func (s *shape) stands(t Table) bool {
	var policies []string
	for _, p := range t.AllPolicies() {
		policies = append(policies, p.Name)
	}
	slices.Sort(policies)
	return t.Walled() && s.Forced && s.ofTenants(t.Name, t.TenantColumn()) && slices.Equal(policies, s.Policies)
}

// ofTenants reports whether the tenant column refers to the tenants.
func (s *shape) ofTenants(name Name, column string) bool {
	return slices.ContainsFunc(s.foreign, func(f foreignKey) bool {
		return f.from() == name && f.to() == tenantsTable && slices.Equal(f.Columns, []string{column})
	})
}

// unknownColumns are the columns of permissions that the table has not.
func (t Table) unknownColumns(s *shape) []string {
	var unknown []string
	for _, p := range t.Permissions {
		for _, column := range slices.Concat(p.Select, p.Insert, p.Update) {
			if column != t.TenantColumn() && !slices.Contains(s.Columns, column) && !slices.Contains(unknown, column) {
				unknown = append(unknown, column)
			}
		}
	}
	return unknown
}

// newTable is the declaration of a table of the customer's: their services and Hasura
// read and write it, this server reads it, guests read.
func (p *planner) newTable(name Name, s *shape) Table {
	all := []string{"select", "insert", "update", "delete"}
	t := Table{Name: name, Grants: Grants{"nself_app": all, "nself_hasura": all, "nself_server": {"select"}, "nself_tenant": {"select"}}}
	if s.ForHasura {
		t.Grants["nself_hasura"] = append(slices.Clone(all), "trigger")
	}
	column := p.request.Column
	if column != "tenant_id" {
		t.Column = column
	}
	if !inGraphQL(name.Schema) || !inGraphQL(name.Name) || !inGraphQL(column) {
		p.note(name, "has no name that GraphQL can have, so Hasura is not given it; rename it, or declare permissions and track it under a custom name")
		return t
	}
	readable := []string{column}
	var writable, changeable []string
	for _, c := range s.Columns {
		switch {
		case !inGraphQL(c):
			p.note(name, "has the column %s, which is no name that GraphQL can have: Hasura is not given it", c)
			continue
		case slices.Contains(s.Generated, c):
		case slices.Contains(s.Identifying, c):
			writable = append(writable, c)
		default:
			writable, changeable = append(writable, c), append(changeable, c)
		}
		readable = append(readable, c)
	}
	t.Permissions = []Permission{
		{Roles: []string{"tenant_owner", "tenant_admin", "tenant_member"}, Select: readable, Aggregations: true, Insert: writable, Update: changeable, Delete: true},
		{Roles: []string{"tenant_guest"}, Select: readable, Aggregations: true},
	}
	return t
}

// graphQLName is what the GraphQL specification takes for a name.
var graphQLName = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]*$`)

// inGraphQL reports whether a name can be a field and a value of an enumeration.
func inGraphQL(name string) bool {
	return graphQLName.MatchString(name) && !slices.Contains([]string{"true", "false", "null"}, name)
}

// Metadata is what Hasura's metadata is to hold of the tables: their entries with the
// permissions of the list, and those relationships of the entries in tracked that have to
// follow a reference that is composite now. What an entry limits further, or gives to
// roles that no token carries, is an error: the list cannot declare it and it would be
// lost, or stay as a hole.
func (p Protection) Metadata(tracked *metadata.Metadata) ([]metadata.Table, error) {
	var entries []metadata.Table
	var faults []error
	for _, t := range p.concerned() {
		at := slices.IndexFunc(tracked.Tables, func(known metadata.Table) bool { return Name(known.Table) == t.Name })
		if at < 0 {
			if len(t.Permissions) > 0 {
				entries = append(entries, t.Tracked(metadata.Table{}))
			}
			continue
		}
		if tracked.Tables[at].IsEnum {
			faults = append(faults, fmt.Errorf("%s: in Hasura it is an enum table, which is the same for all tenants: declare it as rows: shared", t.Name))
		}
		for _, extra := range extras(tracked.Tables[at]) {
			faults = append(faults, fmt.Errorf("%s: in Hasura %s, which the list cannot declare: take it out of the metadata first", t.Name, extra))
		}
		entry, moved := p.rewire(tracked.Tables[at])
		if moved || slices.ContainsFunc(p.Tables, func(own Table) bool { return own.Name == t.Name }) {
			entries = append(entries, t.Tracked(entry))
		}
	}
	return entries, errors.Join(faults...)
}
