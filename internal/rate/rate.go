// Package rate bounds how often somebody may try something, for all servers together: it
// counts in the database. It owns auth.rate_limits and no rule of who may try what.
package rate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Window is how many are let through in a time. Windows are fixed: one begins at each
// whole multiple of its length since 1970, by the database's clock.
type Window struct {
	Most   int
	Within time.Duration // whole seconds, at most an hour: Prune forgets what is older
}

// count is where a window stands.
type count struct {
	Full       bool `db:"full"`
	RetryAfter int  `db:"retry_after"` // seconds
}

const presentWindow = `present AS (SELECT pg_catalog.date_bin(make_interval(secs => @seconds), statement_timestamp(), timestamptz 'epoch') AS start)`

const retryAfter = `
greatest(1, ceil(extract(epoch FROM start + make_interval(secs => @seconds) - statement_timestamp())))::integer AS retry_after`

// The statement is the lock: of those who count at once each gets a number of its own.
const countSQL = `WITH ` + presentWindow + `, counted AS (
	INSERT INTO auth.rate_limits AS r (key, window_start, count) SELECT @key, start, 1 FROM present
	ON CONFLICT (key, window_start) DO UPDATE SET count = least(r.count + 1, @most::integer + 1)
	RETURNING count)
SELECT count > @most::integer AS full, ` + retryAfter + ` FROM counted, present`

// Take counts one more of what whose does and refuses once there were more than the
// window lets through: the fault too-many-requests, with the detail retryAfter in seconds.
// It counts what is refused too, but nothing in a transaction that rolls back. whose (an
// address, a network) is kept as a hash only.
func Take(ctx context.Context, db pg.DB, what, whose string, per Window) error {
	return per.look(ctx, db, countSQL, keyOf(what, whose))
}

const fullSQL = `WITH ` + presentWindow + `
SELECT coalesce(max(r.count), 0) >= @most::integer AS full, ` + retryAfter + `
FROM present LEFT JOIN auth.rate_limits r ON r.key = @key AND r.window_start = present.start GROUP BY start`

// Full refuses as Take does where the window is full, and counts nothing.
func Full(ctx context.Context, db pg.DB, what, whose string, per Window) error {
	return per.look(ctx, db, fullSQL, keyOf(what, whose))
}

func keyOf(what, whose string) string {
	sum := sha256.Sum256([]byte(whose))
	return what + ":" + hex.EncodeToString(sum[:])
}

func (w Window) look(ctx context.Context, db pg.DB, sql, key string) error {
	args := pgx.NamedArgs{"key": key, "most": w.Most, "seconds": w.Within.Seconds()}
	at, err := pg.One[count](ctx, db, sql, args)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rate limit: %w", err)
	case at.Full:
		return fault.New(fault.TooManyRequests, "too many tries; try again in %d seconds", at.RetryAfter).With("retryAfter", at.RetryAfter)
	}
	return nil
}

const pruneSQL = `
DELETE FROM auth.rate_limits WHERE (key, window_start) IN (
	SELECT key, window_start FROM auth.rate_limits WHERE window_start < now() - interval '1 hour'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune deletes the counts of windows that began more than an hour ago. db is a pool.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	pruned, err := pg.InBatches(ctx, db, pruneSQL)
	if err != nil {
		return pruned, fmt.Errorf("prune the rate limits: %w", err)
	}
	return pruned, nil
}
