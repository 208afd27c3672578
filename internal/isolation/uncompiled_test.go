package isolation_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
)

// What is read of the catalog is not compiled, however dear the planner takes it to be.
func TestTheCatalogIsReadWithoutCompiling(t *testing.T) {
	config, err := pgx.ParseConfig(pgtest.Database(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var plans, compiled int
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.Contains(n.Message, "plan:") {
			plans++
		}
		if strings.Contains(n.Message, "JIT:") {
			compiled++
		}
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	execute(t, conn, `LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET client_min_messages = log; SET jit = on; SET jit_above_cost = 1000`)
	if _, err := ours(t).Differences(t.Context(), conn, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := isolation.Protect(t.Context(), conn, isolation.Request{List: ours(t), Names: names(t, "tenants.tenant_settings"), Column: "tenant_id"}); err != nil {
		t.Fatal(err)
	}
	if plans == 0 || compiled > 0 {
		t.Errorf("%d of %d statements were compiled", compiled, plans)
	}
}
