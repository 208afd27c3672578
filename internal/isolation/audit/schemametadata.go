package audit

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// readsBody is what a function of isolation.ReadsSchema does: the schema of the session's
// tenant, while the tenant is in service and lives there, and one table of it. readsQuery is
// the one statement, as a literal: columns, each cast to its type, of a table.
var (
	readsBody = regexp.MustCompile(`^\s*DECLARE\s+place text;\s+BEGIN` +
		`\s+SELECT s\.schema_name INTO place FROM tenants\.tenant_schemas s JOIN tenants\.tenants t ON t\.id = s\.tenant_id\s+` +
		`WHERE s\.tenant_id = \(hasura_session ->> 'x-hasura-tenant-id'\)::uuid AND t\.strategy = 'schema' AND t\.status = 'active';\s+` +
		`IF place IS NOT NULL THEN\s+RETURN QUERY EXECUTE format\('((?:[^'\\]|'')*)', place\);\s+END IF;\s+END\s*$`)
	readsQuery = regexp.MustCompile(`^SELECT ` + readColumn + `(?:, ` + readColumn + `)* FROM %I\.` + readName + `$`)
)

const (
	readName   = `(?:[a-z_][a-z0-9_]*|"[_A-Za-z][_0-9A-Za-z]*")`
	readPart   = `(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")`
	readColumn = readName + `::` + readPart + `(?:\.` + readPart + `)?(?: varying| precision)?` +
		`(?: (?:year|month|day|hour|minute|second))?(?: to (?:month|hour|minute|second))?` +
		`(?:\([0-9]+(?:,-?[0-9]+)?\))?(?: with(?:out)? time zone)?(?:\[\])?`
)

// readsAsMade reports whether the body is that of a read under one name.
func readsAsMade(body string) bool {
	found := readsBody.FindStringSubmatch(body)
	return found != nil && readsQuery.MatchString(strings.NewReplacer("''", "'", "%%", "%").Replace(found[1]))
}

func readsFunction(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.functions {
		path, _ := f.searchPath()
		if f.Schema != isolation.ReadsSchema || !f.Definer && path == "pg_catalog, pg_temp" && s.roleName(f.Owner) == ownerRole && f.Arguments == "hasura_session json" && readsAsMade(f.Source) {
			continue
		}
		found = append(found, at(f.Title(), advice("COMMENT ON SCHEMA %s IS NULL; SELECT tenants.build_tenant_reads() makes all of it anew", isolation.ReadsSchema),
			"what it returns is filtered by a permission that asks for the session and not for the row's tenant: it alone decides whose rows they are"))
	}
	slices.SortFunc(found, byObject)
	return found
}

func byObject(a, b fault) int {
	if a.object < b.object {
		return -1
	}
	return 1
}

// trackAgain has Hasura be told anew of a schema.
const trackAgain = "have it tracked anew: UPDATE tenants.tenant_schemas SET tracked_at = NULL; the server, or nself tenant migrate, then does it"

// eachExpression goes through every filter and check of an entry, with the role.
func eachExpression(entry metadata.Table, visit func(role, op, part string, rows metadata.BoolExp)) {
	for _, p := range entry.SelectPermissions {
		visit(p.Role, "select", "filter", p.Permission.Filter)
	}
	for _, p := range entry.InsertPermissions {
		visit(p.Role, "insert", "check", p.Permission.Check)
	}
	for _, p := range entry.UpdatePermissions {
		visit(p.Role, "update", "filter", p.Permission.Filter)
		visit(p.Role, "update", "check", p.Permission.Check)
	}
	for _, p := range entry.DeletePermissions {
		visit(p.Role, "delete", "filter", p.Permission.Filter)
	}
}

// stands reports whether terms ask for a session that stands in the role.
func stands(role string, terms []any) bool {
	f := guarded(right{role: role, terms: terms})
	return ofTenant(role) && !f.missing && f.role == "" && !f.sessionless
}

// names reports whether one of the terms holds the session's tenant to this one.
func names(tenant id.Tenant, terms []any) bool {
	return slices.ContainsFunc(terms, func(term any) bool {
		exists := asObject(asObject(term)["_exists"])
		if exists["_table"] != membersTable {
			return false
		}
		asks := func(value string) bool {
			return slices.ContainsFunc(metadata.Conjuncts(asObject(exists["_where"])), func(inner any) bool {
				return comparesWith(asObject(inner)["tenant_id"], value)
			})
		}
		return asks(tenantVariable) && asks(tenant.String())
	})
}

func schemaOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.metadata.Tables {
		tenant, own := s.places[entry.Table.Schema]
		if !own {
			continue
		}
		said := map[string]bool{}
		eachExpression(entry, func(role, op, part string, rows metadata.BoolExp) {
			terms, title := metadata.Conjuncts(rows), permissionTitle(entry, role, op)
			if said[title] || stands(role, terms) && names(tenant, terms) {
				return
			}
			said[title] = true
			found = append(found, at(title, advice("%s", trackAgain), "its %s does not hold the session to tenant %s, the only one whose rows these are", part, tenant))
		})
	}
	return found
}

func readsOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.metadata.Tables {
		if entry.Table.Schema != isolation.ReadsSchema {
			continue
		}
		said := map[string]bool{}
		eachExpression(entry, func(role, op, part string, rows metadata.BoolExp) {
			title := permissionTitle(entry, role, op)
			if said[title] || op == "select" && stands(role, metadata.Conjuncts(rows)) {
				return
			}
			said[title] = true
			found = append(found, at(title, advice("take the entry out of the metadata; %s", trackAgain), "its %s admits a session that does not stand", part))
		})
	}
	for _, f := range s.metadata.Functions {
		if f.Function.Schema == isolation.ReadsSchema && f.Configuration.SessionArgument != "hasura_session" {
			found = append(found, at("function "+f.Function.String(), yamlFix("configuration:\n  session_argument: hasura_session"), "the client itself says in whose session it reads"))
		}
	}
	return found
}
