package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// queryRules are of SQL that Hasura runs for a role: functions and native queries.
var queryRules = []Rule{
	{"metadata-function-open", Error, metadataGroup, "a tracked function reads tenant tables and asks for no tenant", functionOpen},
	{"metadata-computed-field-open", Error, metadataGroup, "a computed field reads tenant tables and asks for no tenant", computedOpen},
	{"metadata-function-unproven", Warning, metadataGroup, "a tracked function or computed field speaks of the tenant, and its text does not show that it holds to it", functionUnproven},
	{"metadata-native-query-open", Error, metadataGroup, "a native query reads tenant tables, and a role's permission on what it returns does not ask for the session's tenant", nativeOpen},
}

// exposed is a function that Hasura calls for a role.
type exposed struct {
	title, part string // part: of the metadata, that names the session argument
	function    *function
	session     string   // the argument that Hasura fills with the session; "" where there is none
	known       []string // words that say the tenant
	bySession   bool     // it is called with the session set in Postgres
}

func (s *state) exposedFunctions() []exposed {
	var found []exposed
	for _, tracked := range s.metadata.Functions {
		if tracked.Function.Schema == isolation.ReadsSchema {
			continue // readsFunction knows them word by word
		}
		for _, f := range s.functionsNamed(tracked.Function) {
			x := exposed{title: "function " + tracked.Function.String(), part: "configuration", function: f, session: tracked.Configuration.SessionArgument}
			as := tracked.Configuration.ExposedAs
			x.bySession = as == "mutation" || as == "" && f.Volatile
			found = append(found, x.knowing())
		}
	}
	return found
}

func (s *state) exposedFields() []exposed {
	var found []exposed
	for _, entry := range s.metadata.Tables {
		for _, field := range entry.ComputedFields {
			for _, f := range s.functionsNamed(field.Definition.Function) {
				x := exposed{title: fmt.Sprintf("%s.%s", entry.Table, field.Name), part: "definition", function: f, session: field.Definition.SessionArgument}
				if f.Returns == 0 && !anyoneReads(entry, field.Name) {
					continue
				}
				row := field.Definition.TableArgument
				if row == "" {
					row = f.argument(1)
				}
				if t := s.named(entry.Table.Schema, entry.Table.Name); t != nil {
					x.known = append(x.known, row+"."+t.name)
				}
				found = append(found, x.knowing())
			}
		}
	}
	return found
}

// knowing adds the session argument to what says the tenant.
func (x exposed) knowing() exposed {
	if x.session != "" {
		x.known = append(x.known, x.session)
	}
	return x
}

func anyoneReads(entry metadata.Table, field string) bool {
	return slices.ContainsFunc(entry.SelectPermissions, func(p metadata.Permission[metadata.Select]) bool {
		return slices.Contains(p.Permission.ComputedFields, field)
	})
}

// judge says what a function does about the tenant, and of which tables. Hasura filters
// the rows of a tracked table that a function returns by the permission on that, and what
// runs as its caller with the session set is bound by the policies.
func (s *state) judge(x exposed) (held, string) {
	f := x.function
	if f.Extension || x.bySession && !f.Definer {
		return bindsAll, ""
	}
	j := &judging{s: s, known: x.known, seen: map[uint32]bool{f.OID: true}}
	if t := s.byOID[f.Returns]; t != nil && len(s.tracked(t.Schema, t.Name).SelectPermissions) > 0 {
		j.exempt = t.OID
	}
	behind := titles(slices.DeleteFunc(s.touchesDeep(f), func(t *tenantTable) bool { return t.OID == j.exempt }))
	if unread := f.unread(); unread != "" {
		return unsure, unread
	}
	if behind == "" {
		return bindsAll, ""
	}
	how := j.of(f)
	if !j.met {
		how = unsure // the catalog knows of more than the text shows
	}
	return how, "it reads " + behind
}

const heldByArgument = `# in the function: an argument %[1]s json, and for each table that it reads
#   WHERE tenant_id = (%[1]s ->> 'x-hasura-tenant-id')::uuid
# (a computed field may compare with its own row's tenant_id instead)
%[2]s:
  session_argument: %[1]s`

func (s *state) openOf(all []exposed) []fault {
	var found []fault
	for _, x := range all {
		if how, what := s.judge(x); how == bindsNone {
			found = append(found, at(x.title, x.fix(), "%s (%s) and no condition there asks for the tenant; a query sends no session to Postgres, so it sees every tenant", what, x.function.Title()))
		}
	}
	return found
}

func (x exposed) fix() Fix {
	name := x.session
	if name == "" {
		name = "hasura_session"
	}
	return yamlFix(heldByArgument, name, x.part)
}

func functionOpen(_ context.Context, s *state) []fault { return s.openOf(s.exposedFunctions()) }

func computedOpen(_ context.Context, s *state) []fault { return s.openOf(s.exposedFields()) }

func functionUnproven(_ context.Context, s *state) []fault {
	var found []fault
	for _, x := range slices.Concat(s.exposedFunctions(), s.exposedFields()) {
		if how, what := s.judge(x); how == unsure {
			found = append(found, at(x.title, x.fix(), "%s, and whether %s holds each of them to the tenant cannot be told from its text: see for yourself, and allow it with that reason", what, x.function.Title()))
		}
	}
	return found
}

// queries are the native queries of the metadata, with what they return.
type queries struct {
	Sources []struct {
		Name    string `json:"name"`
		Queries []struct {
			Name    string `json:"root_field_name"`
			Code    string `json:"code"`
			Returns any    `json:"returns"`
		} `json:"native_queries"`
		Models []struct {
			Name        string `json:"name"`
			Permissions []struct {
				Role       string `json:"role"`
				Permission struct {
					Filter metadata.BoolExp `json:"filter"`
				} `json:"permission"`
			} `json:"select_permissions"`
		} `json:"logical_models"`
	} `json:"sources"`
}

func nativeOpen(_ context.Context, s *state) []fault {
	var all queries
	if json.Unmarshal(s.metadata.JSON, &all) != nil {
		return nil // metadata-unread tells of what has another shape
	}
	var found []fault
	for _, source := range all.Sources {
		for _, q := range source.Queries {
			behind := s.readByText(q.Code)
			for _, model := range source.Models {
				if len(behind) == 0 || q.Returns != model.Name {
					continue
				}
				for _, p := range model.Permissions {
					if knownRole(p.Role) && !asksInModel(p.Role, p.Permission.Filter, columnsOf(behind)) {
						found = append(found, at(fmt.Sprintf("native query %s (%s select)", q.Name, p.Role), yamlFix("# of the logical model %s, which has to return the column\nfilter:\n  tenant_id: {_eq: X-Hasura-Tenant-Id}", model.Name),
							"it reads %s, and a query sends no session to Postgres: every tenant's rows come back", titles(behind)))
					}
				}
			}
		}
	}
	return found
}

func (s *state) readByText(code string) []*tenantTable {
	f := &function{Schema: "public", Source: code, Language: "sql"}
	f.setWords()
	return s.touchesDeep(f)
}

// asksInModel reports whether a filter of a logical model holds its rows to the session.
func asksInModel(role string, filter metadata.BoolExp, columns []string) bool {
	return ofPerson(role, filter) || slices.ContainsFunc(metadata.Conjuncts(filter), func(term any) bool {
		for name, condition := range asObject(term) {
			if slices.Contains(columns, strings.ToLower(name)) && comparesWith(condition, tenantVariable) {
				return true
			}
		}
		return false
	})
}
