package audit

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// counter counts the queries of a connection.
type counter struct{ queries int }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries++
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// manySQL makes tables behind the wall, from one number to another.
const manySQL = `
	DO $do$ BEGIN FOR n IN %d..%d LOOP EXECUTE replace($$
	  CREATE TABLE crm.tN (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, id uuid NOT NULL, name text, PRIMARY KEY (tenant_id, id));
	  ALTER TABLE crm.tN OWNER TO nself_owner;
	  ALTER TABLE crm.tN ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	  CREATE POLICY owner_all ON crm.tN TO nself_owner USING (true) WITH CHECK (true);
	  CREATE POLICY active_tenant ON crm.tN TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()));
	  GRANT SELECT, INSERT ON crm.tN TO nself_app;
	  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.tN
	    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
	$$, 'tN', 't' || n); END LOOP; END $do$`

// addTables makes, declares and tracks tables.
func (c *crm) addTables(t testing.TB, from, to int) {
	t.Helper()
	execute(t, c.tx, fmt.Sprintf(manySQL, from, to))
	for n := from; n <= to; n++ {
		table := crmTable(fmt.Sprintf("t%d", n))
		c.list = append(c.list, table)
		c.metadata.Tables = append(c.metadata.Tables, table.Tracked(*c.entry("crm.companies")))
	}
}

func TestAThousandTablesAreReadByAsManyQueriesAsTen(t *testing.T) {
	var made counter
	c := ownCRM(t, &made)
	c.addTables(t, 1, 10)
	execute(t, c.tx, `ALTER TABLE crm.t5 DISABLE ROW LEVEL SECURITY`)
	audit := func() int {
		before := made.queries
		if got := told(c.audit(t)); got != "rls-disabled: crm.t5" {
			t.Errorf("found:\n%s", got)
		}
		return made.queries - before
	}
	ten := audit()
	c.addTables(t, 11, 1000)
	if thousand := audit(); thousand != ten || ten == 0 {
		t.Errorf("ten tables took %d queries, a thousand %d", ten, thousand)
	}
}

func BenchmarkAuditOfAThousandTables(b *testing.B) {
	c := newCRM(b)
	c.addTables(b, 1, 1000)
	for b.Loop() {
		if found := told(c.audit(b)); found != "" {
			b.Fatalf("found:\n%s", found)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/audit")
}
