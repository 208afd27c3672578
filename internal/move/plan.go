package move

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// Plan is what a move is about. It is kept with the move, so that whoever goes on with it
// finds out where the tables have changed.
type Plan struct {
	To     Target  `json:"to"`
	Schema string  `json:"schema"`
	Made   bool    `json:"made"` // the schema was made for this move, and goes when it is undone
	Tables []Table `json:"tables"`
	// Groups are the tables in the order of copying, by their place in Tables: those that
	// are referred to first, those that refer to one another in one group.
	Groups [][]int  `json:"groups"`
	Notes  []string `json:"notes,omitempty"`
	Silent bool     `json:"-"` // see silent; the next login may be another
}

// Table is one table of a tenant: where it is in the shared schema and in its own.
type Table struct {
	Shared  Side     `json:"shared"`
	Own     Side     `json:"own"`
	Key     []column `json:"key"`
	Columns []string `json:"columns"` // both sides have them; the tenant's is left out
	Writes  []string `json:"writes"`  // those of Columns that are not generated
	Circle  bool     `json:"circle"`  // its rows refer to rows of the same table
}

// Side is a table in one of the two places.
type Side struct {
	Table  isolation.Name `json:"table"`
	Tenant string         `json:"tenant,omitempty"` // the column that names the tenant; "" where there is none
	Shape  *shape         `json:"shape"`
}

// name is what the table is called in the plan, in progress and in notes.
func (t Table) name() string { return t.Shared.Table.String() }

// source and target are the places before and after the cut-over.
func (p Plan) source(t Table) Side {
	if p.To == ToSchema {
		return t.Shared
	}
	return t.Own
}

func (p Plan) target(t Table) Side {
	if p.To == ToSchema {
		return t.Own
	}
	return t.Shared
}

// match builds the plan from the registered tables and the catalog, or tells all problems.
func match(to Target, schema string, list isolation.List, shapes map[isolation.Name]*shape) (Plan, error) {
	m := matcher{plan: Plan{To: to, Schema: schema}, shapes: shapes, seen: map[string]isolation.Name{}}
	shared := map[string]bool{}
	for _, t := range list {
		switch {
		case t.Rows == isolation.Shared:
			shared[t.Name.Name] = true
		case t.Rows == "" || t.Rows == isolation.OfTenant:
			m.take(t)
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(shapes), func(a, b isolation.Name) int { return strings.Compare(a.String(), b.String()) }) {
		if _, known := m.seen[name.Name]; name.Schema != schema || known {
			continue
		}
		if to == ToRLS && !shared[name.Name] {
			m.fail("%s has no counterpart among the shared tables, and would be lost with the schema", name)
		} else {
			m.plan.Notes = append(m.plan.Notes, fmt.Sprintf("%s has no counterpart among the tenant tables and is not moved", name))
		}
	}
	m.outside()
	m.reads()
	if len(m.seen) == 0 {
		m.fail("no table of yours is registered as the tenants': nself tenant protect, or adopt, registers them")
	}
	if len(m.problems) > 0 {
		return m.plan, m.problems
	}
	m.plan.order()
	return m.plan, nil
}

type matcher struct {
	plan     Plan
	shapes   map[isolation.Name]*shape
	seen     map[string]isolation.Name // the shared tables, by the name they have in the schema
	problems Problems
}

func (m *matcher) fail(format string, args ...any) {
	m.problems = append(m.problems, fmt.Sprintf(format, args...))
}

// take adds a registered table with its counterpart.
func (m *matcher) take(t isolation.Table) {
	own := isolation.Name{Schema: m.plan.Schema, Name: t.Name.Name}
	if twin, twice := m.seen[t.Name.Name]; twice {
		m.fail("%s and %s would be one table in the schema of a tenant: rename one", twin, t.Name)
		return
	}
	m.seen[t.Name.Name] = t.Name
	table := Table{
		Shared: Side{Table: t.Name, Tenant: t.TenantColumn(), Shape: m.shapes[t.Name]},
		Own:    Side{Table: own, Shape: m.shapes[own]},
	}
	if table.Own.Shape == nil {
		m.fail("%s is missing in the tenant's schema: a file of tenant_migrations/ has to make it", own)
	}
	if table.Shared.Shape == nil {
		m.fail("%s is registered and does not exist", t.Name)
	}
	if table.Own.Shape == nil || table.Shared.Shape == nil {
		return
	}
	if _, has := table.Own.Shape.column(t.TenantColumn()); has {
		table.Own.Tenant = t.TenantColumn()
	}
	for _, side := range []Side{table.Shared, table.Own} {
		m.usable(side)
	}
	m.columns(&table)
	m.key(&table)
	m.plan.Tables = append(m.plan.Tables, table)
}

// usable reports what keeps a single table from being moved.
func (m *matcher) usable(s Side) {
	switch {
	case s.Shape.Kind != "r" && s.Shape.Kind != "p":
		m.fail("%s is no table", s.Table)
	case s.Shape.Owner != "nself_owner":
		m.fail("%s is owned by %s: nself_owner has to own it", s.Table, s.Shape.Owner)
	case !s.Shape.Admits:
		m.fail("%s has no policy that shows nself_owner every row", s.Table)
	}
}

// columns compares the columns of both sides.
func (m *matcher) columns(t *Table) {
	tenant := t.Shared.Tenant
	for _, c := range t.Shared.Shape.Columns {
		own, found := t.Own.Shape.column(c.Name)
		switch {
		case c.Name == tenant:
			continue
		case !found:
			m.fail("%s has the column %s, and %s has not", t.Shared.Table, c.Name, t.Own.Table)
			continue
		}
		m.agree(t, c, own)
		t.Columns = append(t.Columns, c.Name)
		if c.Generated == "" {
			t.Writes = append(t.Writes, c.Name)
		}
	}
	for _, c := range t.Own.Shape.Columns {
		if _, found := t.Shared.Shape.column(c.Name); !found {
			m.fail("%s has the column %s, and %s has not", t.Own.Table, c.Name, t.Shared.Table)
		}
	}
}

// agree compares one column. An identity may differ: the numbers are copied.
func (m *matcher) agree(t *Table, shared, own column) {
	differ := func(what string, one, other any) {
		m.fail("the column %s of %s is %v%v, that of %s %v%v", shared.Name, t.Shared.Table, what, one, t.Own.Table, what, other)
	}
	switch {
	case shared.Type != own.Type:
		differ("of type ", shared.Type, own.Type)
	case shared.Collation != own.Collation:
		differ("of collation ", orElse(shared.Collation, "the type's own"), orElse(own.Collation, "the type's own"))
	case shared.NotNull != own.NotNull:
		differ("", nullness(shared.NotNull), nullness(own.NotNull))
	case shared.Generated != own.Generated:
		differ("generated as ", orElse(shared.Generated, "nothing"), orElse(own.Generated, "nothing"))
	}
}

func nullness(notNull bool) string {
	if notNull {
		return "not null"
	}
	return "nullable"
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// key finds the columns that tell rows of the tenant apart, which are the same on both
// sides but for the tenant's.
func (m *matcher) key(t *Table) {
	without := func(s Side) []string {
		return slices.DeleteFunc(slices.Clone(s.Shape.Key), func(c string) bool { return c == t.Shared.Tenant })
	}
	shared, own := without(t.Shared), without(t.Own)
	same := len(shared) == len(own) && !slices.ContainsFunc(shared, func(c string) bool { return !slices.Contains(own, c) })
	switch {
	case len(t.Shared.Shape.Key) == 0 || len(t.Own.Shape.Key) == 0:
		m.fail("%s and %s need a primary key each", t.Shared.Table, t.Own.Table)
	case len(shared) == 0:
		m.fail("the primary key of %s is the tenant alone: a row of the tenant has no name by it", t.Shared.Table)
	case !same:
		m.fail("the primary key of %s is (%s) beside the tenant, that of %s (%s)", t.Shared.Table, strings.Join(shared, ", "), t.Own.Table, strings.Join(own, ", "))
	}
	for _, name := range shared {
		c, _ := t.Shared.Shape.column(name)
		if strings.HasPrefix(c.Type, "jsonb") {
			m.fail("the primary key of %s has the column %s of type %s, in which a null of JSON cannot be told from none", t.Shared.Table, name, c.Type)
		}
		t.Key = append(t.Key, c)
	}
}

// outside finds tables that refer to moved ones and do not move with them: their rows would
// go with the source, or keep it from going.
func (m *matcher) outside() {
	moved := map[uint32]bool{}
	for _, t := range m.plan.Tables {
		moved[t.Shared.Shape.OID], moved[t.Own.Shape.OID] = true, true
	}
	for _, t := range m.plan.Tables {
		for _, side := range []Side{t.Shared, t.Own} {
			for _, r := range side.Shape.Referred {
				if !moved[r.OID] {
					m.fail("%s refers to %s and does not move with it", r.Name, side.Table)
				}
			}
		}
	}
}
