package main

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/dev"
	"github.com/nself/tenancy/internal/local/postgres"
)

// installation is the whole product, running in this process for one test.
type installation struct {
	environment // of the operator
	settings    *dev.Environment
}

// install starts the server, its database and the stand-in for Hasura, with the demo
// tenants acme and techco, and stops all of it at the end of the test.
func install(t *testing.T) installation {
	t.Helper()
	dir, err := os.MkdirTemp(postgres.Scratch(), "nself-cli-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the account that Postgres runs as has to pass
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan *dev.Environment, 1), make(chan error, 1)
	go func() {
		ended <- dev.Run(ctx, dev.Options{DataDir: dir, Progress: func(string) {}, Log: io.Discard, Ready: func(e *dev.Environment) { ready <- e }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the installation ended with %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	select {
	case settings := <-ready:
		operator := environment{}
		for _, name := range []string{"HASURA_GRAPHQL_ENDPOINT", "HASURA_GRAPHQL_ADMIN_SECRET", "DATABASE_URL", "SERVER_URL"} {
			operator[name] = settings.Get(name)
		}
		return installation{operator, settings}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the installation did not start: %v", err)
	}
	return installation{}
}

// owner connects to the installation's database as its owner.
func (i installation) owner(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), i.environment["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// contents are all rows of the tables that commands change, by table: equal contents
// mean that nothing was changed.
func (i installation) contents(t *testing.T) map[string]string {
	t.Helper()
	conn, found := i.owner(t), map[string]string{}
	for _, table := range []string{"tenants.tenants", "tenants.tenant_members", "tenants.tenant_settings", "tenants.tenant_invitations",
		"tenants.tenant_schemas", "tenants.ownership_transfers", "auth.users", "auth.sessions", "auth.refresh_tokens", "auth.api_keys", "auth.signing_keys", "billing.plans", "billing.plan_limits",
		"billing.customers", "billing.subscriptions", "billing.operations", "billing.meters", "billing.meter_sources", "billing.tenant_limits", "billing.billing_cycles",
		"(SELECT * FROM billing.usage_records WHERE source <> 'trigger')", "audit.log"} {
		var rows string
		if err := conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM "+table+" AS t").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		found[table] = rows
	}
	return found
}
