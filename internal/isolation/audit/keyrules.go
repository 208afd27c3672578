package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

func foreignKeyAcross(_ context.Context, s *state) []fault {
	return s.eachForeignKey(func(t *tenantTable, key *constraint, target *tenantTable) (fault, bool) {
		if target.people() || t.people() || target.column == nil || joins(key, t.column.Number, target.column.Number) {
			return fault{}, false
		}
		if target.OID == s.tenantsTable {
			return at(constraintTitle(t, key), repair("ALTER TABLE %s DROP CONSTRAINT %s", t.sql(), quote(key.Name)),
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
	own := append([]string{t.name}, t.columnNames(key.Columns)...)
	theirs := append([]string{target.name}, target.columnNames(key.TargetColumns)...)
	var steps []string
	wanted := append([]int16{target.column.Number}, key.TargetColumns...)
	if !slices.ContainsFunc(target.indexes, func(x *index) bool { return x.Unique && !x.Partial && sameSet(x.Columns, wanted) }) {
		steps = append(steps, fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (%s)", target.sql(), quoteAll(theirs)))
	}
	action := map[string]string{"c": " ON DELETE CASCADE", "r": " ON DELETE RESTRICT", "n": " ON DELETE SET NULL (" + quoteAll(own[1:]) + ")"}[key.OnDelete]
	steps = append(steps, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s FOREIGN KEY (%s) REFERENCES %s (%s)%s",
		t.sql(), quote(key.Name), quoteAll(own), target.sql(), quoteAll(theirs), action))
	return repair("%s", strings.Join(steps, ";\n"))
}

func sameSet(a, b []int16) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func foreignKeyNulls(_ context.Context, s *state) []fault {
	return s.eachForeignKey(func(t *tenantTable, key *constraint, target *tenantTable) (fault, bool) {
		cleared := key.SetColumns
		if len(cleared) == 0 {
			cleared = key.Columns
		}
		if key.OnDelete != "n" || len(key.Columns) < 2 || !slices.Contains(cleared, t.column.Number) {
			return fault{}, false
		}
		var rest []int16
		for _, number := range key.Columns {
			if number != t.column.Number {
				rest = append(rest, number)
			}
		}
		return at(constraintTitle(t, key), repair("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s FOREIGN KEY (%s) REFERENCES %s (%s) ON DELETE SET NULL (%s)",
			t.sql(), quote(key.Name), quoteAll(t.columnNames(key.Columns)), target.sql(), quoteAll(target.columnNames(key.TargetColumns)), quoteAll(t.columnNames(rest))),
			"deleting a row of %s empties %s as well, so the row leaves its tenant or the DELETE fails", target.Title(), t.name), true
	})
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
		return repair("DROP INDEX %s.%s;\nCREATE UNIQUE INDEX %[2]s ON %[3]s (%[4]s)", quote(t.Schema), quote(x.Name), t.sql(), columns)
	}
	return repair("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s %s (%s)", t.sql(), quote(x.Name), kind, columns)
}
