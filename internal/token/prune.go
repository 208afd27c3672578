package token

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// pruneBatch is how many rows one statement deletes, so that none holds locks for long.
const pruneBatch = 1000

const pruneSessionsAllTenantsSQL = `
DELETE FROM auth.sessions WHERE id IN (
	SELECT id FROM auth.sessions
	WHERE least(ended_at, expires_at) < now() - interval '90 days'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

const pruneRefreshAllTenantsSQL = `
DELETE FROM auth.refresh_tokens WHERE token_hash IN (
	SELECT token_hash FROM auth.refresh_tokens WHERE expires_at < now() LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune deletes, in batches, refresh tokens past their time and sessions that ended, by
// themselves or not, 90 days ago, and counts both.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	var pruned int64
	for _, pruneSQL := range []string{pruneRefreshAllTenantsSQL, pruneSessionsAllTenantsSQL} {
		for {
			tag, err := db.Exec(ctx, pruneSQL, pgx.NamedArgs{"batch": pruneBatch})
			if err != nil {
				return pruned, fmt.Errorf("prune sessions: %w", err)
			}
			pruned += tag.RowsAffected()
			if tag.RowsAffected() < pruneBatch {
				break
			}
		}
	}
	return pruned, nil
}
