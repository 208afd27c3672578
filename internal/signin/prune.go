package signin

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

const pruneLinksAllTenantsSQL = `
DELETE FROM auth.sign_in_links WHERE id IN (
	SELECT id FROM auth.sign_in_links WHERE expires_at < now() - interval '1 day'
	ORDER BY expires_at LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune deletes the links whose time was over a day ago, and counts them. db is a pool.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	pruned, err := pg.InBatches(ctx, db, pruneLinksAllTenantsSQL)
	if err != nil {
		return pruned, fmt.Errorf("prune the sign-in links: %w", err)
	}
	return pruned, nil
}
