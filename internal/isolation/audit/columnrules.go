package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

var columnRules = []Rule{
	{"table-undeclared", Error, columnGroup, "a table has rows of tenants and is not in the declared list", tableUndeclared},
	{"table-missing", Error, columnGroup, "a declared table does not exist", tableMissing},
	{"table-child-undeclared", Warning, columnGroup, "a table without a tenant column refers to rows of tenants", tableChild},
	{"tenant-column-missing", Error, columnGroup, "a declared table has no tenant column", tenantColumnMissing},
	{"tenant-column-nullable", Error, columnGroup, "the tenant column may be null", tenantColumnNullable},
	{"tenant-column-type", Error, columnGroup, "the tenant column is not a uuid", tenantColumnType},
	{"tenant-column-mutable", Error, columnGroup, "no trigger keeps a row in its tenant", tenantColumnMutable},
	{"tenant-foreign-key-missing", Warning, columnGroup, "the tenant column does not refer to the tenants", tenantKeyMissing},
	{"tenant-foreign-key-action", Warning, columnGroup, "deleting a tenant leaves its rows behind without one", tenantKeyAction},
	{"tenant-index-missing", Warning, columnGroup, "no whole index is led by the tenant column", tenantIndexMissing},
	{"foreign-key-across-tenants", Error, columnGroup, "a foreign key can point to another tenant's row", foreignKeyAcross},
	{"foreign-key-nulls-tenant", Error, columnGroup, "what a composite key does on DELETE or UPDATE clears the tenant column as well", foreignKeyNulls},
	{"primary-key-across-tenants", Warning, columnGroup, "a primary key without the tenant column tells of other tenants' ids", primaryKeyAcross},
	{"unique-across-tenants", Error, columnGroup, "a UNIQUE without the tenant column tells of other tenants' values", uniqueAcross},
	{"exclusion-across-tenants", Error, columnGroup, "an exclusion constraint without the tenant column tells of other tenants' rows", exclusionAcross},
}

func tableUndeclared(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if t.declared == nil {
			found = append(found, at(t.Title(), protect(t.Title()),
				"its column %s names a tenant, and no rule of the list holds for it", t.name))
		}
	}
	return found
}

func tableMissing(_ context.Context, s *state) []fault {
	var found []fault
	for _, declared := range s.list {
		if r := s.relationByName[declared.Name.String()]; r == nil || !r.table() && r.Kind != "f" {
			found = append(found, at(declared.Name.String(), repair("-- where it was dropped for good\nDELETE FROM nself.tenant_tables WHERE (schema_name, table_name) = (%s, %s)",
				isolation.Literal(declared.Name.Schema), isolation.Literal(declared.Name.Name)), "the list declares it and the database has no such table"))
		}
	}
	return found
}

func tableChild(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		if _, own := s.places[r.Schema]; own { // schemaReference looks at those
			continue
		}
		if !r.table() || r.system() || r.Extension || s.byOID[r.OID] != nil || s.declaration(r.Schema, r.Name) != nil || s.partOfDeclared(r) {
			continue
		}
		for _, key := range r.constraints {
			target := s.byOID[key.Target]
			if key.Kind != "f" || target == nil || target.people() {
				continue
			}
			found = append(found, at(r.Title(), protect(r.Title()),
				"its %s refers to %s, so its rows belong to tenants as well, and no wall is around them", strings.Join(r.columnNames(key.Columns), ", "), target.Title()))
			break
		}
	}
	return found
}

func tenantColumnMissing(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if t.column == nil {
			found = append(found, at(t.Title(), protect(t.Title()), "the list says that %s names the tenant", t.name))
		}
	}
	return found
}

func tenantColumnNullable(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		if t.column.NotNull || t.declared != nil && t.declared.Nullable != "" {
			return fault{}, false
		}
		return at(t.columnTitle(), repair("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", t.sql(), isolation.Quote(t.name)),
			"a row without a tenant belongs to nobody, and no declaration says why there may be one"), true
	})
}

func tenantColumnType(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		if t.column.Type == "uuid" {
			return fault{}, false
		}
		var steps []string
		for _, p := range t.policies {
			steps = append(steps, fmt.Sprintf("DROP POLICY %s ON %s", isolation.Quote(p.Name), t.sql()))
		}
		steps = append(steps, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE uuid USING %[2]s::text::uuid", t.sql(), isolation.Quote(t.name)))
		for _, d := range t.listed() {
			steps = append(steps, t.wanted().CreatePolicy(d))
		}
		return at(t.columnTitle(), repair("%s", strings.Join(steps, ";\n")), "it is %s: the comparison with the session's uuid is cast, row by row, or fails", t.column.Type), true
	})
}

// Bits of pg_trigger.tgtype.
const (
	forEachRow = 1 << 0
	before     = 1 << 1
	onDelete   = 1 << 3
	onUpdate   = 1 << 4
)

func tenantColumnMutable(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		if slices.ContainsFunc(t.triggers, func(g *trigger) bool { return s.keeps(g, t) }) || !s.updatable(t) {
			return fault{}, false
		}
		wall := isolation.Table{Name: isolation.Name{Schema: t.Schema, Name: t.Name}, Column: t.name}
		return at(t.columnTitle(), safe("%s", wall.KeepTenant()), "an UPDATE can move a row to another tenant"), true
	})
}

// keeps reports whether a trigger refuses each update that changes the tenant column: it
// comes before the row is written, whoever writes, and its WHEN lets none of them pass.
func (s *state) keeps(g *trigger, t *tenantTable) bool {
	f := s.functions[g.Function]
	const kind = forEachRow | before | onUpdate
	if f == nil || f.Schema != "nself" || f.Name != "refuse_tenant_change" || g.Type&kind != kind || g.Enabled != "O" && g.Enabled != "A" {
		return false
	}
	whole := []string{"", "(old.* IS DISTINCT FROM new.*)", "(old." + t.name + " IS DISTINCT FROM new." + t.name + ")"}
	return slices.Contains(whole, plainName(g.When)) && (len(g.Columns) == 0 || slices.Contains(g.Columns, t.column.Number))
}

// updatable reports whether any role but a superuser may UPDATE the tenant column.
func (s *state) updatable(t *tenantTable) bool {
	return slices.ContainsFunc(t.grants, func(p privilege) bool {
		return p.Name == "UPDATE" && (p.Column == 0 || p.Column == t.column.Number)
	})
}

func tenantKeyMissing(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		if t.OID == s.tenantsTable || s.tenantKey(t) != nil || t.declared != nil && t.declared.Outlives != "" {
			return fault{}, false
		}
		return at(t.columnTitle(), repair("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES tenants.tenants ON DELETE CASCADE", t.sql(), isolation.Quote(t.name)),
			"a row may name a tenant that does not exist, and outlives the one it names"), true
	})
}

// tenantKey is the foreign key from the tenant column alone to the tenants.
func (s *state) tenantKey(t *tenantTable) *constraint {
	for _, key := range t.constraints {
		if key.Kind == "f" && key.Target == s.tenantsTable && slices.Equal(key.Columns, []int16{t.column.Number}) {
			return key
		}
	}
	return nil
}

func tenantKeyAction(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		key := s.tenantKey(t)
		if key == nil || !clears(key.OnDelete) && !clears(key.OnUpdate) {
			return fault{}, false
		}
		return at(fmt.Sprintf("%s (%s)", t.Title(), key.Name), repair("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s FOREIGN KEY (%s) REFERENCES tenants.tenants ON DELETE CASCADE",
			t.sql(), isolation.Quote(key.Name), isolation.Quote(t.name)), "the rows stay when the tenant goes or gets another id, with no tenant or another one"), true
	})
}

func tenantIndexMissing(_ context.Context, s *state) []fault {
	return s.eachTenantColumn(func(t *tenantTable) (fault, bool) {
		partial := ""
		for _, x := range t.indexes {
			if x.leads(t.column.Number) && x.Valid && !x.Partial {
				return fault{}, false
			}
			if x.leads(t.column.Number) {
				partial = fmt.Sprintf(" (%s is partial or invalid)", x.Name)
			}
		}
		how := "CREATE INDEX CONCURRENTLY ON"
		if t.Kind == "p" {
			how = "CREATE INDEX ON"
		}
		return at(t.columnTitle(), repair("%s %s (%s)", how, t.sql(), isolation.Quote(t.name)), "each policy's look-up reads the whole table%s", partial), true
	})
}

func (t *tenantTable) columnTitle() string { return t.Title() + "." + t.name }

// eachTenantColumn asks of every tenant table that has its column whether it is at fault.
func (s *state) eachTenantColumn(ask func(*tenantTable) (fault, bool)) []fault {
	var found []fault
	for _, t := range s.tenants {
		if t.column == nil {
			continue
		}
		if f, bad := ask(t); bad {
			found = append(found, f)
		}
	}
	return found
}

// ordered lists every relation by name.
func (s *state) ordered() []*relation {
	var all []*relation
	for _, r := range s.relations {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *relation) int { return strings.Compare(a.Title(), b.Title()) })
	return all
}
