package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func triggerUntrusted(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, g := range t.triggers {
			f := s.functions[g.Function]
			if f == nil || f.Extension || f.system() || s.trusted(f.Owner) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s (trigger %s)", t.Title(), g.Name), repair("ALTER %s OWNER TO %s", f.sql(), ownerRole),
				"%s belongs to %s, who may make it do anything as whoever writes the row", f.Title(), s.roleName(f.Owner)))
		}
	}
	return found
}

// Postgres carries out the actions of foreign keys as the table's owner, and so runs the
// triggers that they fire.
func triggerOnCascade(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		events := s.cascades(t)
		for _, g := range t.triggers {
			f := s.functions[g.Function]
			if f == nil || g.Type&events == 0 || g.Enabled == "D" || f.Definer || f.Extension || f.system() || !s.stray(f, "new."+t.name, "old."+t.name) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s (trigger %s)", t.Title(), g.Name), advice("let %s look at NEW and OLD alone, or filter by their %s", f.Title(), t.name),
				"a cascade runs %s as %s, who sees the rows of every tenant in %s", f.Title(), s.roleName(t.Owner), titles(s.touchesDeep(f))))
		}
	}
	return found
}

// cascades are the events (bits of pg_trigger.tgtype) that foreign keys of the table's own
// make, but the one that goes with the tenant.
func (s *state) cascades(t *tenantTable) int16 {
	var events int16
	for _, key := range t.constraints {
		switch {
		case key.Kind != "f" || key.Target == s.tenantsTable:
			continue
		case key.OnDelete == "c":
			events |= onDelete
		case clears(key.OnDelete):
			events |= onUpdate
		}
		if key.OnUpdate == "c" || clears(key.OnUpdate) {
			events |= onUpdate
		}
	}
	return events
}

func eventTriggerUntrusted(_ context.Context, s *state) []fault {
	var found []fault
	for _, e := range s.eventTrigger {
		f := s.functions[e.Function]
		if f == nil || f.Extension || s.trusted(f.Owner) {
			continue
		}
		found = append(found, at("event trigger "+e.Name, repair("ALTER %s OWNER TO %s", f.sql(), ownerRole),
			"%s belongs to %s, and is run by whoever changes the schema, superusers too", f.Title(), s.roleName(f.Owner)))
	}
	return found
}

// ofRow finds what a statement of a trigger says of the row.
var ofRow = regexp.MustCompile(`\b(?:new|old)\b(?:\.(\w+))?`)

func triggerNotifies(_ context.Context, s *state) []fault {
	return s.eachTriggerFunction(func(t *tenantTable, f *function) (Fix, string) {
		holding := map[string]bool{}
		for statement := range strings.SplitSeq(f.code, ";") {
			_, sent, notifies := strings.Cut(statement, "pg_notify")
			if notifies && (saysOfRow(sent, t) || containsAny(wordsOf(sent), holding)) {
				return advice("send the ids alone, and let the listener read the row with its own rights"),
					fmt.Sprintf("%s sends values of the row by NOTIFY: any login of this database may LISTEN, of whichever tenant", f.Title())
			}
			if saysOfRow(statement, t) {
				for _, name := range filledBy(statement) {
					holding[name] = true
				}
			}
		}
		return Fix{}, ""
	})
}

// saysOfRow reports whether code names the row of a trigger, beyond its ids. A function of
// several tables' triggers also names columns that are another's.
func saysOfRow(code string, t *tenantTable) bool {
	return slices.ContainsFunc(ofRow.FindAllStringSubmatch(code, -1), func(match []string) bool {
		there := slices.ContainsFunc(t.columns, func(c *column) bool { return strings.EqualFold(c.Name, match[1]) })
		return match[1] == "" || match[1] != "id" && match[1] != t.name && there
	})
}

var writesTo = regexp.MustCompile(`\b(?:insert\s+into|merge\s+into|update)\s+(?:only\s+)?([a-z_][\w$]*(?:\.[a-z_][\w$]*)?)`)

func triggerCopies(_ context.Context, s *state) []fault {
	return s.eachTriggerFunction(func(_ *tenantTable, f *function) (Fix, string) {
		for _, match := range writesTo.FindAllStringSubmatch(f.code, -1) {
			for _, r := range s.relationsByWord[match[1]] {
				if !strings.Contains(match[1], ".") && !slices.Contains(f.schemas(), strings.ToLower(r.Schema)) || !r.table() || s.byOID[r.OID] != nil || s.partOfDeclared(r) {
					continue
				}
				if readers := s.outsiders(r, "SELECT"); len(readers) > 0 {
					return protect(r.Title()), fmt.Sprintf("%s writes to %s, which has no wall, and %s may read that", f.Title(), r.Title(), s.namesOf(readers))
				}
			}
		}
		return Fix{}, ""
	})
}

// eachTriggerFunction asks of every trigger of a tenant table what is wrong with its
// function; "" where nothing is.
func (s *state) eachTriggerFunction(ask func(*tenantTable, *function) (Fix, string)) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, g := range t.triggers {
			f := s.functions[g.Function]
			if f == nil || f.Extension || f.system() {
				continue
			}
			if fix, what := ask(t, f); what != "" {
				found = append(found, at(fmt.Sprintf("%s (trigger %s)", t.Title(), g.Name), fix, "%s", what))
			}
		}
	}
	return found
}
