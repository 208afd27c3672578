package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/metadata"
)

// field makes a computed field of the companies that members read.
func field(name, session string) func(*crm) {
	return func(c *crm) {
		entry := c.entry("crm.companies")
		entry.ComputedFields = []metadata.ComputedField{{Name: name, Definition: metadata.ComputedFieldDefinition{
			Function: metadata.FunctionName{Schema: c.schema, Name: name}, SessionArgument: session}}}
		entry.SelectPermissions[0].Permission.ComputedFields = []string{name}
	}
}

// tracking tracks a function.
func tracking(name string, configuration metadata.FunctionConfiguration) func(*crm) {
	return func(c *crm) {
		c.metadata.Functions = []metadata.Function{{Function: metadata.FunctionName{Schema: c.schema, Name: name}, Configuration: configuration}}
	}
}

// querying has a native query over the contacts, whose rows members read by a filter.
func querying(filter string) func(*crm) {
	return func(c *crm) {
		c.metadata.JSON = json.RawMessage(c.here(`{"sources": [{"name": "default",
			"native_queries": [{"root_field_name": "names", "code": "SELECT id, email FROM crm.contacts -- all", "returns": "name"}],
			"logical_models": [{"name": "name", "select_permissions": [{"role": "tenant_member", "permission": {"columns": "*", "filter": ` + filter + `}}]}]}]}`))
	}
}

// counting is a computed field of companies, with a condition.
func counting(name, argument, where string) string {
	return "CREATE FUNCTION crm." + name + "(company crm.companies" + argument + ") RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM crm.contacts t " + where + " $$"
}

var queryPlants = []plant{
	{rule: "metadata-function-open", object: "function crm.search", sql: `
		CREATE FUNCTION crm.search(wanted text) RETURNS SETOF crm.companies LANGUAGE sql STABLE AS
		  $$ SELECT c.* FROM crm.companies c JOIN crm.contacts t ON t.company_id = c.id WHERE t.email = wanted $$`,
		change: tracking("search", metadata.FunctionConfiguration{})},
	{rule: "metadata-function-open", object: "function crm.search", sql: `
		CREATE FUNCTION crm.search(sess json) RETURNS SETOF crm.companies LANGUAGE sql STABLE AS
		  $$ SELECT c.* FROM crm.companies c JOIN crm.contacts t ON t.company_id = c.id -- sess $$`,
		change: tracking("search", metadata.FunctionConfiguration{SessionArgument: "sess"})},
	{rule: "metadata-computed-field-open", object: "crm.companies.contacts", sql: `
		CREATE FUNCTION crm.contacts(company crm.companies) RETURNS bigint LANGUAGE sql STABLE
		RETURN (SELECT count(*) FROM crm.contacts WHERE company_id = (company).id)`, change: field("contacts", "")},
	{rule: "metadata-computed-field-open", object: "crm.companies.n", sql: counting("n", ", sess json", ""), change: field("n", "sess")},
	{rule: "metadata-computed-field-open", object: "crm.companies.n", sql: counting("n", ", sess json", "/* sess */ WHERE t.company_id = company.id"), change: field("n", "sess")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: counting("n", ", sess json", "WHERE tenant_id = (sess ->> 'x-hasura-tenant-id')::uuid OR true"), change: field("n", "sess")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: counting("n", "", "WHERE company.tenant_id IS NOT NULL"), change: field("n", "")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: counting("n", "", "WHERE NOT (t.tenant_id = company.tenant_id)"), change: field("n", "")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: counting("n", "", ", crm.contacts u WHERE t.tenant_id = company.tenant_id"), change: field("n", "")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: `CREATE FUNCTION crm.helper(tenant uuid) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM crm.contacts WHERE tenant_id = tenant $$;
		CREATE FUNCTION crm.n(c crm.companies) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT crm.helper(c.tenant_id) $$`, change: field("n", "")},
	{rule: "metadata-function-unproven", object: "crm.companies.n", sql: `CREATE FUNCTION crm.n(c crm.companies) RETURNS bigint LANGUAGE plpgsql STABLE AS
		$$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM crm.contacts' INTO n; RETURN n; END $$`, change: field("n", "")},
	{rule: "metadata-native-query-open", object: "native query names (tenant_member select)", change: querying(`{}`)},
	{rule: "metadata-native-query-open", object: "native query names (tenant_member select)", change: querying(`{"_or": [{"tenant_id": {"_eq": "X-Hasura-Tenant-Id"}}, {"email": {"_is_null": false}}]}`)},
	{rule: "metadata-view-without-tenant", object: "crm.emails (tenant_member select)", sql: `
		CREATE VIEW crm.emails WITH (security_invoker = true) AS SELECT email FROM crm.contacts`, change: trackedView("emails", all())},
	{rule: "metadata-filter-missing", object: "crm.emails (tenant_member select)", sql: `
		CREATE VIEW crm.emails WITH (security_invoker = true) AS SELECT tenant_id, email FROM crm.contacts`, change: trackedView("emails", all(guardOf("member")))},
}

// trackedView tracks a view that members read.
func trackedView(name string, filter metadata.BoolExp) func(*crm) {
	return func(c *crm) {
		c.metadata.Tables = append(c.metadata.Tables, metadata.Table{Table: metadata.TableName{Schema: c.schema, Name: name},
			SelectPermissions: []metadata.Permission[metadata.Select]{{Role: "tenant_member", Permission: metadata.Select{Columns: metadata.Columns{Names: []string{"email"}}, Filter: filter}}}})
	}
}

// sound is what looks like a fault and is none.
var sound = map[string]plant{
	"a field that keeps to its row's tenant": {sql: counting("n", "", "WHERE t.tenant_id = company.tenant_id AND t.company_id = company.id"), change: field("n", "")},
	"a field whose row has no name": {sql: `CREATE FUNCTION crm.n(crm.companies) RETURNS bigint LANGUAGE sql STABLE AS
		$$ SELECT count(*) FROM crm.contacts WHERE tenant_id = $1.tenant_id $$`, change: field("n", "")},
	"a field that Postgres parsed": {sql: `CREATE FUNCTION crm.n(c crm.companies) RETURNS bigint LANGUAGE sql STABLE
		RETURN (SELECT count(*) FROM crm.contacts t WHERE t.tenant_id = (c).tenant_id AND (t.email IS NULL OR t.notes IS NULL))`, change: field("n", "")},
	"a field told the session": {sql: counting("n", ", sess json", "WHERE tenant_id = (sess ->> 'x-hasura-tenant-id')::uuid"), change: field("n", "sess")},
	"a field that fills a variable": {sql: `CREATE FUNCTION crm.n(c crm.companies, sess json) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
		DECLARE mine uuid := (sess ->> 'x-hasura-tenant-id')::uuid; BEGIN
		RETURN (SELECT count(*) FROM crm.contacts t JOIN crm.companies d USING (tenant_id) WHERE t.tenant_id = mine); END $$`, change: field("n", "sess")},
	"a field that no role reads": {sql: counting("n", "", ""), change: func(c *crm) {
		field("n", "")(c)
		c.entry("crm.companies").SelectPermissions[0].Permission.ComputedFields = nil
	}},
	"a field of rows that Hasura filters": {sql: `CREATE FUNCTION crm.n(c crm.companies) RETURNS SETOF crm.contacts LANGUAGE sql STABLE AS
		$$ SELECT * FROM crm.contacts WHERE company_id = c.id $$`, change: field("n", "")},
	"a function of rows that Hasura filters": {sql: `CREATE FUNCTION crm.search(wanted text) RETURNS SETOF crm.contacts LANGUAGE sql STABLE AS
		$$ SELECT * FROM crm.contacts WHERE email = wanted $$`, change: tracking("search", metadata.FunctionConfiguration{})},
	"a mutation, which sends the session": {sql: `CREATE FUNCTION crm.touch() RETURNS SETOF crm.companies LANGUAGE sql AS
		$$ UPDATE crm.contacts SET notes = 'x'; SELECT * FROM crm.companies $$`, change: tracking("touch", metadata.FunctionConfiguration{ExposedAs: "mutation"})},
	"a query filtered by its model": {change: querying(`{"tenant_id": {"_eq": "X-Hasura-Tenant-Id"}}`)},
	"a view with the wall's filter": {sql: `CREATE VIEW crm.emails WITH (security_invoker = true) AS SELECT tenant_id, email FROM crm.contacts`,
		change: trackedView("emails", all(mine, guardOf("member")))},
	"a barrier over a copy": {sql: barrierSQL, change: trackedView("mine", all())},
}

const barrierSQL = `
	CREATE MATERIALIZED VIEW crm.counted AS SELECT tenant_id, count(*) AS n FROM crm.contacts GROUP BY 1;
	CREATE VIEW crm.mine WITH (security_barrier = true) AS SELECT n FROM crm.counted c WHERE c.tenant_id = (SELECT tenants.active_tenant_id());
	GRANT SELECT ON crm.mine TO nself_app`

func TestWhatIsSoundIsNoFinding(t *testing.T) {
	t.Parallel()
	base := ownCRM(t, nil)
	for name, p := range sound {
		t.Run(name, func(t *testing.T) {
			c := base.fork(t)
			if p.sql != "" {
				execute(t, c.tx, p.sql)
			}
			p.change(c)
			for _, f := range c.audit(t) {
				if f.Rule != "materialized-view-over-tenants" {
					t.Errorf("%s %s: %s", f.Rule, f.Object, f.What)
				}
			}
		})
	}
}

func TestASecondSourceTellsWhichTenantTablesItTracks(t *testing.T) {
	c := newCRM(t)
	c.metadata.Sources = []metadata.Source{{Name: "default", Kind: "postgres", Tables: 9}, {Name: "again", Kind: "postgres", Tables: 2}}
	c.metadata.JSON = json.RawMessage(`{"sources": [{"name": "again", "tables": [{"table": {"schema": "crm", "name": "contacts"}}, {"table": "odd"}]}]}`)
	found := c.audit(t)
	if len(found) != 1 || !found[0].Counts(false) || !strings.Contains(found[0].What, "crm.contacts may be the tenant tables") {
		t.Errorf("%+v", found)
	}
}
