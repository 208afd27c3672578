package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

var metadataRules = []Rule{
	{"metadata-unread", Error, metadataGroup, "a part of the metadata cannot be read, so nothing is known of what it opens", metadataUnread},
	{"metadata-source-unread", Warning, metadataGroup, "another source than default tracks tables, which are not audited", sourceUnread},
	{"metadata-filter-missing", Error, metadataGroup, "a permission on a tenant table does not ask for the session's tenant", filterMissing},
	{"metadata-filter-widened", Error, metadataGroup, "a permission asks for the tenant inside _or, _not, _exists or another row, which binds nothing", filterWidened},
	{"metadata-filter-empty", Error, metadataGroup, "a permission compares the tenant with nothing, which is true of every row", filterEmpty},
	{"metadata-filter-on-null", Error, metadataGroup, "a permission lets rows without a tenant through", filterOnNull},
	{"metadata-session-variable", Error, metadataGroup, "a permission compares the tenant with another session variable", filterVariable},
	{"metadata-check-missing", Error, metadataGroup, "an insert or update check does not ask for the session's tenant", checkMissing},
	{"metadata-update-without-check", Error, metadataGroup, "an update has no check: a row may become anything", updateUnchecked},
	{"metadata-guard-missing", Error, metadataGroup, "a permission does not ask whether tenant and membership are still active", guardMissing},
	{"metadata-guard-role", Error, metadataGroup, "a permission's guard asks for another role than its own", guardRole},
	{"metadata-guard-session", Error, metadataGroup, "a permission's guard does not ask whether the session has ended", guardSession},
	{"metadata-tenant-writable", Error, metadataGroup, "a role may write the tenant column", tenantWritable},
	{"metadata-preset-missing", Error, metadataGroup, "the tenant column is not preset from the session", presetMissing},
	{"metadata-columns-all", Warning, metadataGroup, "columns: '*' opens every column to come", columnsAll},
	{"metadata-secret-selectable", Warning, metadataGroup, "a column that looks like a secret may be selected", secretSelectable},
	{"metadata-aggregate-open", Warning, metadataGroup, "a role may aggregate where the list does not say so, or over rows of every tenant", aggregateOpen},
	{"metadata-shared-written", Error, metadataGroup, "a role may write a table that all tenants share", sharedWritten},
	{"metadata-role-unknown", Error, metadataGroup, "a role that no token carries has rights on a tenant table", roleUnknown},
	{"metadata-role-admin", Error, metadataGroup, "something is made for the role admin, or holds it", roleAdmin},
	{"metadata-inherited-widens", Error, metadataGroup, "an inherited role adds up the rights of roles on tenant tables", inheritedWidens},
	{"metadata-table-undeclared", Error, metadataGroup, "a table is tracked and not in the declared list", trackedUndeclared},
	{"metadata-enum-table", Error, metadataGroup, "a tenant table is tracked as an enum: its rows are part of the schema", enumTable},
	{"metadata-relationship-leaves-tenant", Error, metadataGroup, "a relationship between tenant tables does not join by the tenant", relationshipLeaves},
	{"metadata-relationship-remote", Warning, metadataGroup, "a tenant table is joined to a remote schema or source without the tenant", relationshipRemote},
	{"metadata-view-without-tenant", Error, metadataGroup, "a tracked view over tenant tables shows no tenant column to filter by", viewWithoutTenant},
	{"metadata-remote-schema-open", Warning, metadataGroup, "a remote schema has no permissions: every role has all of it", remoteSchemaOpen},
	{"metadata-action-open", Error, metadataGroup, "an action of the product is open to a role it is not for", actionOpen},
	{"metadata-action-role-unknown", Warning, metadataGroup, "an action is open to a role that no token carries", actionRoleUnknown},
	{"metadata-action-forwards-headers", Warning, metadataGroup, "an action of the product forwards client headers, which can replace its secret", actionForwards},
}

func metadataUnread(_ context.Context, s *state) []fault {
	var found []fault
	for _, unread := range s.metadata.Unread {
		where, why, _ := strings.Cut(unread, ": ")
		found = append(found, at(where, advice("mend the entry, or audit with the release of this command that belongs to this Hasura"), "%s", cmp.Or(why, unread)))
	}
	return found
}

func sourceUnread(_ context.Context, s *state) []fault {
	var found []fault
	for _, source := range s.metadata.Sources {
		if source.Name != "default" && source.Tables > 0 {
			what := fmt.Sprintf("it tracks %d tables of a database that this audit does not see", source.Tables)
			if alike := s.namedAlike(source.Name); len(alike) > 0 {
				what += ", and " + strings.Join(alike, ", ") + " may be the tenant tables of those names here, under other permissions"
			}
			found = append(found, at("source "+source.Name, advice("see by hand that none of its tables holds rows of tenants, and allow it with that reason; tables of this database are tracked in the source default alone"), "%s", what))
		}
	}
	return found
}

// namedAlike are the tables that a source tracks under the name of a tenant table.
func (s *state) namedAlike(source string) []string {
	var document struct {
		Sources []struct {
			Name   string `json:"name"`
			Tables []struct {
				Table json.RawMessage `json:"table"`
			} `json:"tables"`
		} `json:"sources"`
	}
	if json.Unmarshal(s.metadata.JSON, &document) != nil {
		return nil // metadata-unread tells of what has another shape
	}
	var found []string
	for _, of := range document.Sources {
		for _, entry := range of.Tables {
			var name metadata.TableName
			if of.Name == source && json.Unmarshal(entry.Table, &name) == nil && s.named(name.Schema, name.Name) != nil {
				found = append(found, name.String())
			}
		}
	}
	return found
}

// eachRight asks of every right whether it is at fault, and what is wrong with it.
func (s *state) eachRight(ask func(right, verdict) (string, bool)) []fault {
	var found []fault
	for _, r := range s.rights {
		if what, bad := ask(r, r.verdict); bad {
			found = append(found, at(r.title(), yamlFix("%s", r.wall()), "%s", what))
		}
	}
	return found
}

func (v verdict) silent() bool {
	return !v.bound && v.widened == "" && !v.empty && !v.nulls && v.variable == ""
}

func filterMissing(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return "its rows are those of every tenant", v.silent() && r.part == "filter"
	})
}

func checkMissing(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return "the rows it leaves behind may be any tenant's", v.silent() && r.part == "check"
	})
}

func filterVariable(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return fmt.Sprintf("its %s compares %s with %s; the token names its tenant in X-Hasura-Tenant-Id", r.part, r.table.name, v.variable), !v.bound && v.variable != ""
	})
}

func filterEmpty(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return fmt.Sprintf("its %s names %s and compares it with nothing", r.part, r.table.name), !v.bound && v.variable == "" && v.empty
	})
}

func filterOnNull(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return fmt.Sprintf("its %s admits rows whose %s is null: they are of no tenant, or of all", r.part, r.table.name), !v.bound && v.variable == "" && !v.empty && v.nulls
	})
}

func filterWidened(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, v verdict) (string, bool) {
		return fmt.Sprintf("its %s asks for the tenant only inside %s, so other rows pass too", r.part, v.widened),
			!v.bound && v.variable == "" && !v.empty && !v.nulls && v.widened != ""
	})
}

func updateUnchecked(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		for _, p := range entry.UpdatePermissions {
			if entry.tenant != nil && p.Permission.Check == nil {
				r := right{table: entry.tenant, role: p.Role, part: "check"}
				found = append(found, at(permissionTitle(entry.Table, p.Role, "update"), yamlFix("%s", r.wall()), "without a check the row after the update is not looked at"))
			}
		}
	}
	return found
}

var secretName = regexp.MustCompile(`(?i)(^|_)(password|passwd|passphrase|secret|secrets|token|hash|salt|credential|credentials|private_key|api_?key|otp|totp)(_|$)`)

func secretSelectable(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		table := s.relationNamed(entry.Table.Table)
		if table == nil {
			continue
		}
		for _, p := range entry.SelectPermissions {
			for _, c := range table.columns {
				if secretName.MatchString(c.Name) && p.Permission.Columns.Has(c.Name) {
					found = append(found, at(fmt.Sprintf("%s.%s (%s select)", entry.Table.Table, c.Name, p.Role),
						yamlFix("# columns: without %s", c.Name), "by its name it is a secret, or the trace of one"))
				}
			}
		}
	}
	return found
}

func aggregateOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		t := entry.tenant
		if t == nil || t.column == nil {
			continue
		}
		for _, p := range entry.SelectPermissions {
			bound := slices.ContainsFunc(s.rights, func(r right) bool { return r.table == t && r.role == p.Role && r.op == "select" && r.bound })
			if !p.Permission.AllowAggregations || !knownRole(p.Role) || bound && mayAggregate(t.declared, p.Role) {
				continue
			}
			found = append(found, at(permissionTitle(entry.Table, p.Role, "select"), yamlFix("allow_aggregations: false"), "counts and sums tell of rows, one by one with a where"))
		}
	}
	return found
}

// mayAggregate reports whether the list lets a role aggregate. A table or a role that it
// does not speak of is another rule's matter.
func mayAggregate(declared *isolation.Table, role string) bool {
	if declared == nil {
		return true
	}
	for _, p := range declared.Permissions {
		if slices.Contains(p.Roles, role) {
			return p.Aggregations
		}
	}
	return true
}
