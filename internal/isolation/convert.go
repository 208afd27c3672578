package isolation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Conversion is what tables that have rows lack of the wall that Protect would put around
// them, in parts that can be done one by one while the tables are written: see the package
// adoption, which does them.
type Conversion struct {
	Protection Protection // what Protect would do if the tables were empty: for the files and Hasura
	Tables     []Converted
	References []ConvertedReference
	Wall       []string // what is left once columns, keys and references are there, in order
}

// Converted is one of the tables.
type Converted struct {
	Name      Name
	OID       uint32
	Owner     string
	Column    string // the tenant column
	Exists    bool   // the column is there already
	NotNull   bool
	Default   string // of the column, as SQL; "" is none
	Bare      []ConvertedReference
	Reference string // the definition of the reference to the tenants that it lacks; "" where it has it
	Keys      []ConvertedKey
	Led       bool     // an index is led by the tenant column once the keys are
	Triggers  []string // of the customer's, that see the rows change
	Services  []ServiceGrant
	Outline   []string
}

// ServiceGrant is what a login of services lacks to come to the table before the wall
// stands: nothing binds it to a tenant until then, as nothing binds anybody.
type ServiceGrant struct {
	Give string // the statement
	Take string // and the one that takes it back
}

// ConvertedKey is a key that holds across tenants and will hold within one.
type ConvertedKey struct {
	Name       string
	Constraint string   // "PRIMARY KEY" or "UNIQUE"; "" of an index alone
	After      []string // statements once it has the name of the one before it
	definition string
}

// ConvertedReference is a reference that gets the tenant columns into it. Of one to the
// tenants alone only From, To and Name are set: it is taken down.
type ConvertedReference struct {
	From, To  Name
	Name      string
	Validated bool // it held for all rows before, so it is to hold for all rows again
	wide      widened
}

// Convert plans how tables that have rows and are written get behind the walls. It refuses
// what Protect refuses, but for the rows, and what cannot be done beside writers; all of it
// is reported at once. It changes nothing. own begins the names of what the conversion
// itself makes on its way.
func Convert(ctx context.Context, db pg.DB, r Request, own string) (c Conversion, err error) {
	places, err := OwnSchemas(ctx, db)
	if err != nil {
		return c, err
	}
	err = plainly(ctx, db, func(tx pgx.Tx) error {
		p, err := newPlanner(ctx, tx, planner{request: r, places: places, online: true})
		if err != nil {
			return err
		}
		if c.Protection, err = p.plan(); err != nil {
			return err
		}
		p.out = Protection{list: r.List}
		c.Tables, c.References = p.converted(own)
		p.begin()
		p.out.Statements = nil
		p.walls()
		c.Wall = p.out.Statements
		return nil
	})
	return c, err
}

// adoptable says what keeps a table's declaration from being adopted.
func (p *planner) adoptable(name Name, t Table) bool {
	switch {
	case !p.new(name):
		p.fail(name, "is behind the wall already: nself tenant protect --check tells how it stands")
	case !t.Walled():
		p.fail(name, "is declared shared: nself tenant protect takes it as it is, rows and all")
	case t.Rows == OfMembers:
		p.fail(name, "is declared as people, who belong to many tenants: it cannot be adopted for one")
	case t.Nullable != "":
		p.fail(name, "is declared with rows of no tenant, which cannot be told from those to adopt")
	default:
		return true
	}
	return false
}

// fitsOnline reports what keeps a table that is written from being converted.
func (p *planner) fitsOnline(name Name, s *shape) {
	if s.Kind == "p" {
		p.fail(name, "is partitioned: Postgres builds no index of all partitions beside writers; adopt takes plain tables")
	}
	if len(s.Identifying) == 0 {
		p.fail(name, "has no primary key, by which its rows are told apart (a move copies by it): add one first")
	}
	if s.TenantMade {
		p.fail(name, "has a generated tenant column: make it a plain one")
	}
	column := p.chosen[name].TenantColumn()
	for _, k := range s.keys {
		switch _, global := p.chosen[name].Global[k.Name]; {
		case k.HasTenant || global || k.Partition != "" || k.Kind == "x":
		case k.Deferrable:
			p.fail(name, "has the key %s DEFERRABLE, and its index within tenants would not wait for the end of a transaction: make it not deferrable first", k.Name)
		case k.Needed:
			p.fail(name, "has the key %s on which a view rests (it groups by it): drop the view, and make it anew afterwards", k.Name)
		default:
			p.note(name, "has the key %s: from the switch on it holds within a tenant, and an upsert ON CONFLICT by its columns has to name %s too", k.Name, column)
		}
	}
}

// converted tells what each table lacks.
func (p *planner) converted(own string) (tables []Converted, references []ConvertedReference) {
	for _, name := range p.request.Names {
		t, s := p.chosen[name], p.shapes[name]
		c := Converted{Name: name, OID: s.OID, Owner: s.Owner, Column: t.TenantColumn(), Exists: s.TenantType != nil, NotNull: s.TenantNotNull,
			Triggers: s.Triggers, Services: s.serviceGrants(t), Outline: s.outline(own)}
		if s.TenantDefault != nil {
			c.Default = *s.TenantDefault
		}
		cascades, bare := s.tenantReferences(t)
		for _, f := range bare {
			c.Bare = append(c.Bare, ConvertedReference{From: name, To: tenantsTable, Name: f.Name})
		}
		if !cascades && t.Outlives == "" {
			c.Reference = t.tenantReference()
		}
		for _, k := range s.keys {
			_, global := t.Global[k.Name]
			if k.HasTenant || global {
				c.Led = c.Led || k.Led
				continue
			}
			c.Keys = append(c.Keys, ConvertedKey{Name: k.Name, Constraint: constraints[k.Kind], After: s.published(name, k.Name), definition: openingWith(k.Index, c.Column)})
			c.Led = c.Led || k.Kind != ""
		}
		for _, w := range p.widening(name) {
			references = append(references, ConvertedReference{From: w.from(), To: w.to(), Name: w.Name, Validated: !strings.HasSuffix(w.Definition, " NOT VALID"), wide: w})
		}
		tables = append(tables, c)
	}
	return tables, references
}

// serviceGrants are for the roles that write, in the order of their names. What the wall
// revokes from them it grants as declared again.
func (s *shape) serviceGrants(t Table) []ServiceGrant {
	var lacking []ServiceGrant
	give := func(what, role string) {
		lacking = append(lacking, ServiceGrant{Give: "GRANT " + what + " TO " + role, Take: "REVOKE " + what + " FROM " + role})
	}
	schema := Quote(t.Name.Schema)
	for _, role := range slices.Sorted(maps.Keys(t.Grants)) {
		if !slices.Contains(t.Grants[role], "insert") {
			continue
		}
		if slices.Contains(s.Outside, role) {
			lacking = append(lacking, ServiceGrant{Give: "GRANT USAGE ON SCHEMA " + schema + " TO " + role,
				// Another adoption may have given it something there meanwhile.
				Take: fmt.Sprintf(revokeUsage, Literal(schema), role, schema)})
		}
		missing := slices.DeleteFunc(slices.Clone(t.Grants[role]), func(privilege string) bool { return slices.Contains(s.Granted, role+" "+privilege) })
		if len(missing) > 0 {
			give(strings.ToUpper(strings.Join(missing, ", "))+" ON "+t.Name.Quoted(), role)
		}
		for _, sequence := range s.Sequences {
			if !slices.Contains(s.Granted, role+" "+sequence) {
				give("USAGE ON SEQUENCE "+sequence, role)
			}
		}
	}
	return lacking
}

// revokeUsage takes a schema, as a text and quoted, and a role that has nothing there any more.
const revokeUsage = `DO $revoke$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c, aclexplode(c.relacl) AS g WHERE c.relnamespace = to_regnamespace(%[1]s) AND g.grantee = '%[2]s'::regrole) THEN
    REVOKE USAGE ON SCHEMA %[3]s FROM %[2]s;
  END IF;
END
$revoke$`

// constraints are what keys are called in SQL.
var constraints = map[string]string{"p": "PRIMARY KEY", "u": "UNIQUE"}

// Create is the statement that makes the key's index under a name, beside writers.
func (k ConvertedKey) Create(name string) string {
	_, after, _ := cutOutsideQuotes(k.definition, " ON ")
	return "CREATE UNIQUE INDEX CONCURRENTLY " + Quote(name) + " ON " + after
}

// Add is the statement that makes the reference under a name, for the rows from now on.
func (r ConvertedReference) Add(name string) string {
	return strings.TrimSuffix(r.wide.add(name), " NOT VALID") + " NOT VALID"
}

// outline is what a plan rests on: what must not change until it is carried out. Names
// that begin with own are the plan's.
func (s *shape) outline(own string) []string {
	lines := []string{"the owner " + s.Owner}
	several := func(what string, names []string) {
		for _, name := range names {
			lines = append(lines, what+" "+name)
		}
	}
	several("the column", s.Columns)
	several("the policy", s.Policies)
	several("a grant to", slices.DeleteFunc(slices.Clone(s.Grantees), func(role string) bool { return slices.Contains(grantedAlways, role) }))
	several("the sequence", s.Sequences)
	several("the partition", s.Partitions)
	lines = append(lines, s.Passing...)
	for _, k := range s.keys {
		if !strings.HasPrefix(k.Name, own) {
			lines = append(lines, "the key "+k.Name+" "+k.Definition)
		}
	}
	for _, f := range s.foreign {
		if !strings.HasPrefix(f.Name, own) {
			lines = append(lines, fmt.Sprintf("the reference %s of %s %s", f.Name, f.from(), f.Definition))
		}
	}
	return lines
}

// Outline reads what a conversion rests on, to be held against Converted.Outline before it
// is carried out; nil where the table is gone.
func Outline(ctx context.Context, db pg.DB, of Converted, own string) (lines []string, err error) {
	err = plainly(ctx, db, func(tx pgx.Tx) error {
		s, err := readShape(ctx, tx, of.Name, of.Column)
		if s != nil {
			lines = s.outline(own)
		}
		return err
	})
	return lines, err
}

// Switch is the migration that ends the conversion: it stands in the ledger under the
// number of the written one, so that this one is not run here again. first are the
// statements before the wall.
func (c Conversion) Switch(at time.Time, first []string) Migration {
	p := c.Protection
	p.Statements = slices.Concat(first, c.Wall)
	return p.Migration(at)
}
