package adoption

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
)

var tenantsTable = isolation.Name{Schema: "tenants", Name: "tenants"}

// ownTenant is what a row's tenant is by default once the wall stands.
const ownTenant = "tenants.current_tenant_id()"

// renderer writes a conversion as steps.
type renderer struct {
	tenant id.Tenant
	sizes  map[isolation.Name]size
	steps  []Step

	made   int
	drops  []string // what the switch begins with: references that keep old keys
	swaps  []string // and then: keys, names, defaults
	locked []isolation.Name
}

func (r *renderer) add(s Step) { r.steps = append(r.steps, s) }

// temporary is a name that nothing else has.
func (r *renderer) temporary(t isolation.Converted) string {
	r.made++
	return fmt.Sprintf("%s%d_%d", own, t.OID, r.made)
}

// conversion writes the steps in the order in which each can be done.
func (r *renderer) conversion(c isolation.Conversion, at time.Time) {
	tables := map[isolation.Name]isolation.Converted{}
	for _, t := range c.Tables {
		tables[t.Name] = t
		r.locked = append(r.locked, t.Name)
		r.expand(t)
	}
	for _, t := range c.Tables {
		r.fill(t)
	}
	for _, t := range c.Tables {
		r.tenantReference(t)
	}
	for _, t := range c.Tables {
		r.keys(t)
	}
	for _, reference := range c.References {
		r.reference(reference, c.Tables[0])
	}
	for _, t := range c.Tables {
		r.add(Step{Kind: Scan, What: "statistics of the tenant column, for the plans that go by it", Table: t.Name, Rows: r.sizes[t.Name].Rows,
			Do: Work{Locks: []Lock{{t.Name, changers}}, SQL: []string{"ANALYZE " + t.Name.Quoted() + " (" + isolation.Quote(t.Column) + ")"}}})
	}
	for _, t := range c.Tables {
		r.swaps = append(r.swaps, "ALTER TABLE "+t.Name.Quoted()+" ALTER COLUMN "+isolation.Quote(t.Column)+" SET DEFAULT "+ownTenant)
	}
	for _, t := range c.Tables {
		r.services(t)
	}
	r.turn(c, at)
	r.add(Step{Kind: Track, What: "the permissions of Hasura", Table: c.Tables[0].Name})
}

// expand gives the table its tenant column, which answers for every row that is there and
// for every row of writers that do not know it.
func (r *renderer) expand(t isolation.Converted) {
	alter, column := "ALTER TABLE "+t.Name.Quoted(), isolation.Quote(t.Column)
	tenant := isolation.Literal(r.tenant.String())
	locks := []Lock{{t.Name, everybody}}
	switch {
	case !t.Exists:
		r.add(Step{Kind: Change, What: "the tenant column; its constant default answers for the rows of before, and none is rewritten", Table: t.Name,
			Do:   Work{locks, []string{alter + " ADD COLUMN " + column + " uuid NOT NULL DEFAULT " + tenant}},
			Undo: Work{locks, []string{alter + " DROP COLUMN IF EXISTS " + column}}})
	case !t.NotNull:
		trigger := isolation.Quote(own + "fill")
		do := []string{fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW WHEN (NEW.%s IS NULL) EXECUTE FUNCTION nself.fill_tenant(%s, %s)",
			trigger, t.Name.Quoted(), column, isolation.Literal(t.Column), tenant)}
		undo := []string{"DROP TRIGGER IF EXISTS " + trigger + " ON " + t.Name.Quoted()}
		r.swaps = append(r.swaps, "DROP TRIGGER "+trigger+" ON "+t.Name.Quoted())
		if t.Default == "" {
			do = append(do, alter+" ALTER COLUMN "+column+" SET DEFAULT "+tenant)
			undo = append(undo, alter+" ALTER COLUMN "+column+" DROP DEFAULT")
		}
		r.add(Step{Kind: Change, What: "from now on rows that are written without a tenant get it", Table: t.Name, Do: Work{locks, do}, Undo: Work{locks, undo}})
	}
}

// fill gives the rows of before the tenant and holds the column to it, where it was there
// already and may be null.
func (r *renderer) fill(t isolation.Converted) {
	if !t.Exists || t.NotNull {
		return
	}
	alter, column := "ALTER TABLE "+t.Name.Quoted(), isolation.Quote(t.Column)
	rows, check := r.sizes[t.Name].Rows, isolation.Quote(r.temporary(t))
	locks := []Lock{{t.Name, everybody}}
	r.add(Step{Kind: Fill, What: "the rows of before get the tenant, in batches", Table: t.Name, Rows: rows, Column: t.Column, Tenant: r.tenant,
		Do: Work{[]Lock{{t.Name, nobody}}, []string{fillStatement(t.Name, t.Column, r.tenant, "…", "…")}}})
	r.add(Step{Kind: Change, What: "no row without a tenant from now on", Table: t.Name,
		Do:   Work{locks, []string{alter + " ADD CONSTRAINT " + check + " CHECK (" + column + " IS NOT NULL) NOT VALID"}},
		Undo: Work{locks, []string{alter + " DROP CONSTRAINT IF EXISTS " + check}}})
	r.add(Step{Kind: Scan, What: "and none of before", Table: t.Name, Rows: rows, Column: t.Column,
		Do: Work{[]Lock{{t.Name, changers}}, []string{alter + " VALIDATE CONSTRAINT " + check}}})
	r.add(Step{Kind: Change, What: "NOT NULL, which the check has proved", Table: t.Name,
		Do:   Work{locks, []string{alter + " ALTER COLUMN " + column + " SET NOT NULL", alter + " DROP CONSTRAINT " + check}}, // in this order, or the rows are read
		Undo: Work{locks, []string{alter + " ALTER COLUMN " + column + " DROP NOT NULL"}}})
}

// tenantReference has the rows go with their tenant.
func (r *renderer) tenantReference(t isolation.Converted) {
	alter := "ALTER TABLE " + t.Name.Quoted()
	for _, bare := range t.Bare {
		r.drops = append(r.drops, alter+" DROP CONSTRAINT "+isolation.Quote(bare.Name))
		r.lock(tenantsTable)
	}
	if t.Reference == "" {
		return
	}
	name := r.temporary(t)
	r.constraint(t.Name, tenantsTable, name, alter+" ADD CONSTRAINT "+isolation.Quote(name)+" "+t.Reference+" NOT VALID")
	r.validate(t.Name, name)
	final := r.free(t, "_fkey")
	r.swaps = append(r.swaps, alter+" RENAME CONSTRAINT "+isolation.Quote(name)+" TO "+isolation.Quote(final))
}

// constraint adds a reference that holds for the rows from now on.
func (r *renderer) constraint(from, to isolation.Name, name, add string) {
	r.add(Step{Kind: Change, What: "the reference to " + to.String() + ", for the rows from now on", Table: from,
		Do:   Work{both(from, to, writers), []string{add}},
		Undo: Work{both(from, to, everybody), []string{"ALTER TABLE " + from.Quoted() + " DROP CONSTRAINT IF EXISTS " + isolation.Quote(name)}}})
}

// validate holds it for the rows of before.
func (r *renderer) validate(table isolation.Name, name string) {
	r.add(Step{Kind: Scan, What: "and for the rows of before", Table: table, Rows: r.sizes[table].Rows,
		Do: Work{[]Lock{{table, changers}}, []string{"ALTER TABLE " + table.Quoted() + " VALIDATE CONSTRAINT " + isolation.Quote(name)}}})
}

func both(from, to isolation.Name, mode string) []Lock {
	if from == to {
		return []Lock{{from, mode}}
	}
	return []Lock{{from, mode}, {to, mode}}
}

// keys builds the index of every key within a tenant, and one led by the tenant column.
func (r *renderer) keys(t isolation.Converted) {
	alter := "ALTER TABLE " + t.Name.Quoted()
	for _, k := range t.Keys {
		name := r.temporary(t)
		r.build(t, name, "the key "+k.Name+" within a tenant", k.Create(name))
		old, quoted := isolation.Quote(k.Name), isolation.Quote(name)
		if k.Constraint == "" {
			schema := isolation.Quote(t.Name.Schema)
			r.swaps = append(r.swaps, "DROP INDEX "+schema+"."+old, "ALTER INDEX "+schema+"."+quoted+" RENAME TO "+old)
		} else {
			r.swaps = append(r.swaps, alter+" DROP CONSTRAINT "+old,
				alter+" ADD CONSTRAINT "+old+" "+k.Constraint+" USING INDEX "+quoted)
		}
		r.swaps = append(r.swaps, k.After...)
	}
	if !t.Led {
		name := r.temporary(t)
		r.build(t, name, "an index led by the tenant column",
			"CREATE INDEX CONCURRENTLY "+isolation.Quote(name)+" ON "+t.Name.Quoted()+" ("+isolation.Quote(t.Column)+")")
		final := r.free(t, "_idx")
		r.swaps = append(r.swaps, "ALTER INDEX "+isolation.Quote(t.Name.Schema)+"."+isolation.Quote(name)+" RENAME TO "+isolation.Quote(final))
	}
}

func (r *renderer) build(t isolation.Converted, name, what, create string) {
	r.add(Step{Kind: Build, What: what, Table: t.Name, Rows: r.sizes[t.Name].Rows, Index: name,
		Do:   Work{[]Lock{{t.Name, changers}}, []string{create}},
		Undo: Work{[]Lock{{t.Name, changers}}, []string{dropIndex(t.Name.Schema, name)}}})
}

func dropIndex(schema, name string) string {
	return "DROP INDEX CONCURRENTLY IF EXISTS " + isolation.Quote(schema) + "." + isolation.Quote(name)
}

// reference adds the reference with the tenant columns beside the one of before, which the
// switch takes down.
func (r *renderer) reference(reference isolation.ConvertedReference, of isolation.Converted) {
	alter, name := "ALTER TABLE "+reference.From.Quoted(), r.temporary(of)
	r.constraint(reference.From, reference.To, name, reference.Add(name))
	if reference.Validated {
		r.validate(reference.From, name)
	}
	old := isolation.Quote(reference.Name)
	r.drops = append(r.drops, alter+" DROP CONSTRAINT "+old)
	r.swaps = append(r.swaps, alter+" RENAME CONSTRAINT "+isolation.Quote(name)+" TO "+old)
	r.lock(reference.From)
	r.lock(reference.To)
}

func (r *renderer) lock(table isolation.Name) {
	if !slices.Contains(r.locked, table) {
		r.locked = append(r.locked, table)
	}
}

// turn is the switch.
func (r *renderer) turn(c isolation.Conversion, at time.Time) {
	var locks []Lock
	for _, table := range r.locked {
		locks = append(locks, Lock{table, everybody})
	}
	slices.SortFunc(locks, func(a, b Lock) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	r.add(Step{Kind: Switch, What: "the switch: keys, references, default, row-level security, grants", Table: c.Tables[0].Name,
		Do: Work{locks, []string{c.Switch(at, slices.Concat(r.drops, r.swaps)).Up}}})
}

// services lets the logins come to the table that will after the switch, so that an
// application can change over before it.
func (r *renderer) services(t isolation.Converted) {
	var give, take []string
	for _, grant := range t.Services {
		give, take = append(give, grant.Give), append(take, grant.Take)
	}
	slices.Reverse(take)
	if len(give) > 0 {
		r.add(Step{Kind: Change, What: "the logins of services may come to the table, which is nobody's yet", Table: t.Name, Do: Work{SQL: give}, Undo: Work{SQL: take}})
	}
}

// longestName is what Postgres leaves of a name, in bytes.
const longestName = 63

// free is a name for something of the table and its tenant column that nothing has once the
// switch has taken down what it takes down: as Postgres would choose it.
func (r *renderer) free(t isolation.Converted, suffix string) string {
	s := r.sizes[t.Name]
	taken := slices.DeleteFunc(slices.Clone(s.Taken), func(name string) bool {
		return slices.ContainsFunc(t.Bare, func(bare isolation.ConvertedReference) bool { return bare.Name == name })
	})
	for n := 0; ; n++ {
		ending := suffix
		if n > 0 {
			ending = fmt.Sprintf("%s%d", suffix, n)
		}
		name := shortened(t.Name.Name, t.Column, longestName-len(ending)-1) + ending
		if !slices.Contains(taken, name) {
			s.Taken = append(s.Taken, name)
			r.sizes[t.Name] = s
			return name
		}
	}
}

// shortened joins two names, of which the longer loses its end until they fit.
func shortened(table, column string, most int) string {
	for len(table)+len(column) > most {
		if len(table) > len(column) {
			table = table[:len(table)-1]
		} else {
			column = column[:len(column)-1]
		}
	}
	return strings.ToValidUTF8(table, "") + "_" + strings.ToValidUTF8(column, "")
}

// fillStatement fills the rows of some blocks of the table's file.
func fillStatement(table isolation.Name, column string, tenant id.Tenant, from, to string) string {
	return strings.Join([]string{"UPDATE", "ONLY", table.Quoted(), "SET", isolation.Quote(column), "=", isolation.Literal(tenant.String()),
		"WHERE ctid >= '(" + from + ",0)' AND ctid < '(" + to + ",0)' AND", isolation.Quote(column), "IS NULL"}, " ")
}
