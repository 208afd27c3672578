package apikey

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
)

// Holder is whom a key that was shown stands for.
type Holder struct {
	Tenant  id.Tenant   `db:"tenant_id"`
	User    id.User     `db:"user_id"`
	Role    member.Role `db:"role"`
	Key     id.APIKey   `db:"id"`
	Session id.Session  `db:"session_id"` // the one it acts in
}

type shown struct {
	Holder
	Noted bool `db:"noted"` // used within the last minute
}

// The whole key is what is looked for, by its hash: the prefix names nothing.
const byHashAllTenantsSQL = `
SELECT k.tenant_id, k.user_id, k.role, k.id, s.id AS session_id, coalesce(k.last_used_at > now() - interval '1 minute', false) AS noted
FROM auth.api_keys k
	JOIN tenants.tenants t ON t.id = k.tenant_id AND t.status = 'active'
	JOIN tenants.tenant_members m ON m.tenant_id = k.tenant_id AND m.user_id = k.user_id AND m.role = k.role
	JOIN auth.users u ON u.id = k.user_id AND u.kind = 'service'
	JOIN auth.sessions s ON s.tenant_id = k.tenant_id AND s.user_id = k.user_id AND s.method = 'api_key'
		AND s.ended_at IS NULL AND s.expires_at > now()
WHERE k.key_hash = @hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`

// Whoever comes while another writes this passes by: that one notes the same minute.
const noteUseSQL = `
UPDATE auth.api_keys SET last_used_at = now()
WHERE (tenant_id, id) IN (SELECT k.tenant_id, k.id FROM auth.api_keys k
	WHERE k.tenant_id = @tenant_id AND k.id = @key_id
		AND (k.last_used_at IS NULL OR k.last_used_at <= now() - interval '1 minute') FOR NO KEY UPDATE SKIP LOCKED)`

// Use says whom a key stands for, and notes that it was used, at most once a minute. db is
// nself_server's. A key that is unknown, revoked, past its time, damaged, without its session or of a tenant
// out of service is one and the same invalid-grant.
func Use(ctx context.Context, db pg.DB, plain string) (Holder, error) {
	if !form.MatchString(plain) {
		return Holder{}, refused()
	}
	found, err := pg.One[shown](ctx, db, byHashAllTenantsSQL, pgx.NamedArgs{"hash": secret.Hash(plain)})
	switch {
	case pg.NoRow(err):
		return Holder{}, refused()
	case err != nil:
		return Holder{}, fmt.Errorf("look for an API key: %w", err)
	case found.Noted:
		return found.Holder, nil
	}
	if _, err := db.Exec(ctx, noteUseSQL, pgx.NamedArgs{"tenant_id": found.Tenant, "key_id": found.Key}); err != nil {
		return Holder{}, fmt.Errorf("note that API key %s was used: %w", found.Key, err)
	}
	return found.Holder, nil
}

func refused() error {
	return fault.New(fault.InvalidGrant, "the API key is not good, or no longer; createApiKey makes another")
}
