package audit

import (
	"context"
	"fmt"
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
