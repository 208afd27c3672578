package isolation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// grantedAlways are the roles whose grants the list decides, whoever else has some.
var grantedAlways = []string{"PUBLIC", "nself_app", "nself_hasura", "nself_server", "nself_tenant"}

// plan writes the steps of all tables in an order in which each can be run: what refers
// goes before what it refers to, and comes back once the keys are composite.
func (p *planner) plan() (Protection, error) {
	p.begin()
	joining := p.joining()
	var references []string
	for _, name := range joining {
		p.column(name)
	}
	for _, name := range joining {
		for _, w := range p.widening(name) {
			p.add(w.drop())
			references = append(references, w.add(w.Name))
		}
	}
	for _, name := range joining {
		p.keys(name)
	}
	p.add(references...)
	p.walls()
	if len(p.faults) > 0 {
		return Protection{}, errors.Join(p.faults...)
	}
	return p.out, nil
}

// begin takes the tables into the plan.
func (p *planner) begin() {
	for _, name := range p.request.Names {
		p.out.Tables = append(p.out.Tables, p.chosen[name])
		p.handover(name)
	}
	for _, name := range p.request.Names {
		p.composed(name)
	}
}

// joining are the tables that get their columns and keys now: one that is registered has them.
func (p *planner) joining() []Name {
	return slices.DeleteFunc(slices.Clone(p.request.Names), func(name Name) bool { return !p.new(name) || !p.chosen[name].Walled() })
}

// walls puts the declared wall around every table.
func (p *planner) walls() {
	for _, name := range p.request.Names {
		t, s := p.chosen[name], p.shapes[name]
		grantees := slices.Compact(slices.Sorted(slices.Values(slices.Concat(grantedAlways, s.Grantees))))
		p.add(t.wall(s.Policies, grantees)...)
		p.partitions(s, grantees)
		p.sequences(t, s, grantees)
	}
}

// handover makes nself_owner the owner, so that no login of a service can take the wall
// down, and lets the roles into the schema, which may be somebody else's.
func (p *planner) handover(name Name) {
	t, s := p.chosen[name], p.shapes[name]
	give := func(statement string) {
		if !slices.Contains(p.out.Handover, statement) {
			p.out.Handover = append(p.out.Handover, statement)
		}
	}
	schema := " ON SCHEMA " + Quote(name.Schema) + " TO "
	if s.Owner != "nself_owner" && !s.OwnerCreates {
		give("GRANT USAGE, CREATE" + schema + "nself_owner")
	}
	if s.Owner != "nself_owner" {
		give("ALTER TABLE " + name.Quoted() + " OWNER TO nself_owner")
	}
	for _, partition := range s.Strangers {
		give("ALTER TABLE " + partition + " OWNER TO nself_owner")
	}
	outside := slices.DeleteFunc(slices.Clone(s.Outside), func(role string) bool { return len(t.Grants[role]) == 0 })
	if len(outside) > 0 {
		give("GRANT USAGE" + schema + strings.Join(outside, ", "))
	}
}

// ownTenant is the default of a tenant column, as pg_get_expr gives it back.
const ownTenant = "tenants.current_tenant_id()"

// column adds the tenant column, or makes the one that is there what it must be.
func (p *planner) column(name Name) {
	t, s := p.chosen[name], p.shapes[name]
	alter, column := "ALTER TABLE "+name.Quoted(), Quote(t.TenantColumn())
	if s.TenantType == nil {
		p.add(alter + " ADD COLUMN " + column + " uuid")
	}
	switch given := s.TenantDefault; {
	case t.Nullable == "" && (given == nil || *given != ownTenant):
		p.add(alter + " ALTER COLUMN " + column + " SET DEFAULT " + ownTenant)
	case t.Nullable != "" && given != nil: // what is left out is of no tenant, whoever writes it
		p.add(alter + " ALTER COLUMN " + column + " DROP DEFAULT")
	}
	if t.Nullable == "" {
		p.add(alter + " ALTER COLUMN " + column + " SET NOT NULL")
	}
	p.tenantReference(name)
}

// tenantReference has the rows go with their tenant, unless they outlive it.
func (p *planner) tenantReference(name Name) {
	t, alter := p.chosen[name], "ALTER TABLE "+name.Quoted()
	cascades, others := p.shapes[name].tenantReferences(t)
	for _, f := range others {
		p.add(alter + " DROP CONSTRAINT " + Quote(f.Name)) // it comes back with its cascade
	}
	if !cascades && t.Outlives == "" {
		p.add(alter + " ADD " + t.tenantReference())
	}
}

// tenantReference is the definition of the reference to the tenants.
func (t Table) tenantReference() string {
	return "FOREIGN KEY (" + Quote(t.TenantColumn()) + ") REFERENCES tenants.tenants ON DELETE CASCADE"
}

// tenantReferences tells whether the tenant column refers to the tenants with a cascade, and
// by which references it does without.
func (s *shape) tenantReferences(t Table) (cascades bool, others []foreignKey) {
	for _, f := range s.foreign {
		if f.from() != t.Name || f.to() != tenantsTable || !slices.Equal(f.Columns, []string{t.TenantColumn()}) {
			continue
		}
		if _, _, found := cutOutsideQuotes(f.Definition, " ON DELETE CASCADE"); found {
			cascades = true
		} else {
			others = append(others, f)
		}
	}
	return cascades, others
}

var (
	tenantsTable  = Name{Schema: "tenants", Name: "tenants"}
	membersTable  = Name{Schema: "tenants", Name: "tenant_members"}
	usersTable    = Name{Schema: "auth", Name: "users"}
	sessionsTable = Name{Schema: "auth", Name: "sessions"}
)

// widening finds the references that could point into another tenant and get the tenant
// column into them.
func (p *planner) widening(name Name) []widened {
	var found []widened
	for _, f := range p.shapes[name].foreign {
		stays, note := p.stays(name, f)
		if note != "" {
			p.note(name, "%s", note)
		}
		if stays {
			continue
		}
		from, _ := p.walled(f.from())
		to, _ := p.walled(f.to())
		if obstacle := p.obstacle(f, from.TenantColumn(), to.TenantColumn()); obstacle != "" {
			p.fail(f.from(), "%s", obstacle)
			continue
		}
		found = append(found, widened{foreignKey: f, tenant: from.TenantColumn(), theirs: to.TenantColumn()})
	}
	p.out.widened = append(p.out.widened, found...)
	return found
}

// composed remembers the references that are composite already: relationships in Hasura may
// still go by the columns they had before.
func (p *planner) composed(name Name) {
	for _, f := range p.shapes[name].foreign {
		from, walled := p.walled(f.from())
		if walled && len(f.Columns) > 1 && f.Columns[0] == from.TenantColumn() {
			before := f
			before.Columns = f.Columns[1:]
			p.out.widened = append(p.out.widened, widened{foreignKey: before, tenant: from.TenantColumn()})
		}
	}
}

// stays reports whether a reference is left as it is, and what a person is to know of it.
func (p *planner) stays(name Name, f foreignKey) (stays bool, note string) {
	from, fromWalled := p.walled(f.from())
	to, toWalled := p.walled(f.to())
	own := f.from() == name
	switch {
	case f.to() == tenantsTable && !slices.Equal(f.Columns, []string{from.TenantColumn()}):
		return true, fmt.Sprintf("refers to a tenant beside its own by %s: whoever writes it learns which ids are tenants", f.Name)
	case f.to() == tenantsTable:
		return true, ""
	case fromWalled && slices.Contains(f.Columns, from.TenantColumn()):
		return !f.clears(), ""
	case own && f.to() == usersTable:
		return true, fmt.Sprintf("refers to people by %s: auth.users (id) is shared by all tenants; reference tenants.tenant_members (tenant_id, user_id) to keep to members", f.Name)
	case own && len(to.Global) > 0 && !slices.Contains(f.Refers, to.TenantColumn()) && !p.new(f.to()):
		return true, fmt.Sprintf("refers to %s by %s, whose key holds across tenants: a row may point to another tenant's", f.to(), f.Name)
	case own && !toWalled: // to what is the same for all tenants
		return true, ""
	}
	return !own && fromWalled && p.new(f.from()), "" // that is told with the table that refers
}

// obstacle says why a reference cannot get the tenant columns into it; "" where it can.
func (p *planner) obstacle(f foreignKey, own, theirs string) string {
	_, walled := p.walled(f.from())
	switch {
	case !walled:
		return fmt.Sprintf("refers to %s by %s and has no wall: protect both at once", f.to(), f.Name)
	case f.clears() && slices.Contains(f.Columns, own):
		return fmt.Sprintf("has the reference %s, which would clear the tenant column: make it anew with ON DELETE SET NULL (the other columns)", f.Name)
	case slices.Contains(f.Refers, theirs):
		return fmt.Sprintf("refers to %s by %s with another column in the place of the tenant's: make it by %s", f.to(), f.Name, own)
	case f.Full:
		return fmt.Sprintf("has the reference %s MATCH FULL: make it anew without", f.Name)
	case f.clearsOnUpdate():
		return fmt.Sprintf("has the reference %s with an ON UPDATE that would clear the tenant column: make it anew without", f.Name)
	}
	return ""
}

// walled finds a table of this plan or of the list that has a wall by its tenant column.
func (p *planner) walled(name Name) (Table, bool) {
	t, chosen := p.chosen[name]
	if !chosen {
		t, chosen = p.request.List.Find(name)
	}
	return t, chosen && t.Walled() && t.Rows != OfMembers
}

// keys makes every key that holds across tenants one within a tenant, and sees to an index
// led by the tenant column.
func (p *planner) keys(name Name) {
	t, table := p.chosen[name], name.Quoted()
	column, led := t.TenantColumn(), false
	for _, k := range p.shapes[name].keys {
		_, global := t.Global[k.Name]
		switch {
		case k.Partition != "":
			continue
		case k.HasTenant || global:
			led = led || k.Led
		case k.Kind == "":
			p.add("DROP INDEX "+Quote(name.Schema)+"."+Quote(k.Name), openingWith(wholeIndex(k.Definition), column))
			p.add(p.shapes[name].published(name, k.Name)...)
		default:
			p.add("ALTER TABLE "+table+" DROP CONSTRAINT "+Quote(k.Name),
				"ALTER TABLE "+table+" ADD CONSTRAINT "+Quote(k.Name)+" "+openingWith(k.Definition, column))
			p.add(p.shapes[name].published(name, k.Name)...)
			led = true
		}
	}
	if !led {
		p.add("CREATE INDEX ON " + table + " (" + Quote(column) + ")")
	}
}

// partitions closes them to whoever does not come through the table, whose policies are
// not theirs.
func (p *planner) partitions(s *shape, grantees []string) {
	for _, partition := range s.Partitions {
		p.add("ALTER TABLE "+partition+" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
			"REVOKE ALL ON "+partition+" FROM "+strings.Join(grantees, ", "))
	}
}

// sequences opens those of serial columns to the roles that insert, and to nobody else.
func (p *planner) sequences(t Table, s *shape, grantees []string) {
	var writers []string
	for role, granted := range t.Grants {
		if slices.Contains(granted, "insert") {
			writers = append(writers, role)
		}
	}
	slices.Sort(writers)
	for _, sequence := range s.Sequences {
		p.add("REVOKE ALL ON SEQUENCE " + sequence + " FROM " + strings.Join(grantees, ", "))
		if len(writers) > 0 {
			p.add("GRANT USAGE ON SEQUENCE " + sequence + " TO " + strings.Join(writers, ", "))
		}
	}
	if len(s.Sequences) > 0 && p.new(t.Name) {
		p.note(t.Name, "numbers its rows from one sequence for all tenants: the gaps tell how much the others write; use uuids where that matters")
	}
}
