package usage_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestAnEventThatMeetsAPurgeWaitsForItsBatch(t *testing.T) {
	base := pgtest.Database(t)
	server, owner := base.Pool(t, "nself_server"), base.Superuser(t)
	team := pgtest.NewTeam(t, server)
	change := usage.Change{EventID: "1", Schema: "tenants", Table: "tenant_members", Op: "INSERT",
		New: json.RawMessage(fmt.Sprintf(`{"tenant_id":%q,"user_id":%q}`, team.ID, team.Owner))}
	count := func() error {
		return pg.InTx(t.Context(), server, func(tx pgx.Tx) error { return usage.Apply(t.Context(), tx, change) })
	}
	if err := count(); err != nil {
		t.Fatal(err)
	}
	change.EventID = "2"
	batch, err := owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = batch.Rollback(t.Context()) }()
	for _, sql := range []string{`SELECT FROM tenants.tenants WHERE id = $1 FOR UPDATE`, `DELETE FROM billing.usage_keys WHERE tenant_id = $1`,
		`DELETE FROM billing.usage_totals WHERE tenant_id = $1`, `DELETE FROM billing.usage_periods WHERE tenant_id = $1`} {
		if _, err := batch.Exec(t.Context(), sql, team.ID); err != nil {
			t.Fatal(err)
		}
	}
	counted := make(chan error, 1)
	go func() { counted <- count() }()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		if waits, err = pg.Scalar[bool](t.Context(), owner, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-counted; err != nil {
		t.Errorf("the event ended in %v", err)
	}
}
