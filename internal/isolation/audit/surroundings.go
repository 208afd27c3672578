package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// userMapping is as whom a role acts on a foreign server.
type userMapping struct {
	Server  string   `db:"server"`
	Role    uint32   `db:"role"` // 0 is PUBLIC
	Options []string `db:"options"`
	Unseen  bool     `db:"unseen"` // it has none, or the login may not see them
}

// The options of another's mapping are null to who is no superuser and does not own the
// server.
const userMappingsSQL = `
	SELECT m.srvname::text AS server, m.umuser AS role, coalesce(m.umoptions, '{}') AS options, m.umoptions IS NULL AS unseen
	FROM pg_catalog.pg_user_mappings m ORDER BY 1, 2`

// builtinGrant is EXECUTE on a function of Postgres' own that reads past every policy.
type builtinGrant struct {
	Function string `db:"function"`
	Grantee  uint32 `db:"grantee"`
}

const builtinGrantsSQL = `
	SELECT f.oid::regprocedure::text AS function, g.grantee
	FROM pg_catalog.pg_proc f, aclexplode(f.proacl) AS g
	WHERE f.pronamespace = 'pg_catalog'::regnamespace AND g.grantee <> f.proowner AND f.proname ~ '^(pg_read_file|pg_read_binary_file|pg_stat_file|pg_ls_dir|lo_import|lo_export|pg_file_write)$'
	ORDER BY 1, 2`

var surroundingRules = []Rule{
	{"context-function-changed", Error, roleGroup, "a function that every policy asks is not as the migrations made it", contextChanged},
	{"list-writable", Error, roleGroup, "a role to be bound may write the declared list in the database", listWritable},
	{"server-table-open", Error, roleGroup, "a table of the server's own (keys, the queue, rate limits) is open to another role", serverTableOpen},
	{"builtin-function-granted", Error, roleGroup, "a role may call a function of Postgres that reads or writes files", builtinGranted},
	{"user-mapping-upward", Error, detourGroup, "a role acts on a foreign server as a role above it", mappingUpward},
	{"function-leakproof", Warning, detourGroup, "a function is called leakproof: Postgres shows it rows before the policies", functionLeakproof},
	{"trigger-notifies", Warning, detourGroup, "a trigger of a tenant table sends values of rows by NOTIFY, to which any login may listen", triggerNotifies},
	{"trigger-copies-out", Error, detourGroup, "a trigger of a tenant table writes to a table without a wall that others may read", triggerCopies},
}

func contextChanged(_ context.Context, s *state) []fault {
	var found []fault
	for _, d := range s.context {
		if d.Table.Schema == "nself" {
			continue // who may write the list is a rule of its own
		}
		found = append(found, at("function "+firstSignature(d.Exceeds), advice("as a superuser, find out who replaced or owns it, and restore it as the migrations have it"), "there is %s", d.Exceeds))
	}
	return found
}

// firstSignature is the function that a difference speaks of.
func firstSignature(text string) string {
	for word := range strings.FieldsSeq(text) {
		if strings.Contains(word, "(") && strings.Contains(word, ".") {
			return word
		}
	}
	return text
}

func listWritable(_ context.Context, s *state) []fault {
	r := s.relationByName["nself.tenant_tables"]
	if r == nil {
		return nil
	}
	var found []fault
	if !s.is(r.Owner, ownerRole) && !s.superuser(r.Owner) {
		found = append(found, at(r.Title(), repair("-- as a superuser\nALTER TABLE %s OWNER TO %s", r.sql(), ownerRole), "%s owns it, and says which tables have a wall", s.roleName(r.Owner)))
	}
	for _, p := range r.grants {
		if p.Name != "SELECT" && p.Grantee != r.Owner && !s.superuser(p.Grantee) && !s.is(p.Grantee, ownerRole) {
			found = append(found, at(s.grantTitle(r, p), s.revoke(r, p), "whoever writes the list says which tables have a wall, and what this audit looks at"))
		}
	}
	return found
}

func serverTableOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.relations {
		if !r.table() || !isolation.OfTheServer(isolation.Name{Schema: r.Schema, Name: r.Name}) {
			continue
		}
		if !s.trusted(r.Owner) {
			found = append(found, at(r.Title(), repair("ALTER TABLE %s OWNER TO %s", r.sql(), ownerRole), "%s owns it, and reads of every tenant what the server keeps there", s.roleName(r.Owner)))
		}
		for _, p := range r.grants {
			if p.Grantee != r.Owner && !s.trusted(p.Grantee) {
				found = append(found, at(s.grantTitle(r, p), s.revoke(r, p), "it has no wall: what the server keeps there of every tenant is for nself_server alone"))
			}
		}
	}
	return found
}

func builtinGranted(_ context.Context, s *state) []fault {
	var found []fault
	for _, g := range s.builtins {
		if s.superuser(g.Grantee) || strings.HasPrefix(s.roleName(g.Grantee), "pg_") {
			continue
		}
		found = append(found, at(fmt.Sprintf("%s (%s)", g.Function, s.roleName(g.Grantee)),
			safe("REVOKE EXECUTE ON FUNCTION pg_catalog.%s FROM %s", g.Function, s.granteeSQL(g.Grantee)),
			"it reaches files of the server, and those hold the rows of every tenant"))
	}
	return found
}

func mappingUpward(_ context.Context, s *state) []fault {
	var found []fault
	for _, m := range s.mappings {
		as := ""
		for _, option := range m.Options {
			if name, value, _ := strings.Cut(option, "="); name == "user" {
				as = value
			}
		}
		r := s.roleNamed[as]
		if r == nil || s.trusted(m.Role) || !s.trusted(r.OID) && !s.above(r.OID) && r.Name != hasuraRole || m.Role == r.OID {
			continue
		}
		found = append(found, at(fmt.Sprintf("user mapping on %s (%s)", m.Server, s.roleName(m.Role)),
			repair("DROP USER MAPPING FOR %s SERVER %s", s.granteeSQL(m.Role), isolation.Quote(m.Server)),
			"%s is %s there; where that server is this database, every policy lets it pass", s.roleName(m.Role), as))
	}
	return found
}

func functionLeakproof(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.functions {
		if f.Leakproof && !f.Extension {
			found = append(found, at(f.Title(), repair("-- as a superuser\nALTER %s NOT LEAKPROOF", f.sql()),
				"in a caller's WHERE it is given values of rows that the policies then hide: if it tells them (an error, a notice, a table), they leak"))
		}
	}
	slices.SortFunc(found, func(a, b fault) int { return strings.Compare(a.object, b.object) })
	return found
}
