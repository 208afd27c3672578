package signin

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// A batch is small enough that nobody waits for it.
const pruneLinksAllTenantsSQL = `
DELETE FROM auth.sign_in_links WHERE id IN (
	SELECT id FROM auth.sign_in_links WHERE expires_at < now() - interval '1 day'
	ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)`

const pruneWindowsSQL = `
DELETE FROM auth.rate_limits WHERE (key, window_start) IN (
	SELECT key, window_start FROM auth.rate_limits WHERE window_start < now() - interval '1 hour'
	LIMIT 1000 FOR UPDATE SKIP LOCKED)`

// Prune deletes the links whose time was over a day ago and the counts of windows that
// began more than an hour ago, batch by batch. db is a pool, so that each batch commits by
// itself. It returns how many rows went, also where it failed halfway.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	var all int64
	for _, sql := range []string{pruneLinksAllTenantsSQL, pruneWindowsSQL} {
		for {
			batch, err := db.Exec(ctx, sql)
			if err != nil {
				return all, fmt.Errorf("prune what signing in left behind: %w", err)
			}
			if batch.RowsAffected() == 0 {
				break
			}
			all += batch.RowsAffected()
		}
	}
	return all, nil
}
