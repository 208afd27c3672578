package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

var detourRules = []Rule{
	{"view-not-invoker", Error, detourGroup, "a view over tenant tables reads them as its owner", viewNotInvoker},
	{"materialized-view-open", Error, detourGroup, "a materialized view holds rows of all tenants and others may read it", matviewOpen},
	{"materialized-view-over-tenants", Notice, detourGroup, "a materialized view holds rows of all tenants", matviewOver},
	{"function-search-path", Error, detourGroup, "a SECURITY DEFINER function goes by its caller's search_path", functionSearchPath},
	{"function-search-path-temp", Warning, detourGroup, "a SECURITY DEFINER function can meet its caller's temporary tables first", functionPathTemp},
	{"function-public-definer", Error, detourGroup, "a SECURITY DEFINER function is executable by PUBLIC", functionPublic},
	{"function-definer-above", Error, detourGroup, "a SECURITY DEFINER function of a role that no policy binds reads tenant tables", functionAbove},
	{"function-definer-unbound", Warning, detourGroup, "a SECURITY DEFINER function reads tenant tables without asking for the session's tenant", functionUnbound},
	{"function-definer-stray", Warning, detourGroup, "a SECURITY DEFINER function asks for the session's tenant, and a statement of it reads tenant tables without", functionStray},
	{"function-definer-widened", Warning, detourGroup, "a SECURITY DEFINER function asks for the session's tenant beside an OR or under a NOT, which lets other rows in", functionWidened},
	{"function-definer-unread", Warning, detourGroup, "what a SECURITY DEFINER function reads cannot be told: dynamic SQL, or another language", functionUnread},
	{"rule-on-tenant-table", Warning, detourGroup, "a rewrite rule of a tenant table acts as its owner", ruleOnTable},
	{"trigger-function-untrusted", Error, detourGroup, "a trigger of a tenant table runs a function of a role that the wall should bind", triggerUntrusted},
	{"trigger-reads-on-cascade", Notice, detourGroup, "a trigger reads tenant tables; fired by a cascade it runs as their owner and sees every tenant", triggerOnCascade},
	{"event-trigger-untrusted", Error, detourGroup, "an event trigger runs a function of a role that is no administrator", eventTriggerUntrusted},
	{"partition-unprotected", Error, detourGroup, "a partition of a tenant table can be reached past its parent's policies", partitionUnprotected},
	{"inheritance-child-unprotected", Error, detourGroup, "a child of a tenant table can be reached past its parent's policies", childUnprotected},
	{"inheritance-parent-open", Error, detourGroup, "a tenant table is read through a parent that has no wall", parentOpen},
	{"foreign-table-open", Error, detourGroup, "a foreign table with rows of tenants is open: no policy can bind it", foreignTableOpen},
	{"sequence-readable", Warning, detourGroup, "a role may read or set the sequence of a tenant table", sequenceReadable},
	{"sequence-shared", Notice, detourGroup, "one sequence numbers the rows of all tenants", sequenceShared},
	{"publication-carries-tenants", Notice, detourGroup, "a publication carries the rows of all tenants", publicationCarries},
	{"event-log-readable", Error, detourGroup, "a role may read Hasura's logs, which hold rows of all tenants", eventLogReadable},
}

func viewNotInvoker(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		if r.Kind != "v" || r.Extension || invoker(r) || s.inPlace(r) {
			continue
		}
		if behind := s.behind(r.OID, map[uint32]bool{}); len(behind) > 0 {
			found = append(found, at(r.Title(), s.viewFix(r), "it shows %s as %s may see it", titles(behind), s.roleName(r.Owner)))
		}
	}
	return found
}

func invoker(r *relation) bool { return isOn(r.option("security_invoker")) }

// mostTitles is how many tables a fault names: every tenant may have one.
const mostTitles = 12

func titles(tables []*tenantTable) string {
	var names []string
	for _, t := range tables {
		if !slices.Contains(names, t.Title()) {
			names = append(names, t.Title())
		}
	}
	slices.Sort(names)
	if more := len(names) - mostTitles; more > 1 {
		names = append(names[:mostTitles], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

func matviewOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		outsiders := s.outsiders(r)
		if behind := s.matview(r); behind != "" && len(outsiders) > 0 {
			found = append(found, at(r.Title(), safe("REVOKE ALL ON %s FROM %s", r.sql(), s.granteesSQL(outsiders)),
				"it is a copy of %s that no policy binds, and %s may use it", behind, s.namesOf(outsiders)))
		}
	}
	return found
}

func matviewOver(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		if behind := s.matview(r); behind != "" && len(s.outsiders(r)) == 0 {
			found = append(found, at(r.Title(), advice("grant it to nobody, or make it a table with a tenant column that is declared"),
				"it is a copy of %s that no policy can bind; nobody but its owner may read it now", behind))
		}
	}
	return found
}

// matview names the tenant tables behind a materialized view; "" where there are none.
func (s *state) matview(r *relation) string {
	if r.Kind != "m" || r.Extension || s.inPlace(r) {
		return ""
	}
	return titles(s.behind(r.OID, map[uint32]bool{}))
}

func ruleOnTable(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, w := range t.rewrites {
			found = append(found, at(fmt.Sprintf("%s (rule %s)", t.Title(), w.Name), repair("DROP RULE %s ON %s", isolation.Quote(w.Name), t.sql()),
				"what the rule adds is done with the rights of %s: use a trigger", s.roleName(t.Owner)))
		}
	}
	return found
}

func foreignTableOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		outsiders := s.outsiders(r)
		declared := s.declaration(r.Schema, r.Name)
		if r.Kind != "f" || len(outsiders) == 0 || r.columnNamed("tenant_id") == nil && declared == nil && len(s.partOf(r.OID)) == 0 && s.named(r.option("schema_name"), r.option("table_name")) == nil {
			continue
		}
		found = append(found, at(r.Title(), safe("REVOKE ALL ON %s FROM %s", r.sql(), s.granteesSQL(outsiders)),
			"row-level security does not exist for foreign tables, and %s may use it", s.namesOf(outsiders)))
	}
	return found
}

func sequenceReadable(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		t := s.byOID[r.OwnedBy]
		outsiders := s.outsiders(r, "SELECT", "UPDATE")
		if r.Kind != "S" || t == nil || len(outsiders) == 0 {
			continue
		}
		found = append(found, at(r.Title(), safe("REVOKE SELECT, UPDATE ON SEQUENCE %s FROM %s", r.sql(), s.granteesSQL(outsiders)),
			"%s may read how many rows all tenants have made in %s, or set it back; USAGE is enough to insert", s.namesOf(outsiders), t.Title()))
	}
	return found
}

func sequenceShared(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, c := range t.columns {
			if c.Identity && c.Name != t.name {
				found = append(found, at(t.Title()+"."+c.Name, advice("use uuids, or number by tenant, where tenants see this column"),
					"the gaps in a tenant's own numbers tell how much the others write"))
			}
		}
	}
	return found
}

func publicationCarries(_ context.Context, s *state) []fault {
	var found []fault
	for _, p := range s.publications {
		var carried []*tenantTable
		for _, oid := range p.Relations {
			carried = append(carried, s.behind(oid, map[uint32]bool{})...)
		}
		if len(carried) == 0 {
			continue
		}
		fix := advice("publish the tables by name, and not these")
		if !p.All {
			fix = repair("ALTER PUBLICATION %s DROP TABLE %s", isolation.Quote(p.Name), s.tablesSQL(carried))
		}
		found = append(found, at("publication "+p.Name, fix, "no policy binds a subscriber: it receives every tenant's rows of %s", titles(carried)))
	}
	return found
}

func (s *state) tablesSQL(tables []*tenantTable) string {
	var names []string
	for _, t := range tables {
		if !slices.Contains(names, t.sql()) {
			names = append(names, t.sql())
		}
	}
	return strings.Join(names, ", ")
}

// hasuraLogs are the tables of Hasura's catalog that hold rows and requests of tenants.
var hasuraLogs = []string{"event_log", "event_invocation_logs", "hdb_action_log", "hdb_scheduled_events", "hdb_cron_events"}

func eventLogReadable(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		if r.Schema != "hdb_catalog" || !slices.Contains(hasuraLogs, r.Name) {
			continue
		}
		var readers []uint32
		for _, p := range r.grants {
			if p.Name == "SELECT" && p.Grantee != r.Owner && !s.is(p.Grantee, ownerRole, hasuraRole) && !s.superuser(p.Grantee) && !slices.Contains(readers, p.Grantee) {
				readers = append(readers, p.Grantee)
			}
		}
		if len(readers) > 0 {
			found = append(found, at(r.Title(), safe("REVOKE SELECT ON %s FROM %s", r.sql(), s.granteesSQL(readers)),
				"%s may read what Hasura delivered for every tenant; writing takes INSERT alone", s.namesOf(readers)))
		}
	}
	return found
}

func (c *catalog) superuser(oid uint32) bool { return c.roles[oid] != nil && c.roles[oid].Superuser }
