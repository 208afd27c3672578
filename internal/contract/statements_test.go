package contract

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// prepare has Postgres parse a statement against the migrated schema.
func prepare(t *testing.T, tx pgx.Tx, sql string) error {
	t.Helper()
	rewritten, _, err := pgx.NamedArgs{}.RewriteQuery(t.Context(), tx.Conn(), sql, nil)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(t.Context(), tx, func(savepoint pgx.Tx) error {
		_, err := savepoint.Prepare(t.Context(), "", rewritten)
		return err
	})
}

var relationName = regexp.MustCompile(`\b([a-z_]+)\.([a-z_]+)\b`)

// tenantTableIn names the first table of tenants' rows that a statement mentions, or "".
// Users are shared between tenants: a row of theirs belongs to none.
func tenantTableIn(sql string, columns map[metadata.TableName]string) string {
	for _, match := range relationName.FindAllStringSubmatch(sql, -1) {
		table := metadata.TableName{Schema: match[1], Name: match[2]}
		if columns[table] != "" && match[0] != "auth.users" {
			return match[0]
		}
	}
	return ""
}

// fenceless says what is wrong with a statement that could reach beyond one tenant.
func fenceless(s statement, columns map[metadata.TableName]string) string {
	table := tenantTableIn(s.text, columns)
	switch allTenants := strings.Contains(s.short(), "AllTenants"); {
	case table != "" && !allTenants && !strings.Contains(s.text, "@tenant_id"):
		return fmt.Sprintf("%s touches %s without @tenant_id: add it, or say AllTenants in the name", s.name, table)
	case allTenants && strings.Contains(s.text, "@tenant_id"):
		return fmt.Sprintf("%s takes @tenant_id, so its name need not say AllTenants", s.name)
	}
	return ""
}

func TestEveryStatementFitsTheSchema(t *testing.T) {
	all := statements(t)
	if len(all) < 40 {
		t.Fatalf("only %d statements were found: the search is broken", len(all))
	}
	tx := pgtest.Tx(t, "nself_server")
	for _, s := range all {
		if err := prepare(t, tx, s.text); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	if err := prepare(t, tx, `SELECT slogan FROM tenants.tenants WHERE id = @tenant_id`); err == nil {
		t.Error("a column that does not exist was prepared")
	}
}

func TestEveryStatementOnTenantsRowsNamesTheTenant(t *testing.T) {
	columns := tenantColumns(t)
	for _, s := range statements(t) {
		if fault := fenceless(s, columns); fault != "" {
			t.Error(fault)
		}
	}
	for _, s := range []statement{
		{"x.openSQL", `SELECT id FROM tenants.tenants WHERE slug = @slug`},
		{"x.openSQL", `DELETE FROM auth.sessions WHERE id = @id`},
		{"x.openSQL", `SELECT 1 FROM auth.users u JOIN audit.log l ON l.actor_user_id = u.id`},
		{"x.oneAllTenantsSQL", `SELECT id FROM tenants.tenants WHERE id = @tenant_id`},
	} {
		if fenceless(s, columns) == "" {
			t.Errorf("%s passes: %s", s.name, s.text)
		}
	}
}

func TestStatementsAreNowhereButInConstants(t *testing.T) {
	for _, dir := range directories(t) {
		if strings.HasPrefix(dir, "internal/local/") || dir == "internal/isolation/drill" {
			continue // they make statements: of GraphQL, and of whatever tables are declared
		}
		for _, where := range looseStatements(t, dir) {
			t.Errorf("%s: a statement outside a constant whose name ends in SQL is not prepared by any test", where)
		}
	}
}
