package audit

import (
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

// trackedTable is an entry of the metadata with the tenant table behind it.
type trackedTable struct {
	metadata.Table
	tenant *tenantTable // nil: no rows of tenants, as far as the catalog tells
}

// trackedTables are the entries of the metadata.
func (s *state) trackedTables() []trackedTable {
	found := make([]trackedTable, len(s.metadata.Tables))
	for i, entry := range s.metadata.Tables {
		found[i] = trackedTable{entry, s.named(entry.Table.Schema, entry.Table.Name)}
		if found[i].tenant == nil {
			found[i].tenant = s.asView(entry.Table)
		}
	}
	return found
}

func (s *state) tracked(schema, name string) metadata.Table {
	at := slices.IndexFunc(s.metadata.Tables, func(entry metadata.Table) bool {
		return entry.Table.Schema == schema && entry.Table.Name == name
	})
	if at < 0 {
		return metadata.Table{Table: metadata.TableName{Schema: schema, Name: name}}
	}
	return s.metadata.Tables[at]
}

// readRights reads all expressions that bind rows of tenant tables, of the roles that
// tokens carry.
func (s *state) readRights() []right {
	var found []right
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil || entry.tenant.column == nil {
			continue
		}
		add := func(role, op, part string, rows metadata.BoolExp) {
			if knownRole(role) {
				r := right{table: entry.tenant, entry: entry.Table, role: role, op: op, part: part, terms: metadata.Conjuncts(rows)}
				r.verdict = s.verdict(r)
				found = append(found, r)
			}
		}
		for _, p := range entry.SelectPermissions {
			add(p.Role, "select", "filter", p.Permission.Filter)
		}
		for _, p := range entry.InsertPermissions {
			add(p.Role, "insert", "check", p.Permission.Check)
		}
		for _, p := range entry.UpdatePermissions {
			add(p.Role, "update", "filter", p.Permission.Filter)
			if p.Permission.Check != nil {
				add(p.Role, "update", "check", p.Permission.Check)
			}
		}
		for _, p := range entry.DeletePermissions {
			add(p.Role, "delete", "filter", p.Permission.Filter)
		}
	}
	return found
}

// rolesOf are the roles with any permission on a table.
func rolesOf(entry metadata.Table) []string {
	var found []string
	add := func(role string) {
		if !slices.Contains(found, role) {
			found = append(found, role)
		}
	}
	for _, p := range entry.SelectPermissions {
		add(p.Role)
	}
	for _, p := range entry.InsertPermissions {
		add(p.Role)
	}
	for _, p := range entry.UpdatePermissions {
		add(p.Role)
	}
	for _, p := range entry.DeletePermissions {
		add(p.Role)
	}
	return found
}

// join is a relationship as pairs of columns.
type join struct {
	target *relation
	pairs  [][2]string // own, theirs
}

func (j *join) keeps(own, theirs string) bool {
	return slices.Contains(j.pairs, [2]string{own, theirs})
}

// relationship finds a relationship of a table by name; nil where it cannot be told what
// it joins.
func (s *state) relationship(entry metadata.Table, name string) *join {
	for _, r := range slices.Concat(entry.ObjectRelationships, entry.ArrayRelationships) {
		if r.Name == name {
			return s.join(entry, r)
		}
	}
	return nil
}

func (s *state) join(entry metadata.Table, r metadata.Relationship) *join {
	own := s.relationNamed(entry.Table)
	if manual := r.Using.Manual; manual != nil {
		j := &join{target: s.relationNamed(manual.RemoteTable)}
		for mine, theirs := range manual.ColumnMapping {
			j.pairs = append(j.pairs, [2]string{mine, theirs})
		}
		return j.orNil()
	}
	key := r.Using.ForeignKeyConstraintOn
	if key == nil || own == nil {
		return nil
	}
	if key.Table == nil {
		return s.byKey(own, key.Columns, 0, false)
	}
	if there := s.relationNamed(*key.Table); there != nil {
		return s.byKey(there, key.Columns, own.OID, true)
	}
	return nil
}

func (j *join) orNil() *join {
	if j.target == nil {
		return nil
	}
	return j
}

// byKey finds the foreign key over the columns. Turned, the key is the other table's and
// must refer to target.
func (s *state) byKey(of *relation, columns []string, target uint32, turned bool) *join {
	for _, key := range of.constraints {
		names := of.columnNames(key.Columns)
		to := s.relations[key.Target]
		if key.Kind != "f" || to == nil || turned && key.Target != target || !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(columns))) {
			continue
		}
		j := &join{target: to}
		if turned {
			j.target = of
		}
		for i, theirs := range to.columnNames(key.TargetColumns) {
			pair := [2]string{names[i], theirs}
			if turned {
				pair = [2]string{theirs, names[i]}
			}
			j.pairs = append(j.pairs, pair)
		}
		return j
	}
	return nil
}

func (s *state) relationNamed(name metadata.TableName) *relation {
	return s.relationByName[name.Schema+"."+name.Name]
}

// functionsNamed are the overloads of a function.
func (s *state) functionsNamed(name metadata.FunctionName) []*function {
	return s.functionsByName[strings.ToLower(name.String())]
}
