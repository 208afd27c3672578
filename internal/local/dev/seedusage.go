package dev

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// demoUsage is what a demo tenant has used, by its slug. Of none of it there is a warning;
// of techco's users there is, for four are 80 % of what its plan has.
var demoUsage = map[string]struct {
	requests, hours string
	files           map[string]int64 // their sizes, in bytes
}{
	"acme":   {"1234", "12.5", map[string]int64{"handbook.pdf": 3 << 20, "site.mp4": 7 << 30, "photos.zip": 480 << 20}},
	"techco": {"420", "0.75", map[string]int64{"logo.svg": 14 << 10}},
}

// seedUsage counts the demo usage of a tenant in the transaction that makes it, and
// therefore once. Its rows were there before Hasura's event triggers, so what these would
// tell of them is told here.
func seedUsage(ctx context.Context, tx pgx.Tx, slug string, tenant id.Tenant) error {
	used := demoUsage[slug]
	events := []usage.Event{
		{Tenant: tenant, Meter: "api_requests", Key: "seed/api_requests", Amount: decimal.RequireFromString(used.requests)},
		{Tenant: tenant, Meter: "compute_hours", Key: "seed/compute_hours", Amount: decimal.RequireFromString(used.hours)},
	}
	outcomes, err := usage.Record(ctx, tx, operator, events)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Status != usage.Accepted {
			return fmt.Errorf("the usage of %s is %s: %s", events[i].Meter, o.Status, o.Reason)
		}
	}
	for name, size := range used.files {
		row, err := pg.Scalar[json.RawMessage](ctx, tx, seedFileSQL, pgx.NamedArgs{"tenant_id": tenant, "name": name, "size": size})
		if err != nil {
			return fmt.Errorf("add the file %s: %w", name, err)
		}
		if err := inserted(ctx, tx, "storage_objects", name, row); err != nil {
			return err
		}
	}
	member, err := pg.Scalar[json.RawMessage](ctx, tx, seededMemberSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return fmt.Errorf("read a member: %w", err)
	}
	return inserted(ctx, tx, "tenant_members", slug, member) // one tells of all: they are counted
}

const seedFileSQL = `
INSERT INTO tenants.storage_objects AS o (tenant_id, name, size_bytes) VALUES (@tenant_id, @name, @size) RETURNING to_jsonb(o)`

const seededMemberSQL = `
SELECT to_jsonb(m) FROM tenants.tenant_members m WHERE m.tenant_id = @tenant_id LIMIT 1`

// inserted tells usage of a row as an event trigger would.
func inserted(ctx context.Context, tx pgx.Tx, table, name string, row json.RawMessage) error {
	change := usage.Change{EventID: "seed/" + table + "/" + name, Schema: "tenants", Table: table, Op: "INSERT", New: row}
	if err := usage.Apply(ctx, tx, change); err != nil {
		return fmt.Errorf("count a row of %s: %w", table, err)
	}
	return nil
}
