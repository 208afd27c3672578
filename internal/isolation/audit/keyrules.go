package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

func foreignKeyAcross(_ context.Context, s *state) []fault {
	return s.eachForeignKey(func(t *tenantTable, key *constraint, target *tenantTable) (fault, bool) {
		if target.people() || t.people() || target.column == nil || joins(key, t.column.Number, target.column.Number) {
			return fault{}, false
		}
		if target.OID == s.tenantsTable {
			return at(constraintTitle(t, key), repair("ALTER TABLE %s DROP CONSTRAINT %s", t.sql(), isolation.Quote(key.Name)),
				"%s names a tenant that need not be the row's own", strings.Join(t.columnNames(key.Columns), ", ")), true
		}
		return at(constraintTitle(t, key), s.compositeFix(t, key, target),
			"(%s) alone finds a row of %s in any tenant, and the answer tells that it exists", strings.Join(t.columnNames(key.Columns), ", "), target.Title()), true
	})
}

// joins reports whether the key says that both rows are of one tenant.
func joins(key *constraint, own, theirs int16) bool {
	for i, number := range key.Columns {
		if number == own && key.TargetColumns[i] == theirs {
			return true
		}
	}
	return false
}

// compositeFix leads the key with the tenant column, and makes the target unique by it.
func (s *state) compositeFix(t *tenantTable, key *constraint, target *tenantTable) Fix {
	own, theirs := []string{t.name}, []string{target.name}
	wanted := []int16{target.column.Number}
	for i, number := range key.TargetColumns {
		if number == target.column.Number {
			continue // the tenant there was met by another column
		}
		wanted = append(wanted, number)
		own = append(own, t.columnNames(key.Columns[i:i+1])...)
		theirs = append(theirs, target.columnNames(key.TargetColumns[i:i+1])...)
	}
	var steps []string
	if !slices.ContainsFunc(target.indexes, func(x *index) bool { return x.Unique && !x.Partial && sameSet(x.Columns, wanted) }) {
		steps = append(steps, fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (%s)", target.sql(), quoteAll(theirs)))
	}
	steps = append(steps, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s FOREIGN KEY (%s) REFERENCES %s (%s)%s%s",
		t.sql(), isolation.Quote(key.Name), quoteAll(own), target.sql(), quoteAll(theirs), key.onDelete(t), key.onUpdate()))
	return repair("%s", strings.Join(steps, ";\n"))
}

func sameSet(a, b []int16) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// clears reports whether the action of a key (pg_constraint.confdeltype, confupdtype) is
// SET NULL or SET DEFAULT.
func clears(action string) bool { return action == "n" || action == "d" }

func foreignKeyNulls(_ context.Context, s *state) []fault {
	return s.eachForeignKey(func(t *tenantTable, key *constraint, target *tenantTable) (fault, bool) {
		if len(key.Columns) < 2 || !slices.Contains(key.Columns, t.column.Number) {
			return fault{}, false
		}
		deletes := clears(key.OnDelete) && (len(key.SetColumns) == 0 || slices.Contains(key.SetColumns, t.column.Number))
		if !deletes && !clears(key.OnUpdate) {
			return fault{}, false
		}
		event := "deleting"
		if !deletes {
			event = "changing the key of"
		}
		return at(constraintTitle(t, key), repair("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s FOREIGN KEY (%s) REFERENCES %s (%s)%s%s",
			t.sql(), isolation.Quote(key.Name), quoteAll(t.columnNames(key.Columns)), target.sql(), quoteAll(target.columnNames(key.TargetColumns)),
			key.onDelete(t), key.onUpdate()),
			"%s a row of %s clears %s as well, so the row leaves its tenant or the statement fails", event, target.Title(), t.name), true
	})
}

// onDelete is the key's ON DELETE, which leaves the tenant column alone.
func (k *constraint) onDelete(t *tenantTable) string {
	switch k.OnDelete {
	case "c":
		return " ON DELETE CASCADE"
	case "r":
		return " ON DELETE RESTRICT"
	case "a":
		return ""
	}
	cleared := k.SetColumns
	if len(cleared) == 0 {
		cleared = k.Columns
	}
	cleared = slices.DeleteFunc(slices.Clone(cleared), func(number int16) bool { return number == t.column.Number })
	action := map[string]string{"n": "NULL", "d": "DEFAULT"}[k.OnDelete]
	return " ON DELETE SET " + action + " (" + quoteAll(t.columnNames(cleared)) + ")"
}

// onUpdate is the key's ON UPDATE, where that clears nothing: it takes no list of columns.
func (k *constraint) onUpdate() string {
	return map[string]string{"c": " ON UPDATE CASCADE", "r": " ON UPDATE RESTRICT"}[k.OnUpdate]
}

func constraintTitle(t *tenantTable, key *constraint) string {
	return fmt.Sprintf("%s (%s)", t.Title(), key.Name)
}

// eachForeignKey asks of every foreign key between two tenant tables, but the one that
// names the tenant.
func (s *state) eachForeignKey(ask func(*tenantTable, *constraint, *tenantTable) (fault, bool)) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, key := range t.constraints {
			target := s.byOID[key.Target]
			if key.Kind != "f" || target == nil || t.column == nil || key == s.tenantKey(t) {
				continue
			}
			if f, bad := ask(t, key, target); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

func primaryKeyAcross(_ context.Context, s *state) []fault {
	return s.eachGlobalIndex(func(x *index) bool { return x.Primary }, "whoever inserts a row learns which ids other tenants use")
}

func uniqueAcross(_ context.Context, s *state) []fault {
	return s.eachGlobalIndex(func(x *index) bool { return x.Unique && !x.Primary && !x.Exclusion },
		"whoever inserts a value learns whether another tenant has it, and one tenant keeps it from all others")
}

func exclusionAcross(_ context.Context, s *state) []fault {
	return s.eachGlobalIndex(func(x *index) bool { return x.Exclusion }, "whoever inserts a row learns where other tenants' rows are, and is kept from there")
}

// eachGlobalIndex finds keys without the tenant column that are not declared global.
func (s *state) eachGlobalIndex(of func(*index) bool, what string) []fault {
	return s.eachIndexFault(func(t *tenantTable, x *index) (fault, bool) {
		if !of(x) || slices.Contains(x.Columns, t.column.Number) {
			return fault{}, false
		}
		if t.declared != nil && t.declared.Global[x.Name] != "" {
			return fault{}, false
		}
		columns := strings.Join(t.columnNames(x.Columns), ", ")
		return at(fmt.Sprintf("%s (%s)", t.Title(), x.Name), s.tenantKeyFix(t, x), "it is over (%s): %s", columns, what), true
	})
}

func (s *state) eachIndexFault(ask func(*tenantTable, *index) (fault, bool)) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, x := range t.indexes {
			if t.column == nil {
				continue
			}
			if f, bad := ask(t, x); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

// tenantKeyFix makes the key anew, led by the tenant column, where a statement can be
// told from the catalog's columns alone.
func (s *state) tenantKeyFix(t *tenantTable, x *index) Fix {
	if x.Exclusion || slices.Contains(x.Columns, 0) || x.Partial {
		return advice("drop %s and make it again with %s WITH = (or as its first column)", x.Name, t.name)
	}
	columns := quoteAll(append([]string{t.name}, t.columnNames(x.Columns)...))
	for _, other := range s.relations {
		for _, key := range other.constraints {
			if key.Kind == "f" && key.Target == t.OID && sameSet(key.TargetColumns, x.Columns) {
				return advice("first lead the foreign key %s of %s with the tenant column, then make %s over (%s)", key.Name, other.Title(), x.Name, columns)
			}
		}
	}
	kind := "UNIQUE"
	if x.Primary {
		kind = "PRIMARY KEY"
	}
	if !slices.ContainsFunc(t.constraints, func(k *constraint) bool { return k.Name == x.Name }) {
		return repair("DROP INDEX %s.%s;\nCREATE UNIQUE INDEX %[2]s ON %[3]s (%[4]s)", isolation.Quote(t.Schema), isolation.Quote(x.Name), t.sql(), columns)
	}
	return repair("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s %s (%s)", t.sql(), isolation.Quote(x.Name), kind, columns)
}

func (x *index) leads(column int16) bool { return len(x.Columns) > 0 && x.Columns[0] == column }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = isolation.Quote(name)
	}
	return strings.Join(quoted, ", ")
}
