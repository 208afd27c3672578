package isolation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// wall is the statements that put the declared wall around a table whose columns and keys
// are as they should be already. They replace the policies there are, and every grant of
// the grantees: policies and grants add up, so one that stayed would be a hole.
func (t Table) wall(policies, grantees []string) []string {
	table := t.Name.Quoted()
	var statements []string
	if t.Walled() {
		statements = append(statements, t.KeepTenant(), "ALTER TABLE "+table+" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
		for _, name := range policies {
			statements = append(statements, "DROP POLICY "+Quote(name)+" ON "+table)
		}
		for _, p := range t.AllPolicies() {
			statements = append(statements, t.CreatePolicy(p))
		}
	}
	statements = append(statements, "REVOKE ALL ON "+table+" FROM "+strings.Join(grantees, ", "))
	for _, role := range slices.Sorted(maps.Keys(t.Grants)) {
		if granted := t.Grants[role]; len(granted) > 0 {
			statements = append(statements, fmt.Sprintf("GRANT %s ON %s TO %s", strings.ToUpper(strings.Join(granted, ", ")), table, role))
		}
	}
	return append(statements, t.register())
}

// KeepTenant is the trigger that lets no row move to another tenant.
func (t Table) KeepTenant() string {
	table, column := t.Name.Quoted(), Quote(t.TenantColumn())
	return fmt.Sprintf("CREATE OR REPLACE TRIGGER %s BEFORE UPDATE OF %s ON %s\n    FOR EACH ROW WHEN (OLD.%[2]s IS DISTINCT FROM NEW.%[2]s) EXECUTE FUNCTION nself.refuse_tenant_change()",
		Quote(t.TenantColumn()+"_is_immutable"), column, table)
}

// register records the declaration in the database.
func (t Table) register() string {
	return "PERFORM nself.declare_tenant_table(" + Literal(canonicalDeclaration(t)) + ")"
}

// Literal writes a text constant. The E form reads the same whatever
// standard_conforming_strings says.
func Literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
