package isolation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

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
	err = plainly(ctx, db, func(tx pgx.Tx) error {
		registered, err := Registered(ctx, tx)
		if err != nil {
			return err
		}
		p := planner{request: r, registered: registered, shapes: map[Name]*shape{}, chosen: map[Name]Table{}}
		for _, name := range r.Names {
			if _, twice := p.chosen[name]; twice {
				p.fail(name, "is named twice")
				continue
			}
			if err := p.read(ctx, tx, name); err != nil {
				return err
			}
		}
		if len(p.faults) > 0 {
			return errors.Join(p.faults...)
		}
		plan, err = p.plan()
		return err
	})
	return plan, err
}

// planner is one run of Protect.
type planner struct {
	request    Request
	registered List
	shapes     map[Name]*shape
	chosen     map[Name]Table
	faults     []error
	out        Protection
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
		table = newTable(name, column, s)
	}
	if p.new(name) {
		if err := p.fits(ctx, db, name, s); err != nil {
			return err
		}
	}
	p.shapes[name], p.chosen[name] = s, table
	return nil
}

// new reports whether the table joins the list now.
func (p *planner) new(name Name) bool {
	_, known := p.registered.Find(name)
	return !known
}

// fits reports what keeps a new table from being protected.
func (p *planner) fits(ctx context.Context, db pg.DB, name Name, s *shape) error {
	switch {
	case s.Kind != "r" && s.Kind != "p":
		p.fail(name, "is no table; a view over protected tables needs WITH (security_invoker = true) and nothing else")
		return nil
	case s.Inherits:
		p.fail(name, "is a partition or a child of another table: protect the parent")
		return nil
	case s.TenantType != nil && *s.TenantType != "uuid":
		p.fail(name, "has a tenant column of type %s: it must be uuid", *s.TenantType)
	case len(s.Policies) > 0:
		p.fail(name, "has policies of its own (%s): drop them, they would admit rows beside the wall", strings.Join(s.Policies, ", "))
	}
	for _, k := range s.keys {
		if k.Kind == "x" && !k.HasTenant {
			p.fail(name, "has the exclusion constraint %s across tenants: make it anew with the tenant column WITH =", k.Name)
		}
	}
	none, err := empty(ctx, db, name)
	if err == nil && !none {
		p.fail(name, "has rows: protect takes new or empty tables")
	}
	return err
}

// newTable is the declaration of a table of the customer's: their services and Hasura
// read and write it, this server reads it, guests read.
func newTable(name Name, column string, s *shape) Table {
	all := []string{"select", "insert", "update", "delete"}
	t := Table{Name: name, Grants: Grants{"nself_app": all, "nself_hasura": all, "nself_server": {"select"}, "nself_tenant": {"select"}}}
	if column != "tenant_id" {
		t.Column = column
	}
	writable := slices.DeleteFunc(slices.Clone(s.Columns), func(c string) bool { return slices.Contains(s.Generated, c) })
	changeable := slices.DeleteFunc(slices.Clone(writable), func(c string) bool { return slices.Contains(s.Identifying, c) })
	readable := append([]string{column}, s.Columns...)
	t.Permissions = []Permission{
		{Roles: []string{"tenant_owner", "tenant_admin", "tenant_member"}, Select: readable, Aggregations: true, Insert: writable, Update: changeable, Delete: true},
		{Roles: []string{"tenant_guest"}, Select: readable, Aggregations: true},
	}
	return t
}

// Metadata is what Hasura's metadata is to hold of the tables: their entries as tracked has
// them, with the permissions of the list. What an entry limits further and the list cannot
// declare is an error: it would be lost.
func (p Protection) Metadata(tracked *metadata.Metadata) ([]metadata.Table, error) {
	var entries []metadata.Table
	var faults []error
	for _, t := range p.Tables {
		var entry metadata.Table
		at := slices.IndexFunc(tracked.Tables, func(known metadata.Table) bool { return Name(known.Table) == t.Name })
		if at >= 0 {
			entry = tracked.Tables[at]
			for _, extra := range extras(entry) {
				faults = append(faults, fmt.Errorf("%s: the permission of %s, which the list cannot declare and would take away: take it out of the metadata first", t.Name, extra))
			}
		}
		if len(t.Permissions) > 0 || at >= 0 {
			entries = append(entries, t.Tracked(entry))
		}
	}
	return entries, errors.Join(faults...)
}
