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

// Prune deletes the links whose time was over a day ago, batch by batch. db is a pool, so
// that each batch commits by itself. It returns how many rows went, also where it failed
// halfway.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	var all int64
	for {
		batch, err := db.Exec(ctx, pruneLinksAllTenantsSQL)
		if err != nil {
			return all, fmt.Errorf("prune the sign-in links: %w", err)
		}
		if batch.RowsAffected() == 0 {
			return all, nil
		}
		all += batch.RowsAffected()
	}
}
