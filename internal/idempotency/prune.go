package idempotency

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

const pruneKeysAllTenantsSQL = `
DELETE FROM nself.idempotency_keys WHERE (actor, action, key) IN (
	SELECT actor, action, key FROM nself.idempotency_keys WHERE created_at < now() - interval '35 days'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune forgets the keys that were first used more than 35 days ago, with their replies,
// and counts them: from then on the same key is a new one. db is a pool.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	pruned, err := pg.InBatches(ctx, db, pruneKeysAllTenantsSQL)
	if err != nil {
		return pruned, fmt.Errorf("prune the idempotency keys: %w", err)
	}
	return pruned, nil
}
