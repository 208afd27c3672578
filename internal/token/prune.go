package token

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

const pruneSessionsAllTenantsSQL = `
DELETE FROM auth.sessions WHERE id IN (
	SELECT id FROM auth.sessions
	WHERE least(ended_at, expires_at) < now() - interval '90 days'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

const pruneRefreshAllTenantsSQL = `
DELETE FROM auth.refresh_tokens WHERE token_hash IN (
	SELECT token_hash FROM auth.refresh_tokens WHERE expires_at < now() LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune deletes refresh tokens past their time and sessions that ended, by themselves or
// not, 90 days ago, and counts both. db is a pool.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	var all int64
	for _, pruneSQL := range []string{pruneRefreshAllTenantsSQL, pruneSessionsAllTenantsSQL} {
		pruned, err := pg.InBatches(ctx, db, pruneSQL)
		if all += pruned; err != nil {
			return all, fmt.Errorf("prune sessions: %w", err)
		}
	}
	return all, nil
}
